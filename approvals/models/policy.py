"""Policies: whose approval a subject needs, as versioned data that two people agreed to."""

from __future__ import annotations

from django.db import models
from django.db.models import Case, Exists, F, OuterRef, Q, Value, When

from releasemgmt.accounts.models import Proposal
from releasemgmt.catalog.models import KEY
from releasemgmt.workflow.models import Aggregate


class PolicyQuerySet(models.QuerySet["ApprovalPolicy"]):
    """Policies, filtered in the domain's words."""

    def agreed(self) -> PolicyQuerySet:
        """Those that a second person agreed to."""
        return self.filter(state=ApprovalPolicy.State.ACCEPTED)

    def waiting(self) -> PolicyQuerySet:
        """Those that wait for a second person, the oldest first."""
        return self.filter(state=ApprovalPolicy.State.PROPOSED).order_by("proposed_at", "pk")

    def with_standing(self) -> PolicyQuerySet:
        """Each with its `standing`: what has become of it by now."""
        later = ApprovalPolicy.objects.agreed().filter(key=OuterRef("key"), version__gt=OuterRef("version"))
        standing = Case(
            When(~Q(state=ApprovalPolicy.State.ACCEPTED), then=F("state")),
            When(Exists(later), then=Value(ApprovalPolicy.Standing.SUPERSEDED)),
            When(retired=True, then=Value(ApprovalPolicy.Standing.ENDED)),
            default=Value(ApprovalPolicy.Standing.IN_FORCE),
        )
        return self.annotate(standing=standing)

    def of_standing(self, *standings: str) -> PolicyQuerySet:
        """Those of which that has become by now."""
        return self.with_standing().filter(Q(standing__in=standings))


class ApprovalPolicy(Aggregate, Proposal):
    """Who must approve what: the newest version of each key that was agreed to counts.

    `conditions` is `{"risk" | "type" | "tier" | "team": [values]}`, empty for all; `stages` a list of policies.Stage.
    """

    class Standing(models.TextChoices):
        """What has become of a version: counted among the others of its key."""

        IN_FORCE = "in_force", "In force"
        PROPOSED = "proposed", "Proposed"
        SUPERSEDED = "superseded", "Superseded"
        ENDED = "ended", "Ended"
        DECLINED = "declined", "Declined"
        WITHDRAWN = "withdrawn", "Withdrawn"

    class Subject(models.TextChoices):
        RELEASE = "release", "Releases"
        CHANGE = "change", "Change requests"
        ANY = "any", "Releases and change requests"
        PRE_APPROVAL = "pre_approval", "Pre-approvals of models"

    key = models.CharField(max_length=40, validators=[KEY])
    version = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=100)
    subject = models.CharField(max_length=12, choices=Subject.choices, default=Subject.ANY)
    conditions = models.JSONField(default=dict, blank=True)
    stages = models.JSONField(default=list)
    #: From this version on the key asks for nothing any more.
    retired = models.BooleanField(default=False)

    objects = PolicyQuerySet.as_manager()

    class Meta(Proposal.Meta):
        abstract = False
        constraints = [
            *Proposal.Meta.constraints,
            models.UniqueConstraint(fields=["key", "version"], name="policy_version_once"),
        ]
        ordering = ["key", "-version"]
        verbose_name_plural = "approval policies"

    def __str__(self) -> str:
        return f"{self.name} (version {self.version})"

    @property
    def number(self) -> str:
        return f"{self.key}@{self.version}"
