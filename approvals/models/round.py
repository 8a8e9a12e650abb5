"""Rounds and votes: one content, who was asked, and what each of them said."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q

from approvals.models.change import ChangeRequest
from releasemgmt.accounts.models import User
from releasemgmt.releases.models import Release


class RoundQuerySet(models.QuerySet["ApprovalRound"]):
    """Rounds, filtered in the domain's words."""

    def visible_to(self, user: User) -> RoundQuerySet:
        """Those on records of the user's teams."""
        teams = user.visible_team_ids()
        mine = Q(release__product__team__in=teams or ()) | Q(change__product__team__in=teams or ())
        return self if teams is None else self.filter(mine)

    def about(self, subject: Release | ChangeRequest) -> RoundQuerySet:
        """The rounds of one subject, the newest first."""
        return self.filter(**{subject_field(subject): subject}).order_by("-pk")

    def open(self) -> RoundQuerySet:
        """Those that are not decided yet."""
        return self.filter(state=ApprovalRound.State.OPEN)

    def standing(self) -> RoundQuerySet:
        """Those that are open or approved: what a sign-off can rest on."""
        return self.filter(state__in=[ApprovalRound.State.OPEN, ApprovalRound.State.APPROVED])

    def with_subject(self) -> RoundQuerySet:
        """Read together with what they are about."""
        return self.select_related("release__product", "release__model", "change__product", "opened_by")


def subject_field(subject: Release | ChangeRequest) -> str:
    """The column of a round that points to such a subject."""
    return "change" if isinstance(subject, ChangeRequest) else "release"


class ApprovalRound(models.Model):
    """The question put to the voters: one subject, one digest of its content, one snapshot of the policies.

    Whether its subject has changed since (`stale`) is computed at every use, never stored.
    """

    class State(models.TextChoices):
        OPEN = "open", "Open"
        APPROVED = "approved", "Approved"
        REJECTED = "rejected", "Rejected"
        EXPIRED = "expired", "Expired"
        WITHDRAWN = "withdrawn", "Withdrawn"

    release = models.ForeignKey(
        Release, on_delete=models.PROTECT, null=True, blank=True, related_name="rounds", db_index=False
    )
    change = models.ForeignKey(
        ChangeRequest, on_delete=models.PROTECT, null=True, blank=True, related_name="rounds", db_index=False
    )
    digest = models.CharField(max_length=71)
    content = models.JSONField()
    #: The policies that matched, as `{"key", "version"}`, and what they ask for together: `{"role", "count", "veto"}`.
    policies = models.JSONField()
    stages = models.JSONField()
    #: Who had worked on the content when the round opened: stream → `{"seq": its last event then, "people": [ids]}`.
    editors = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN, editable=False)
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)

    objects = RoundQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(release=None, change__isnull=False) | Q(release__isnull=False, change=None),
                name="round_has_one_subject",
            ),
            models.UniqueConstraint(fields=["release"], condition=Q(state="open"), name="one_open_round_a_release"),
            models.UniqueConstraint(fields=["change"], condition=Q(state="open"), name="one_open_round_a_change"),
            models.CheckConstraint(
                condition=Q(state="open", decided_at=None) | (~Q(state="open") & Q(decided_at__isnull=False)),
                name="round_is_decided_at_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["release", "-id"], name="round_of_release"),
            models.Index(fields=["change", "-id"], name="round_of_change"),
            models.Index(fields=["state", "-opened_at", "-id"], name="round_list_by_state"),
            models.Index(fields=["-opened_at", "-id"], name="round_list"),
        ]

    def __str__(self) -> str:
        return f"Round {self.pk} on {self.subject}"

    @property
    def subject(self) -> Release | ChangeRequest:
        """What is to be approved."""
        subject = self.release or self.change
        if subject is None:
            raise ValueError("A round without a subject.")
        return subject

    def settle(self, state: str, *, at: datetime) -> None:
        """Set how it ended; the command saves it."""
        self.state, self.decided_at = state, at


class Vote(models.Model):
    """What one person said in a round about the content they saw: never changed, at most revoked."""

    class Decision(models.TextChoices):
        APPROVE = "approve", "Approve"
        REJECT = "reject", "Reject"
        ABSTAIN = "abstain", "Abstain"

    class Channel(models.TextChoices):
        API = "api", "API"
        ADMIN = "admin", "Admin"

    round = models.ForeignKey(ApprovalRound, on_delete=models.PROTECT, related_name="votes")
    voter = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    decision = models.CharField(max_length=10, choices=Decision.choices)
    comment = models.TextField(blank=True)
    digest = models.CharField(max_length=71)
    at = models.DateTimeField()
    channel = models.CharField(max_length=10, choices=Channel.choices, default=Channel.API)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["round", "voter"], condition=Q(revoked_at=None), name="one_live_vote_a_person_a_round"
            ),
            models.CheckConstraint(condition=~Q(decision="reject") | ~Q(comment=""), name="a_rejection_says_why"),
        ]
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"{self.voter}: {self.get_decision_display().lower()}"
