"""Incidents: when a product was down or degraded, what caused it and what ended it; each correction is a revision."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from deployments.models.deployment import Deployment
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Environment, Product
from releasemgmt.workflow.models import Aggregate


class FactsQuerySet(models.QuerySet[Any]):
    """Incidents, or what was known of them, filtered in the domain's words."""

    def visible_to(self, user: User) -> Self:
        """Those of the user's teams."""
        return roles.visible_to(user, self, team="product__team")

    def standing(self) -> Self:
        """Those that were not recorded in error."""
        return self.filter(withdrawn=False)

    def unplanned(self) -> Self:
        """Those that count as trouble: planned ones come from other systems' histories only."""
        return self.standing().filter(planned=False)

    def open(self) -> Self:
        """Those that go on."""
        return self.standing().filter(restored_at=None)

    def going_on(self) -> Self:
        """Those that are trouble now: neither announced nor mere notices."""
        return self.unplanned().open().exclude(kind=IncidentFacts.Kind.NOTICE)

    def overlapping(self, begin: datetime, end: datetime) -> Self:
        """Those that go on at some time of a half-open interval; one without length counts where it starts."""
        reaches_it = Q(restored_at=None) | Q(restored_at__gt=begin) | Q(started_at__gte=begin)
        return self.filter(reaches_it, started_at__lt=end)


class IncidentFacts(models.Model):
    """What is known of an incident; shared by the incident as it is known now and by each of its revisions."""

    class Kind(models.TextChoices):
        DOWN = "down", "Down"
        DEGRADED = "degraded", "Degraded"
        #: Imported only: something was announced, nothing was down.
        NOTICE = "notice", "Notice"

    class Severity(models.TextChoices):
        CRITICAL = "critical", "Critical"
        MAJOR = "major", "Major"
        MINOR = "minor", "Minor"

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+", db_index=False)
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    title = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    severity = models.CharField(max_length=10, choices=Severity.choices, default=Severity.MAJOR)
    started_at = models.DateTimeField()
    detected_at = models.DateTimeField(null=True, blank=True)
    #: When users had it back; empty while it goes on.
    restored_at = models.DateTimeField(null=True, blank=True)
    caused_by = models.ForeignKey(Deployment, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    cause_confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    fixed_by = models.ForeignKey(
        Deployment, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    fix_confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    #: Announced beforehand, as a history from elsewhere says; here that is a change with an outage.
    planned = models.BooleanField(default=False)
    #: Recorded in error: it counts nowhere.
    withdrawn = models.BooleanField(default=False)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(restored_at=None) | Q(started_at__lte=F("restored_at")),
                name="%(class)s_starts_before_it_ends",
            ),
            models.CheckConstraint(
                condition=Q(detected_at=None) | Q(started_at__lte=F("detected_at")),
                name="%(class)s_starts_before_it_is_seen",
            ),
            models.CheckConstraint(
                condition=Q(caused_by=None, cause_confirmed_by=None)
                | Q(caused_by__isnull=False, cause_confirmed_by__isnull=False),
                name="%(class)s_cause_is_confirmed",
            ),
            models.CheckConstraint(
                condition=Q(fixed_by=None, fix_confirmed_by=None)
                | Q(fixed_by__isnull=False, fix_confirmed_by__isnull=False),
                name="%(class)s_fix_is_confirmed",
            ),
        ]


class Incident(IncidentFacts, Aggregate):
    """Something users could not use, or not as they should, as it is known now. It is open until it is restored."""

    NUMBER_PREFIX = "INC"
    locked_with = ("product", "environment")

    class State(models.TextChoices):
        OPEN = "open", "Open"
        RESTORED = "restored", "Restored"
        WITHDRAWN = "withdrawn", "Withdrawn"

    #: Which rows are in which state.
    STATES: ClassVar[Mapping[str, Q]] = {
        State.OPEN: Q(withdrawn=False, restored_at=None),
        State.RESTORED: Q(withdrawn=False, restored_at__isnull=False),
        State.WITHDRAWN: Q(withdrawn=True),
    }

    components: models.ManyToManyField[Component, Any] = models.ManyToManyField(
        Component, related_name="incidents", blank=True
    )
    #: What the system calls it from whose history it was imported; empty where it was reported here.
    external_id = models.CharField(max_length=200, blank=True, editable=False)
    #: Empty for what was imported.
    reported_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    #: When anybody wrote it down first, here or where it was imported from.
    recorded_at = models.DateTimeField()

    objects = FactsQuerySet.as_manager()

    class Meta(IncidentFacts.Meta):
        constraints = [
            *IncidentFacts.Meta.constraints,
            models.CheckConstraint(
                condition=~Q(external_id="") | (Q(environment__isnull=False, planned=False) & ~Q(kind="notice")),
                name="only_an_imported_incident_is_planned_or_nowhere",
            ),
            models.CheckConstraint(
                condition=~Q(external_id="") | Q(reported_by__isnull=False), name="incident_is_imported_or_reported"
            ),
            models.UniqueConstraint(
                fields=["product", "external_id"], condition=~Q(external_id=""), name="incident_imported_once"
            ),
        ]
        indexes = [
            models.Index(fields=["-started_at", "-id"], name="incident_list"),
            models.Index(fields=["product", "-started_at", "-id"], name="incident_list_by_product"),
            models.Index(
                fields=["product", "-started_at", "-id"],
                condition=Q(restored_at=None, withdrawn=False),
                name="incident_open",
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"{self.NUMBER_PREFIX}-{self.pk}"

    @property
    def owning_team_id(self) -> int | None:
        return self.product.team_id

    @property
    def state(self) -> str:
        """Where it stands, by what is known of it."""
        if self.withdrawn:
            return self.State.WITHDRAWN
        return self.State.OPEN if self.restored_at is None else self.State.RESTORED

    def get_state_display(self) -> str:
        """The same in words."""
        return str(self.State(self.state).label)

    @property
    def is_open(self) -> bool:
        return self.state == self.State.OPEN

    @property
    def is_imported(self) -> bool:
        return self.external_id != ""


class RevisionQuerySet(FactsQuerySet):
    """What was known of incidents."""

    def known(self, as_of: datetime | None = None) -> RevisionQuerySet:
        """One row an incident: what is known now, or what was at a past instant."""
        if as_of is None:
            return self.filter(superseded_at=None)
        return self.filter(Q(superseded_at=None) | Q(superseded_at__gt=as_of), recorded_at__lte=as_of)


class IncidentRevision(IncidentFacts):
    """What was known of an incident from one instant until it was corrected; the incident itself repeats the last."""

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="revisions")
    #: The keys of its components.
    components = models.JSONField(default=list)
    recorded_at = models.DateTimeField()
    #: When the next revision was recorded; empty for the last.
    superseded_at = models.DateTimeField(null=True)

    objects = RevisionQuerySet.as_manager()

    class Meta(IncidentFacts.Meta):
        constraints = [
            *IncidentFacts.Meta.constraints,
            models.CheckConstraint(
                condition=Q(superseded_at=None) | Q(recorded_at__lte=F("superseded_at")),
                name="incident_is_corrected_after_it_is_recorded",
            ),
            models.UniqueConstraint(
                fields=["incident"], condition=Q(superseded_at=None), name="one_last_revision_an_incident"
            ),
        ]
        indexes = [
            models.Index(fields=["product", "started_at"], name="incident_revision_by_start"),
            models.Index(
                fields=["product", "started_at"], condition=Q(superseded_at=None), name="incident_revision_last"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.incident} as of {self.recorded_at:%Y-%m-%d %H:%M}"
