"""E-mail leaves under a lease: sent once by whoever holds it, tried again later, given up visibly."""

from __future__ import annotations

import io
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError, transaction

from releasemgmt.accounts.models import Team, User
from releasemgmt.notifications import commands, fanout, tasks
from releasemgmt.notifications.commands import ATTEMPTS, BACK_OFF, LEASE, deliver, mark_read
from releasemgmt.notifications.models import Channel, Delivery
from releasemgmt.notifications.transports import Rejected, email
from releasemgmt.workflow import queries
from releasemgmt.workflow.errors import Absent
from tests.factories import someone
from tests.notifications.world import tell

pytestmark = pytest.mark.django_db


@pytest.fixture
def due(team: Team, actor: User, reader: User, now: datetime) -> Delivery:
    """An e-mail that waits for a sender."""
    tell(team, reader, actor=actor, news="REL-1 waits for you")
    fanout.drain(now=now)
    return Delivery.objects.get(channel=Channel.EMAIL)


def fresh(delivery: Delivery) -> Delivery:
    return Delivery.objects.get(pk=delivery.pk)


def test_a_mail_says_what_happened_and_where(due: Delivery, settings: Any, now: datetime) -> None:
    settings.PUBLIC_URL = "https://release.example.org"
    assert deliver(now=now) == 1
    (sent,) = mail.outbox
    assert (sent.subject, sent.to) == ("shop: REL-1 waits for you", ["bob@example.org"])
    assert "https://release.example.org/admin/" in sent.body
    assert (fresh(due).state, fresh(due).sent_at, fresh(due).attempts) == ("sent", now, 1)


def test_a_mail_is_sent_once(due: Delivery, now: datetime) -> None:
    assert [deliver(now=now + LEASE * n) for n in range(3)] == [1, 0, 0]
    assert len(mail.outbox) == 1


def test_a_leased_mail_is_left_alone_until_the_lease_ends(due: Delivery, now: datetime) -> None:
    commands._claim(now)
    assert deliver(now=now + LEASE / 2) == 0
    assert deliver(now=now + LEASE) == 1


def test_a_sender_that_slept_past_its_lease_can_not_finish(due: Delivery, now: datetime) -> None:
    (slept,) = commands._claim(now)
    later = now + LEASE
    (taken_over,) = commands._claim(later)
    assert not commands._finish(slept, state="sent", sent_at=later, next_attempt_at=None)
    assert (fresh(due).state, fresh(due).lease_token) == ("pending", taken_over.lease_token)
    assert commands._finish(taken_over, state="sent", sent_at=later, next_attempt_at=None)
    assert not commands._finish(taken_over, next_attempt_at=later), "what is finished stays so"


def test_the_time_limit_of_the_task_ends_before_the_lease() -> None:
    limit = tasks.deliver.time_limit
    assert limit
    assert limit < LEASE.total_seconds()


def test_a_mail_sent_again_after_a_crash_shows_as_the_same_mail(due: Delivery) -> None:
    first, second = (email.message(due).message()["Message-ID"] for _ in range(2))
    assert first == second


class Refusing:
    """A mail server that takes no mail for one address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.taken: list[str] = []

    def __call__(self, delivery: Delivery) -> None:
        if delivery.recipient.email == self.address:
            raise Rejected("SMTPRecipientsRefused")
        self.taken.append(delivery.recipient.email)


def test_one_refused_mail_does_not_keep_the_others(team: Team, actor: User, reader: User, now: datetime) -> None:
    cy = someone("contributor", team=team, username="cy")
    tell(team, reader, cy, actor=actor)
    fanout.drain(now=now)
    server = Refusing("bob@example.org")
    for delivery in commands._claim(now):
        commands._send(delivery, server, now)
    assert server.taken == ["cy@example.org"]
    refused = Delivery.objects.get(channel=Channel.EMAIL, recipient=reader)
    assert (refused.state, refused.error) == ("pending", "SMTPRecipientsRefused")
    assert refused.next_attempt_at == now + BACK_OFF


@pytest.fixture
def no_server(settings: Any) -> None:
    """Nothing listens there, and the password must not be seen anywhere."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "mailer", "canary-secret"


def test_while_the_server_is_away_each_wait_is_twice_the_last(due: Delivery, no_server: None, now: datetime) -> None:
    waits = []
    for _ in range(4):
        deliver(now=now)
        again = fresh(due).next_attempt_at
        assert again
        waits.append(again - now)
        now = again
    assert waits == [BACK_OFF, BACK_OFF * 2, BACK_OFF * 4, BACK_OFF * 8]
    assert (fresh(due).state, fresh(due).error) == ("pending", "ConnectionRefusedError")


def test_while_the_server_is_away_all_mail_waits(
    due: Delivery, no_server: None, team: Team, actor: User, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "BATCH", 1)
    tell(team, someone("contributor", team=team), actor=actor)
    fanout.drain(now=now)
    deliver(now=now)
    assert not Delivery.objects.due(now).exists()
    assert Delivery.objects.due(now + BACK_OFF).count() == 2
    assert sorted(Delivery.objects.filter(channel=Channel.EMAIL).values_list("attempts", flat=True)) == [0, 1]


def test_after_the_last_attempt_it_is_given_up_and_the_audit_trail_says_so(
    due: Delivery, no_server: None, reader: User, now: datetime
) -> None:
    for _ in range(ATTEMPTS):
        deliver(now=now)
        now = fresh(due).next_attempt_at or now
    assert (fresh(due).state, fresh(due).attempts) == ("failed", ATTEMPTS)
    assert list(Delivery.objects.failed()) == [due]
    assert deliver(now=now + timedelta(days=1)) == 0
    last = queries.timeline(reader)[0]
    assert (last.kind, last.actor.kind) == ("notifications.delivery.give_up", "system")
    assert last.data == {"event": due.event_id, "channel": "email", "error": "ConnectionRefusedError"}
    assert list(queries.breaks()) == []


def test_a_password_is_in_no_log_line_and_no_row(due: Delivery, no_server: None, now: datetime) -> None:
    written = io.StringIO()
    handler = logging.getLogger().handlers[0]
    lines = logging.StreamHandler(written)
    lines.setFormatter(handler.formatter)
    logging.getLogger().addHandler(lines)
    try:
        deliver(now=now)
    finally:
        logging.getLogger().removeHandler(lines)
    assert "delivery_failed" in written.getvalue()
    assert "canary" not in written.getvalue() + str(Delivery.objects.values_list())


def test_an_address_that_is_no_address_is_refused_not_sent_elsewhere(due: Delivery, now: datetime) -> None:
    User.objects.filter(pk=due.recipient_id).update(email="bob@example.org\nBcc: all@example.org")
    deliver(now=now)
    assert mail.outbox == []
    assert fresh(due).error == "BadHeaderError"


def test_only_its_recipient_marks_an_entry_as_read_and_the_first_time_counts(
    due: Delivery, reader: User, now: datetime
) -> None:
    entry = Delivery.objects.inbox_of(reader).get()
    with pytest.raises(Absent):
        mark_read(entry, actor=someone("administrator"), now=now)
    assert fresh(entry).read_at is None
    assert mark_read(entry, actor=reader, now=now).read_at == now
    assert mark_read(entry, actor=reader, now=now + LEASE).read_at == now


def test_the_database_holds_what_a_delivery_may_be(due: Delivery) -> None:
    for wrong in ({"state": "sent"}, {"next_attempt_at": None}, {"read_at": due.created_at}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Delivery.objects.filter(pk=due.pk).update(**wrong)
