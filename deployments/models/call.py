"""Calls: what became of asking an endpoint to do a task."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Exists, F, OuterRef, Q

from deployments.models.endpoint import WebhookEndpoint
from deployments.models.override import LineStop
from deployments.models.task import DeploymentTask


class CallQuerySet(models.QuerySet["WebhookCall"]):
    """Calls, filtered in the domain's words."""

    def live(self) -> CallQuerySet:
        """Those that wait to be sent, or for the callback."""
        return self.filter(state__in=WebhookCall.LIVE)

    def current(self) -> CallQuerySet:
        """Those whose turn it still is: nobody has ended the task or the attempt, or begun another turn."""
        turns = DeploymentTask.objects.on_turn()
        return self.filter(task__in=turns, task__fencing_token=F("fencing_token"))

    def due(self, now: datetime) -> CallQuerySet:
        """Those to be sent now, the oldest first: nobody holds a lease, and no stopped line is in their way there."""
        free = Q(lease_until=None) | Q(lease_until__lte=now)
        product, environment = OuterRef("task__plan__release__product"), OuterRef("task__plan__environment")
        here = Q(product=None) | Q(product=product), Q(environment=None) | Q(environment=environment)
        waiting = self.filter(free, state=WebhookCall.State.PENDING, next_attempt_at__lte=now)
        stopped = Exists(LineStop.objects.standing().filter(*here))
        return waiting.exclude(stopped, task__is_backout=False).order_by("next_attempt_at", "pk")

    def overdue(self, now: datetime) -> CallQuerySet:
        """Those that were accepted, and whose callback has not come in time."""
        return self.filter(state=WebhookCall.State.ACCEPTED, due_at__lte=now)


class WebhookCall(models.Model):
    """One turn of a webhook task: sent until it is accepted, then waiting for the callback.

    `message_id` is the same however often it is sent, so that the other side does it once; `fencing_token` is the
    task's when the turn began, and only rises from turn to turn.
    """

    class State(models.TextChoices):
        PENDING = "pending", "To be sent"
        ACCEPTED = "accepted", "Accepted"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        GIVEN_UP = "given_up", "Given up"
        FENCED_OFF = "fenced_off", "Fenced off"

    LIVE = (State.PENDING, State.ACCEPTED)
    #: What a callback can say.
    REPORTED = (State.SUCCEEDED, State.FAILED)

    task = models.ForeignKey(DeploymentTask, on_delete=models.CASCADE, related_name="calls", db_index=False)
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.PROTECT, related_name="calls")
    fencing_token = models.PositiveIntegerField()
    message_id = models.CharField(max_length=40, unique=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    #: How often it was sent.
    sends = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    #: A sender owns the row until then; whoever comes later may take it over, and the first can't finish any more.
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_token = models.CharField(max_length=32, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    #: Why the last sending failed.
    error = models.CharField(max_length=200, blank=True)

    objects = CallQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "fencing_token"], name="one_call_a_turn"),
            models.CheckConstraint(
                condition=Q(state="pending", next_attempt_at__isnull=False)
                | (~Q(state="pending") & Q(next_attempt_at=None)),
                name="call_is_sent_again_iff_pending",
            ),
            models.CheckConstraint(
                condition=~Q(state="accepted") | Q(accepted_at__isnull=False, due_at__isnull=False),
                name="accepted_call_has_a_time_limit",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "accepted"], ended_at=None)
                | (~Q(state__in=["pending", "accepted"]) & Q(ended_at__isnull=False)),
                name="call_ended_iff_not_live",
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at", "id"], condition=Q(state="pending"), name="call_to_send"),
            models.Index(fields=["due_at", "id"], condition=Q(state="accepted"), name="call_to_time_out"),
        ]
        ordering = ["task", "-fencing_token"]

    def __str__(self) -> str:
        return self.message_id
