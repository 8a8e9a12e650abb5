"""The outbox: in one transaction an event gets its place in the published log and those whom it concerns are told."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.conf import settings
from django.db import transaction
from django.template import Context, Engine
from django.urls import NoReverseMatch, reverse

from releasemgmt.accounts.models import User
from releasemgmt.notifications.models import Channel, Delivery
from releasemgmt.notifications.queries import audience, record_of
from releasemgmt.workflow.models import Aggregate, Event, OutboxHead, Pending, Published

log = structlog.get_logger()

BATCH = 500
THE_HEAD = 1


def drain(*, now: datetime) -> int:
    """Publish all that is pending, the oldest first; answers how many. While one drain runs, another does nothing."""
    if not Pending.objects.exists():
        return 0
    OutboxHead.objects.get_or_create(pk=THE_HEAD)
    total = 0
    while published := _publish(now):
        total += published
    return total


def template_of(kind: str) -> str:
    """The template that words an event, in the app that records it; its first line is the subject."""
    return f"notifications/{kind}.txt"


def _publish(now: datetime) -> int:
    """One batch. Ids rise in a stream and from cause to effect, but not in commit order: hence positions."""
    with transaction.atomic():
        head = OutboxHead.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=THE_HEAD).first()
        if head is None:
            return 0
        pending = Pending.objects.select_related("event__actor", "event__on_behalf_of").order_by("event_id")
        events = [row.event for row in pending[:BATCH]]
        deliveries = [delivery for event in events for delivery in _deliveries(event, now)]
        Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
        places = enumerate(events, head.position + 1)
        Published.objects.bulk_create(Published(position=position, event=event) for position, event in places)
        Pending.objects.filter(event__in=events).delete()
        OutboxHead.objects.filter(pk=THE_HEAD).update(position=head.position + len(events))
    return len(events)


def _deliveries(event: Event, now: datetime) -> list[Delivery]:
    """What there is to deliver of an event; where its audience or its wording fails, nothing, and the log says so."""
    if event.kind not in settings.NOTIFICATION_AUDIENCES:
        return []
    try:
        with transaction.atomic():
            return _told(event, audience(event), now)
    except Exception:
        log.exception("fanout_failed", kind=event.kind, event_id=event.pk)
        return []


def _told(event: Event, recipients: list[User], now: datetime) -> list[Delivery]:
    if not recipients:
        return []
    subject, body, page = _words(event)
    words = {"subject": subject, "body": body, "url": page, "created_at": now}
    inbox = {"channel": Channel.INBOX, "state": Delivery.State.SENT, "sent_at": now}
    email = {"channel": Channel.EMAIL, "state": Delivery.State.PENDING, "next_attempt_at": now}
    return [
        Delivery(event=event, recipient=recipient, **words, **how)
        for recipient in recipients
        for how in ([inbox, email] if recipient.email else [inbox])
    ]


def _words(event: Event) -> tuple[str, str, str]:
    """Subject, body, and the path of the page where it is answered: the record's, unless the template sets `page`."""
    record = record_of(event)
    context = Context({"event": event, "record": record, "page": ""}, autoescape=False)
    text = Engine.get_default().get_template(template_of(event.kind)).render(context)
    subject, _, body = text.strip().partition("\n")
    return _one_line(subject), body.strip(), context["page"] or _page_of(record)


def _one_line(subject: str) -> str:
    """What fits into a mail header: printable, one line, not too long."""
    return "".join(char for char in " ".join(subject.split()) if char.isprintable())[:200]


def _page_of(record: Aggregate) -> str:
    """The path of the record's page; the start page where it has none."""
    try:
        return reverse(f"admin:{record._meta.app_label}_{record._meta.model_name}_change", args=[record.pk])
    except NoReverseMatch:
        return reverse("admin:index")
