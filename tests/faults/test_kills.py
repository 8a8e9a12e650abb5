"""`kill -9` of the background work while events flow: nothing lost, nothing told twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.utils import timezone

from releasemgmt.notifications.models import Channel, Delivery
from releasemgmt.workflow import queries
from releasemgmt.workflow.models import Event, Pending
from tests.background import Background, Mailbox, eventually
from tests.factories import TeamFactory, someone
from tests.notifications.world import positions, tell
from tests.scale import scaled

EVENTS, KILLS = scaled(150, 10_000), scaled(3, 20)
#: Seconds until everything is told.
PATIENCE = scaled(60, 1800)


@pytest.fixture
def background(transactional_db: None, tmp_path: Path, mailbox: Mailbox) -> Iterator[Background]:
    """The tests' own events are heard in it."""
    processes = Background(tmp_path, settings_module="tests.notifications.installation", EMAIL_URL=mailbox.url)
    processes.start()
    yield processes
    processes.stop()


def end_leases() -> None:
    """What a minute does that the test does not wait for."""
    Delivery.objects.exclude(lease_until=None).update(lease_until=timezone.now())


def test_whatever_dies_each_event_is_published_and_told_once(
    background: Background, mailbox: Mailbox, record_property: Callable[[str, object], None]
) -> None:
    team = TeamFactory(key="shop")
    actor, reader = someone("release_manager", team=team), someone("contributor", team=team)
    victims = sorted(background.running)
    for turn in range(KILLS):
        seen = Delivery.objects.count()
        for n in range(EVENTS // KILLS):
            tell(team, reader, actor=actor, news=f"{turn}-{n}")
        eventually(lambda seen=seen: Delivery.objects.count() > seen)  # type: ignore[misc]
        background.kill(victims[-1 - turn % len(victims)])
        background.start()
    for name in list(background.running):
        background.kill(name)
    end_leases()
    background.start()

    emails = Delivery.objects.filter(channel=Channel.EMAIL)
    eventually(lambda: not Pending.objects.exists() and not emails.exclude(state="sent").exists(), seconds=PATIENCE)
    log = positions()
    assert [position for position, _event in log] == list(range(1, len(log) + 1))
    assert sorted(event for _position, event in log) == sorted(Event.objects.values_list("pk", flat=True))
    told = Counter(Delivery.objects.inbox_of(reader).values_list("event__data__news", flat=True))
    assert told == {f"{turn}-{n}": 1 for turn in range(KILLS) for n in range(EVENTS // KILLS)}
    # A sender that dies between sending and noting it sends again, as the same mail.
    interrupted = emails.filter(attempts__gt=F("attempts") * 0 + 1).count()
    copies = Counter(str(mail["Message-ID"]) for mail in mailbox.mails)
    assert len(copies) == EVENTS
    assert sum(copies.values()) - EVENTS <= interrupted
    assert list(queries.breaks()) == []
    record_property("attempts", EVENTS)
    record_property("outcomes", f"{KILLS} kills, events lost 0, told twice 0, mails repeated {copies.total() - EVENTS}")


def cut_connections() -> None:
    """End every other connection to the database, as its restart does."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def forget_messages() -> None:
    """Take all that Celery keeps in Redis away, as an empty Redis after its restart does."""
    broker = redis.Redis.from_url(settings.CELERY_BROKER_URL)
    for word in ("celery", "unacked", "_kombu"):
        for key in broker.scan_iter(f"{word}*"):
            broker.delete(key)


@pytest.mark.skipif(settings.EMBEDDED, reason="the embedded installation has neither a database server nor a broker")
def test_the_worker_outlives_its_connections_and_what_its_broker_forgets(
    background: Background, mailbox: Mailbox
) -> None:
    team = TeamFactory(key="shop")
    actor, reader = someone("release_manager", team=team), someone("contributor", team=team)
    tell(team, reader, actor=actor, news="0")
    eventually(lambda: mailbox.mails)
    for n in range(1, 40):
        tell(team, reader, actor=actor, news=f"{n}")
        cut_connections()
        forget_messages()
        eventually(lambda n=n: n % 10 or Delivery.objects.inbox_of(reader).count() == n + 1)  # type: ignore[misc]
    end_leases()
    eventually(lambda: not Pending.objects.exists() and not Delivery.objects.exclude(state="sent").exists())
    assert {mail["Subject"] for mail in mailbox.mails} == {f"shop: {n}" for n in range(40)}
    assert Delivery.objects.inbox_of(reader).count() == 40
    assert list(queries.breaks()) == []
