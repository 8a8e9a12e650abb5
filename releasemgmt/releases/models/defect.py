"""Known defects: their life, and what they mean for a release."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Environment, Product
from releasemgmt.releases.models.release import Release
from releasemgmt.workflow.fsm import state_field, transition
from releasemgmt.workflow.models import StatefulModel


class DefectQuerySet(models.QuerySet["KnownDefect"]):
    """Known defects, filtered in the domain's words."""

    def visible_to(self, user: User) -> DefectQuerySet:
        """Those of the user's teams."""
        return roles.visible_to(user, self, team="product__team")

    def open(self) -> DefectQuerySet:
        """Those that are neither fixed nor rejected."""
        return self.filter(state__in=KnownDefect.OPEN_STATES)


class KnownDefect(StatefulModel):
    """Something that is known to be wrong with a product, with its workaround."""

    NUMBER_PREFIX = "DEF"
    locked_with = ("product",)

    class State(models.TextChoices):
        OPEN = "open", "Open"
        WORKAROUND_AVAILABLE = "workaround_available", "Workaround available"
        FIXED = "fixed", "Fixed"
        VERIFIED = "verified", "Verified"
        CLOSED = "closed", "Closed"
        REJECTED = "rejected", "Rejected"

    class Severity(models.TextChoices):
        BLOCKER = "blocker", "Blocker"
        CRITICAL = "critical", "Critical"
        MAJOR = "major", "Major"
        MINOR = "minor", "Minor"
        TRIVIAL = "trivial", "Trivial"

    OPEN_STATES = (State.OPEN, State.WORKAROUND_AVAILABLE)
    BLOCKING = (Severity.BLOCKER, Severity.CRITICAL)
    MATERIAL = (Severity.BLOCKER, Severity.CRITICAL, Severity.MAJOR)

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="known_defects")
    component = models.ForeignKey(
        Component, on_delete=models.PROTECT, null=True, blank=True, related_name="known_defects"
    )
    title = models.CharField(max_length=200)
    symptom = models.TextField(blank=True)
    cause = models.TextField(blank=True)
    workaround = models.TextField(blank=True)
    severity = models.CharField(max_length=10, choices=Severity.choices, default=Severity.MINOR)
    detected_in = models.ForeignKey(Environment, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    external_reference = models.CharField(max_length=500, blank=True)
    #: Unknown only of one that was imported with the release that fixed it.
    opened_at = models.DateTimeField(null=True)
    imported = models.BooleanField(default=False)
    reported_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    state = state_field(default=State.OPEN, choices=State.choices)

    objects = DefectQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(imported=True) | Q(opened_at__isnull=False), name="defect_opened_at_a_time"
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="defect_list"),
            models.Index(fields=["product", "state", "-created_at", "-id"], name="defect_list_by_product"),
        ]

    @property
    def owning_team_id(self) -> int | None:
        return self.product.team_id

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN_STATES

    @transition(
        source=State.OPEN,
        target=State.WORKAROUND_AVAILABLE,
        allow=roles.edit_records,
        label="Offer workaround",
        required=("workaround",),
    )
    def offer_workaround(self, workaround: str) -> None:
        """People can work on in spite of it."""
        self.workaround = workaround

    @transition(
        source=[State.OPEN, State.WORKAROUND_AVAILABLE],
        target=State.FIXED,
        allow=roles.edit_records,
        label="Fix",
    )
    def fix(self) -> None:
        """The cause is removed in the code."""

    @transition(source=State.FIXED, target=State.VERIFIED, allow=roles.edit_records, label="Verify")
    def verify(self) -> None:
        """Somebody saw that it is gone."""

    @transition(source=State.VERIFIED, target=State.CLOSED, allow=roles.edit_records, label="Close")
    def close(self) -> None:
        """Nothing is left to do."""

    @transition(
        source=[State.FIXED, State.VERIFIED, State.CLOSED],
        target=State.OPEN,
        allow=roles.edit_records,
        label="Reopen",
        required=("reason",),
    )
    def reopen(self, reason: str) -> None:
        """It is there again; the same record goes on."""

    @transition(
        source=[State.OPEN, State.WORKAROUND_AVAILABLE],
        target=State.REJECTED,
        allow=roles.edit_records,
        label="Reject",
        required=("reason",),
        final=True,
    )
    def reject(self, reason: str) -> None:
        """It is no defect, or will not be fixed."""


class DefectLink(models.Model):
    """What a known defect means for a release, and what was decided about it."""

    class Relation(models.TextChoices):
        AFFECTS = "affects", "Affects"
        FIXED_IN = "fixed_in", "Fixed in"
        INTRODUCED_BY = "introduced_by", "Introduced by"

    class Disposition(models.TextChoices):
        MUST_FIX = "must_fix", "Must be fixed"
        ACCEPTED = "accepted", "Accepted"
        DEFERRED = "deferred", "Deferred"

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="defect_links")
    defect = models.ForeignKey(KnownDefect, on_delete=models.PROTECT, related_name="release_links")
    relation = models.CharField(max_length=20, choices=Relation.choices, default=Relation.AFFECTS)
    disposition = models.CharField(max_length=10, choices=Disposition.choices, default=Disposition.MUST_FIX)
    reason = models.TextField(blank=True)
    accepted_until = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["release", "defect", "relation"], name="defect_once_in_a_release"),
            models.CheckConstraint(
                condition=~Q(disposition="accepted")
                | (~Q(reason="") & Q(accepted_until__isnull=False) & Q(decided_by__isnull=False)),
                name="accepted_defect_says_why_and_until_when",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.defect} {self.get_relation_display().lower()}"

    @property
    def is_signed(self) -> bool:
        """Whether it is part of what people sign of the release: a defect from major up that affects it."""
        return self.relation == self.Relation.AFFECTS and self.defect.severity in KnownDefect.MATERIAL

    @property
    def is_grave(self) -> bool:
        """Whether an open blocker or critical affects the release."""
        grave = self.defect.severity in KnownDefect.BLOCKING and self.defect.state in KnownDefect.OPEN_STATES
        return grave and self.relation == self.Relation.AFFECTS

    def is_accepted(self, now: datetime) -> bool:
        """Whether it was accepted for the release, and still is."""
        accepted = self.disposition == self.Disposition.ACCEPTED
        return accepted and self.accepted_until is not None and self.accepted_until > now
