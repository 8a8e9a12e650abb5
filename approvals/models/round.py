"""Rounds and votes: one content, who was asked, and what each of them said."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import reduce
from operator import or_

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from approvals.models.change import ChangeRequest
from approvals.models.change_model import ChangeModel
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import ReleaseModel
from releasemgmt.releases.models import Release

#: What a round can be about, with the column that points to it.
Model = ReleaseModel | ChangeModel
Subject = Release | ChangeRequest | Model
SUBJECTS: dict[type[Subject], str] = {
    Release: "release",
    ChangeRequest: "change",
    ReleaseModel: "model",
    ChangeModel: "change_model",
}

#: Where a release's round can be opened, and takes votes.
RELEASE_STATES = (
    Release.State.INTEGRATION_TESTED,
    Release.State.ACCEPTED,
    Release.State.DEPLOYED,
    Release.State.CLOSED,
)
#: The same for a change's own round, and for its retrospective.
CHANGE_STATE, RETROSPECTIVE_STATE = ChangeRequest.State.AUTHORIZATION, ChangeRequest.State.REVIEW
#: Where what voters asked for is still to be met: signed, or about to be, and not deployed.
TO_DEPLOY = (*RELEASE_STATES[:2], CHANGE_STATE, ChangeRequest.State.SCHEDULED)


#: What a sign-off can rest on.
STANDING = ("open", "approved")
#: The columns of those who wait for a round's outcome.
AWAITED_BY = (
    "opened_by", "release__created_by", "release__requested_by", "release__release_manager",
    "change__created_by", "change__requested_by", "change__implementer",
)  # fmt: skip


class RoundQuerySet(models.QuerySet["ApprovalRound"]):
    """Rounds, filtered in the domain's words."""

    def visible_to(self, user: User) -> RoundQuerySet:
        """Those on records of the user's teams."""
        teams = user.visible_team_ids()
        return self if teams is None else self.in_teams(teams) if teams else self.none()

    def in_teams(self, teams: Collection[int]) -> RoundQuerySet:
        """Those on records of these teams, one at least, and on what belongs to no team."""
        theirs = Q(release__product__team__pk__in=teams) | Q(change__product__team__pk__in=teams)
        theirs |= Q(change_model__product__team__pk__in=teams)
        return self.filter(theirs | Q(model__isnull=False) | Q(change_model__isnull=False, change_model__product=None))

    def about(self, subject: Subject) -> RoundQuerySet:
        """The rounds of one subject, the newest first."""
        return self.filter(**{subject_field(subject): subject}).order_by("-pk")

    def in_question(self, subject: Subject) -> RoundQuerySet:
        """Those of the kind that its state asks for: the sign-off, or in review of a change the retrospective."""
        looking_back = isinstance(subject, ChangeRequest) and subject.state == RETROSPECTIVE_STATE
        return self.about(subject).filter(retrospective=looking_back)

    def open(self) -> RoundQuerySet:
        """Those that are not decided yet."""
        return self.filter(state=ApprovalRound.State.OPEN)

    def votable(self) -> RoundQuerySet:
        """The open ones whose subject is in a state in which they take votes."""
        return self.filter(_votable())

    def concerning(self, user: User, *, since: datetime) -> RoundQuerySet:
        """Those that take votes, those that the person waits for or that ended since, those with open conditions."""
        awaited = reduce(or_, (Q(**{path: user}) for path in AWAITED_BY))
        told = Q(state=ApprovalRound.State.OPEN) | Q(decided_at__gt=since) & ~Q(state=ApprovalRound.State.WITHDRAWN)
        unmet = Condition.objects.filter(met_at=None, vote__revoked_at=None)
        to_meet = (Q(release__state__in=TO_DEPLOY) | Q(change__state__in=TO_DEPLOY)) & Q(
            pk__in=unmet.values("vote__round")
        )
        return self.filter(_votable() | awaited & told | to_meet & Q(state__in=STANDING))

    def standing(self) -> RoundQuerySet:
        """Those that are open or approved: what a sign-off can rest on."""
        return self.filter(state__in=STANDING)

    def with_subject(self) -> RoundQuerySet:
        """Read together with what they are about."""
        subjects = ("release__product", "release__model", "change__product", "change__model", "model")
        return self.select_related(*subjects, "change_model__product", "opened_by")


def _votable() -> Q:
    release = Q(release__state__in=RELEASE_STATES)
    change = Q(change__state=CHANGE_STATE, retrospective=False)
    retrospective = Q(change__state=RETROSPECTIVE_STATE, retrospective=True)
    model = Q(model__isnull=False) | Q(change_model__isnull=False)
    return Q(state=ApprovalRound.State.OPEN) & (release | change | retrospective | model)


def subject_field(subject: Subject) -> str:
    """The column of a round that points to such a subject."""
    return next(field for kind, field in SUBJECTS.items() if isinstance(subject, kind))


