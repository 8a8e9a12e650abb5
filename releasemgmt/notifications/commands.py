"""Commands on deliveries: send what is due under a lease, and mark an inbox entry as read."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F

from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import User
from releasemgmt.notifications.models import Channel, Delivery
from releasemgmt.notifications.transports import Rejected, email
from releasemgmt.workflow.commands import command, lock, record
from releasemgmt.workflow.errors import Absent

log = structlog.get_logger()

BATCH = 20
#: Longer than a sender may run (tasks.deliver is stopped before), so that nobody who still sends is overtaken.
LEASE = timedelta(seconds=60)
#: Doubled with each attempt: 30 s, 1 min, … 2 h 8 min; the last one is given up after about four hours.
BACK_OFF = timedelta(seconds=30)
ATTEMPTS = 10


def deliver(*, now: datetime) -> int:
    """Send a batch of the e-mail that is due, outside of any transaction; answers how many were tried."""
    claimed = _claim(now)
    waiting = claimed[::-1]
    try:
        if waiting:
            with email.connection() as send:
                while waiting:
                    _send(waiting[-1], send, now)
                    waiting.pop()
    except OSError as error:
        _postpone(waiting, email.reason(error), now)
    return len(claimed)


def mark_read(entry: Delivery, *, actor: User, now: datetime) -> Delivery:
    """Note that the recipient has read an inbox entry; the first time counts."""
    if entry.recipient_id != actor.pk or entry.channel != Channel.INBOX:
        raise Absent("There is no such entry in your inbox.")
    Delivery.objects.filter(pk=entry.pk).unread().update(read_at=now)
    return Delivery.objects.select_related("event").get(pk=entry.pk)


def _claim(now: datetime) -> list[Delivery]:
    """Lease what is due to this caller alone; an attempt counts from here, whatever becomes of its sender."""
    due = Delivery.objects.due(now).filter(channel=Channel.EMAIL)
    if not due.exists():
        return []
    token = secrets.token_hex(16)
    with transaction.atomic():
        rows = list(due.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True)[:BATCH])
        Delivery.objects.filter(pk__in=rows).update(
            lease_until=now + LEASE, lease_token=token, attempts=F("attempts") + 1
        )
    return list(Delivery.objects.filter(lease_token=token).select_related("event", "recipient").order_by("pk"))


def _send(delivery: Delivery, send: Callable[[Delivery], None], now: datetime) -> None:
    try:
        send(delivery)
    except Rejected as rejected:
        _failed(delivery, str(rejected), now)
    else:
        _finish(delivery, state=Delivery.State.SENT, sent_at=now, next_attempt_at=None, error="")


def _postpone(unsent: list[Delivery], error: str, now: datetime) -> None:
    """The server is away: what was claimed has failed, and all else waits too, so that no worker hangs on each mail."""
    for delivery in unsent:
        _failed(delivery, error, now)
    Delivery.objects.due(now).filter(channel=Channel.EMAIL).update(next_attempt_at=now + BACK_OFF)


def _failed(delivery: Delivery, error: str, now: datetime) -> None:
    log.warning("delivery_failed", delivery_id=delivery.pk, attempt=delivery.attempts, error=error)
    if delivery.attempts < ATTEMPTS:
        wait = BACK_OFF * 2 ** (delivery.attempts - 1)
        _finish(delivery, next_attempt_at=now + wait, error=error)
        return
    with command():
        if _finish(delivery, state=Delivery.State.FAILED, next_attempt_at=None, error=error):
            person = lock(delivery.recipient)
            told = {"event": delivery.event_id, "channel": delivery.channel, "error": error}
            record(person, "notifications.delivery.give_up", actor=system(), data=told)


def _finish(delivery: Delivery, **outcome: object) -> bool:
    """Write what became of a delivery, if its lease is still this sender's."""
    mine = Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.PENDING, lease_token=delivery.lease_token)
    return bool(mine.update(lease_until=None, lease_token="", **outcome))
