"""What people were told: one row for each event, channel and recipient."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from releasemgmt.accounts.models import User
from releasemgmt.workflow.models import Event


class Channel(models.TextChoices):
    """How somebody is told."""

    INBOX = "inbox", "Inbox"
    EMAIL = "email", "E-mail"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Deliveries, filtered in the domain's words."""

    def inbox_of(self, user: User) -> DeliveryQuerySet:
        """What the user finds in their inbox."""
        return self.filter(recipient=user, channel=Channel.INBOX)

    def unread(self) -> DeliveryQuerySet:
        """Inbox entries that their recipient has not read."""
        return self.filter(channel=Channel.INBOX, read_at=None)

    def due(self, now: datetime) -> DeliveryQuerySet:
        """What is to be sent now: its next attempt has come and nobody holds a lease on it. The oldest first."""
        free = Q(lease_until=None) | Q(lease_until__lte=now)
        return self.filter(free, state=Delivery.State.PENDING, next_attempt_at__lte=now).order_by(
            "next_attempt_at", "id"
        )

    def failed(self) -> DeliveryQuerySet:
        """What was given up."""
        return self.filter(state=Delivery.State.FAILED)


class Delivery(models.Model):
    """One event told to one person by one channel, in the words of the moment; an inbox entry is there at once."""

    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        SENT = "sent", "Sent"
        FAILED = "failed", "Given up"

    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    channel = models.CharField(max_length=10, choices=Channel.choices)
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="deliveries", db_index=False
    )
    subject = models.CharField(max_length=200)
    body = models.TextField()
    url = models.CharField(max_length=500)
    created_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    #: A sender owns the row until then; whoever comes later may take it over, and the first can't finish any more.
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_token = models.CharField(max_length=32, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)
    #: Why the last attempt failed.
    error = models.CharField(max_length=200, blank=True)

    objects: ClassVar[DeliveryQuerySet] = DeliveryQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["event", "channel", "recipient"], name="told_once_by_each_channel"),
            models.CheckConstraint(condition=Q(state="sent") ^ Q(sent_at=None), name="sent_at_iff_sent"),
            models.CheckConstraint(
                condition=Q(state="pending", next_attempt_at__isnull=False)
                | (~Q(state="pending") & Q(next_attempt_at=None)),
                name="next_attempt_iff_pending",
            ),
            models.CheckConstraint(condition=Q(channel="inbox") | Q(read_at=None), name="only_inbox_is_read"),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at", "id"], condition=Q(state="pending"), name="delivery_due"),
            models.Index(fields=["recipient", "-id"], name="delivery_list_of_recipient"),
            models.Index(
                fields=["recipient", "-id"], condition=Q(channel="inbox", read_at=None), name="delivery_unread"
            ),
            models.Index(fields=["state", "-id"], name="delivery_list_by_state"),
        ]

    def __str__(self) -> str:
        return self.subject