def _one_subject() -> Q:
    """Exactly one of the columns is set."""
    either = Q()
    for field in SUBJECTS.values():
        either |= Q(**{f"{other}__isnull": other != field for other in SUBJECTS.values()})
    return either


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
    #: A release model whose pre-approval is asked for.
    model = models.ForeignKey(
        ReleaseModel, on_delete=models.PROTECT, null=True, blank=True, related_name="rounds", db_index=False
    )
    #: A model of standard changes, in the same way.
    change_model = models.ForeignKey(
        ChangeModel, on_delete=models.PROTECT, null=True, blank=True, related_name="rounds", db_index=False
    )
    #: About what was done already: an emergency that was acted on first, or a change that nobody had authorised.
    retrospective = models.BooleanField(default=False)
    digest = models.CharField(max_length=71)
    content = models.JSONField()
    #: What the policies looked at (policies.Ask), in this round and in those before it that it has to keep up with.
    asks = models.JSONField(default=list)
    #: The policies that matched, as `{"key", "version"}`, and what they ask for together (policies.Stage).
    policies = models.JSONField()
    stages = models.JSONField()
    #: The step of the stages that is asked now; it never goes back.
    step = models.PositiveSmallIntegerField(default=1)
    #: Who had worked on the content when the round opened: stream → `{"seq": its last event then, "people": [ids]}`.
    editors = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN, editable=False)
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    #: When an answer is wanted; after that it is escalated, and in the end it expires.
    due_at = models.DateTimeField()
    #: When the minute tick looks at it next, and how often it has spoken up: reminded, escalated.
    follow_up_at = models.DateTimeField()
    follow_ups = models.PositiveSmallIntegerField(default=0)
    #: Since when it is known that too few people are left; its owners were told then.
    unreachable_at = models.DateTimeField(null=True, blank=True)

    objects = RoundQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=_one_subject(), name="round_has_one_subject"),
            *(
                models.UniqueConstraint(fields=[field], condition=Q(state="open"), name=f"one_open_round_a_{field}")
                for field in SUBJECTS.values()
            ),
            models.CheckConstraint(
                condition=Q(state="open", decided_at=None) | (~Q(state="open") & Q(decided_at__isnull=False)),
                name="round_is_decided_at_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["release", "-id"], name="round_of_release"),
            models.Index(fields=["change", "-id"], name="round_of_change"),
            models.Index(fields=["model", "-id"], name="round_of_model"),
            models.Index(fields=["change_model", "-id"], name="round_of_change_model"),
            models.Index(fields=["follow_up_at"], condition=Q(state="open"), name="round_to_follow_up"),
            models.Index(fields=["state", "-opened_at", "-id"], name="round_list_by_state"),
            models.Index(fields=["-opened_at", "-id"], name="round_list"),
        ]

    def __str__(self) -> str:
        return f"Round {self.pk} on {self.subject}"

    @property
    def subject_key(self) -> Subject:
        """Its subject with nothing read but the key: enough to lock it, which reads the rest."""
        keys = ((kind, getattr(self, f"{field}_id")) for kind, field in SUBJECTS.items())
        return next(kind(pk=key) for kind, key in keys if key is not None)

    @property
    def subject(self) -> Subject:
        """What is to be approved."""
        subject = self.release or self.change or self.model or self.change_model
        if subject is None:
            raise ValueError("A round without a subject.")
        return subject

    @property
    def record(self) -> Release | ChangeRequest:
        """The release or change request that it is about; a pre-approval is about neither."""
        record = self.release or self.change
        if record is None:
            raise ValueError("A round about a model.")
        return record

    @property
    def awaited_by(self) -> set[int]:
        """Those who wait for its outcome: who opened it, who asked for the record, who answers for it."""
        subject, waiting = self.subject, {self.opened_by_id}
        if isinstance(subject, Release | ChangeRequest):
            answering = subject.implementer_id if isinstance(subject, ChangeRequest) else subject.release_manager_id
            waiting |= set(filter(None, (subject.created_by_id, subject.requested_by_id, answering)))
        return waiting

    @property
    def has_conditions_to_meet(self) -> bool:
        """Whether what its voters asked for still has a say in the deployment."""
        return self.state in STANDING and not self.retrospective and getattr(self.subject, "state", "") in TO_DEPLOY

    @property
    def takes_votes(self) -> bool:
        """Whether its subject is in a state in which it is asked for."""
        subject = self.subject
        if isinstance(subject, ChangeRequest):
            return bool(subject.state == (RETROSPECTIVE_STATE if self.retrospective else CHANGE_STATE))
        return isinstance(subject, Model) or subject.state in RELEASE_STATES

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
    #: In whose place they voted, by delegation.
    on_behalf_of = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    #: The seats that the vote could fill when it was cast: roles, teams, boards.
    seats = models.JSONField(default=list)
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
            models.UniqueConstraint(
                F("round"), Coalesce("on_behalf_of", "voter"), condition=Q(revoked_at=None), name="one_live_vote_a_seat"
            ),
            models.CheckConstraint(condition=~Q(decision="reject") | ~Q(comment=""), name="a_rejection_says_why"),
            models.CheckConstraint(
                condition=Q(on_behalf_of=None) | ~Q(on_behalf_of=F("voter")), name="a_vote_in_place_of_another"
            ),
        ]
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"{self.voter}: {self.get_decision_display().lower()}"

    @property
    def owner_id(self) -> int:
        """The person whose seat it fills: its voter, or the one in whose place they voted."""
        return self.on_behalf_of_id or self.voter_id


class Condition(models.Model):
    """What a voter asked for with a “yes, if”: to be met before the deployment to production starts."""

    vote = models.ForeignKey(Vote, on_delete=models.PROTECT, related_name="conditions")
    text = models.CharField(max_length=500)
    met_at = models.DateTimeField(null=True, blank=True)
    met_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    evidence = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(text=""), name="condition_says_what"),
            models.CheckConstraint(
                condition=Q(met_at=None, met_by=None) | (Q(met_at__isnull=False) & Q(met_by__isnull=False)),
                name="condition_is_met_by_somebody",
            ),
        ]
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.text
