"""Writers, drains and senders at once: nothing lost, nothing twice, positions without a gap."""

from __future__ import annotations

import threading
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any

import pytest
from django.core import mail
from django.db import connection

from releasemgmt.accounts.models import Team, User
from releasemgmt.notifications import fanout
from releasemgmt.notifications.commands import deliver
from releasemgmt.notifications.models import Channel, Delivery
from releasemgmt.workflow import queries
from releasemgmt.workflow.commands import command
from releasemgmt.workflow.models import Event, Pending
from tests.factories import TeamFactory, someone
from tests.notifications import world
from tests.notifications.world import positions, tell
from tests.races.test_kernel import at_once

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS, EACH = 4, 25


@pytest.fixture(autouse=True)
def audiences(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches, so that a drain meets the others often."""
    world.use(settings)
    monkeypatch.setattr(fanout, "BATCH", 7)


@pytest.fixture
def actor() -> User:
    return someone("release_manager", username="ada")


@pytest.fixture
def reader() -> User:
    return someone("auditor", username="bob")


def test_four_writers_and_two_drains(actor: User, reader: User, now: datetime) -> None:
    shared = TeamFactory(key="shared")
    writing = threading.Semaphore(0)
    order: dict[int, list[int]] = {number: [] for number in range(WRITERS)}

    def write(number: int) -> None:
        own = TeamFactory(key=f"team-of-{number}")
        for n in range(EACH):
            with command():
                first = tell(shared if n % 5 == 0 else own, reader, actor=actor)
                order[number] += [first.pk, tell(own, reader, actor=actor).pk]
        writing.release()

    def drain() -> None:
        while Pending.objects.exists() or writing._value < WRITERS:
            fanout.drain(now=now)

    results = at_once(*[partial(write, number) for number in range(WRITERS)], drain, drain)
    assert [result for result in results if result is not None] == []
    fanout.drain(now=now)

    log = positions()
    assert [position for position, _event in log] == list(range(1, len(log) + 1))
    assert sorted(event for _position, event in log) == sorted(Event.objects.values_list("pk", flat=True))
    place = {event: position for position, event in log}
    for caused in order.values():
        assert caused == sorted(caused, key=place.__getitem__), "a later act of one writer comes later in the log"
    in_log_order = Event.objects.order_by("stream", "published__position").values_list("stream", "seq")
    for _stream, rows in groupby(in_log_order, key=lambda row: row[0]):
        numbers = [seq for _, seq in rows]
        assert numbers == list(range(1, len(numbers) + 1))
    assert Delivery.objects.filter(recipient=reader, channel=Channel.INBOX).count() == WRITERS * EACH * 2
    assert list(queries.breaks()) == []


def test_an_event_that_commits_late_is_not_missed_by_who_reads_on(actor: User, reader: User, now: datetime) -> None:
    """Ids are given before the commit: the earlier id may become visible later, and gets the later position."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time, so ids are in commit order")
    slow, fast = TeamFactory(key="slow"), TeamFactory(key="fast")
    fanout.drain(now=now)
    told, published = threading.Event(), threading.Event()

    def commit_late() -> int:
        with command():
            event = tell(slow, reader, actor=actor)
            told.set()
            assert published.wait(10)
        return event.pk

    def overtake() -> int:
        assert told.wait(10)
        event = tell(fast, reader, actor=actor)
        fanout.drain(now=now)
        published.set()
        return event.pk

    late, early = at_once(commit_late, overtake)
    assert late < early
    fanout.drain(now=now)
    assert [event for _position, event in positions()][-2:] == [early, late]


def test_four_senders_send_each_mail_once(actor: User, now: datetime) -> None:
    team = TeamFactory(key="shop")
    readers = [someone("contributor", team=team) for _ in range(60)]
    tell(team, *readers, actor=actor)
    fanout.drain(now=now)

    def send() -> None:
        while deliver(now=now):
            pass

    assert at_once(send, send, send, send) == [None] * 4
    assert sorted(sent.to[0] for sent in mail.outbox) == sorted(reader.email for reader in readers)
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}


def test_a_drain_beside_a_drain_does_nothing(actor: User, now: datetime) -> None:
    """The second finds the head taken, or (SQLite) waits for the lock and finds nothing left."""
    team: Team = TeamFactory(key="shop")
    for _ in range(30):
        tell(team, actor=actor)
    counts = at_once(*[partial(fanout.drain, now=now)] * 4)
    assert sum(counts) == Event.objects.count()
    assert [position for position, _event in positions()] == list(range(1, sum(counts) + 1))
