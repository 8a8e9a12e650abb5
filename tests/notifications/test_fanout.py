"""The outbox: each event gets one place in the log, and those whom it concerns are told once by each channel."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.core import checks

from releasemgmt.accounts.commands import deactivate, system
from releasemgmt.accounts.models import Team, User
from releasemgmt.notifications import fanout
from releasemgmt.notifications.checks import every_audience_is_known
from releasemgmt.notifications.models import Channel, Delivery
from releasemgmt.workflow.models import Event, OutboxHead, Pending, Published
from tests.factories import TeamFactory, someone
from tests.notifications.wiring import BROKEN, KIND, MISWORDED
from tests.notifications.world import positions, tell

pytestmark = pytest.mark.django_db


def told(event: Event) -> set[tuple[str, str]]:
    return set(event.deliveries.values_list("recipient__username", "channel"))


def test_an_event_becomes_an_inbox_entry_and_an_email(team: Team, actor: User, reader: User, now: datetime) -> None:
    event = tell(team, reader, actor=actor, news="REL-1 is out")
    fanout.drain(now=now)
    assert told(event) == {("bob", Channel.INBOX), ("bob", Channel.EMAIL)}
    entry = Delivery.objects.inbox_of(reader).get()
    assert (entry.subject, entry.body) == ("shop: REL-1 is out", "Ada says: REL-1 is out")
    assert (entry.state, entry.sent_at, entry.read_at) == ("sent", now, None)
    email = Delivery.objects.due(now).get()
    assert (email.recipient, email.state, email.subject) == (reader, "pending", entry.subject)


def test_what_nobody_waits_for_is_published_and_told_to_nobody(team: Team, actor: User, now: datetime) -> None:
    event = tell(team, actor=actor)
    assert fanout.drain(now=now) >= 1
    assert Published.objects.filter(event=event).exists()
    assert not Pending.objects.exists()
    assert not Delivery.objects.exists()


def test_a_second_drain_changes_nothing(team: Team, actor: User, reader: User, now: datetime) -> None:
    tell(team, reader, actor=actor)
    fanout.drain(now=now)
    before = (positions(), list(Delivery.objects.order_by("pk").values()), OutboxHead.objects.get().position)
    assert fanout.drain(now=now) == 0
    assert (positions(), list(Delivery.objects.order_by("pk").values()), OutboxHead.objects.get().position) == before


def test_an_event_that_comes_back_into_the_outbox_tells_nobody_twice(
    team: Team, actor: User, reader: User, now: datetime
) -> None:
    """The constraint holds even where a restored backup brings Pending rows back that had been fanned out."""
    event = tell(team, reader, actor=actor)
    fanout.drain(now=now)
    Published.objects.filter(event=event).delete()
    Pending.objects.create(event=event)
    fanout.drain(now=now)
    assert event.deliveries.count() == 2


def test_positions_rise_by_one_across_batches(
    team: Team, actor: User, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "BATCH", 3)
    events = [tell(team, actor=actor).pk for _ in range(10)]
    published = fanout.drain(now=now)
    assert [position for position, _event in positions()] == list(range(1, published + 1))
    assert [event for _position, event in positions()][-10:] == events


def test_a_drain_makes_its_head_where_a_flush_took_it(team: Team, actor: User, now: datetime) -> None:
    OutboxHead.objects.all().delete()
    tell(team, actor=actor)
    assert fanout.drain(now=now) == OutboxHead.objects.get().position


def test_nobody_is_told_of_their_own_act(team: Team, actor: User, reader: User, now: datetime) -> None:
    event = tell(team, actor, reader, actor=actor)
    fanout.drain(now=now)
    assert {name for name, _channel in told(event)} == {"bob"}


def test_only_active_people_who_see_the_team_are_told(team: Team, actor: User, reader: User, now: datetime) -> None:
    gone = someone("contributor", team=team)
    deactivate(gone, actor=system(), now=now)
    robot = someone("service", team=team)
    stranger = someone("contributor", team=TeamFactory())
    nobody = someone()
    auditor = someone("auditor", username="eve")
    event = tell(team, reader, gone, robot, stranger, nobody, auditor, system(), actor=actor)
    fanout.drain(now=now)
    assert {name for name, _channel in told(event)} == {"bob", "eve"}


def test_who_has_no_address_finds_it_in_the_inbox(team: Team, actor: User, now: datetime) -> None:
    event = tell(team, someone("contributor", team=team, username="cy", email=""), actor=actor)
    fanout.drain(now=now)
    assert told(event) == {("cy", Channel.INBOX)}


@pytest.mark.parametrize("kind", [BROKEN, MISWORDED])
def test_an_audience_or_a_wording_that_fails_stops_nothing(
    kind: str, team: Team, actor: User, reader: User, now: datetime
) -> None:
    silent = tell(team, reader, actor=actor, kind=kind)
    heard = tell(team, reader, actor=actor)
    fanout.drain(now=now)
    assert (told(silent), len(told(heard))) == (set(), 2)
    assert Published.objects.filter(event=silent).exists()
    assert not Pending.objects.exists()


@pytest.mark.parametrize("news", ["ship it\r\nBcc: all@example.org", "ship\u2028it\x00\x1b[31m", "x" * 5000])
def test_a_subject_is_one_printable_line(news: str, team: Team, actor: User, reader: User, now: datetime) -> None:
    tell(team, reader, actor=actor, news=news.replace("\x00", ""))
    fanout.drain(now=now)
    subject = Delivery.objects.inbox_of(reader).get().subject
    assert subject.isprintable()
    assert len(subject) <= 200


def test_a_quiet_tick_reads_one_row(team: Team, now: datetime, django_assert_num_queries: Any) -> None:
    fanout.drain(now=now)
    with django_assert_num_queries(1):
        fanout.drain(now=now)


def test_an_event_that_concerns_nobody_costs_no_query_of_its_own(
    team: Team, actor: User, now: datetime, django_assert_max_num_queries: Any
) -> None:
    for _ in range(50):
        tell(team, actor=actor, kind="tests.unheard")
    with django_assert_max_num_queries(20):
        fanout.drain(now=now)


def test_a_check_finds_an_audience_that_is_not_there_or_has_no_words(settings: Any) -> None:
    named = "tests.notifications.world.named"
    settings.NOTIFICATION_AUDIENCES = {"tests.unworded": named, MISWORDED: named, KIND: "nobody.home"}
    found: list[checks.CheckMessage] = every_audience_is_known(None)
    assert [error.id for error in found] == ["notifications.E002", "notifications.E002", "notifications.E001"]
