"""The change request: what somebody wants changed, why, how and when, and its life from draft to closed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from approvals.models.change_model import ChangeModel
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Scope, User
from releasemgmt.catalog.models import Component, Environment, Product
from releasemgmt.releases.models import Release, Risk
from releasemgmt.workflow.errors import Invalid
from releasemgmt.workflow.fsm import Allow, Computed, engine_only, state_field, transition
from releasemgmt.workflow.models import StatefulModel


class Named:
    """Allows those whom the record names in one of these fields, and whom `also` allows."""

    def __init__(self, *fields: str, title: str, also: Allow | None = None) -> None:
        self.fields = fields
        self.also = also
        self.description = f"{title} or {also.description}" if also else title

    def __call__(self, actor: User, obj: Any) -> bool:
        if self.also and self.also(actor, obj):
            return True
        named = actor.pk in [getattr(obj, f"{field}_id") for field in self.fields]
        return named and actor.is_active and actor.has_scope(Scope.WRITE) and actor.may_comment_on(obj)


by_requester = Named("created_by", "requested_by", title="the requester")
by_requester_or_manager = Named("created_by", "requested_by", title="the requester", also=roles.manage_releases)
by_implementer = Named("implementer", title="the implementer", also=engine_only)


class ChangeQuerySet(models.QuerySet["ChangeRequest"]):
    """Change requests, filtered in the domain's words."""

    def visible_to(self, user: User) -> ChangeQuerySet:
        """Those of the user's teams."""
        return roles.visible_to(user, self, team="product__team")

    def riding_with(self, release: Release) -> ChangeQuerySet:
        """Those that a release's round decides about, in the order of locks."""
        return self.filter(releases=release).select_related("model").order_by("pk")

    def live(self) -> ChangeQuerySet:
        """Those that are handed in and not carried out yet: what can get in the way of each other."""
        return self.filter(state__in=LIVE)

    def overlapping(self, starts_at: datetime, ends_at: datetime) -> ChangeQuerySet:
        """Those planned for some time between these; an interval ends before its end."""
        return self.filter(planned_start__lt=ends_at, planned_end__gt=starts_at)

    def owing_retrospective(self, now: datetime) -> ChangeQuerySet:
        """Those whose retrospective is overdue unless it is approved; few at any time."""
        states = [ChangeRequest.State.IMPLEMENTATION, ChangeRequest.State.REVIEW]
        return self.filter(retrospective_due_at__lte=now, state__in=states).order_by("pk")


def _where_submitted(change: ChangeRequest) -> str:
    """An emergency is asked for at once, a standard change was approved with its model."""
    return str(SUBMITTED[Type(change.type)])


class ChangeRequest(StatefulModel):
    """A proposal to change a product: assessed, authorised by a round of approval, implemented, reviewed."""

    NUMBER_PREFIX = "CHG"
    locked_with = ("product", "model")

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        ASSESSMENT = "assessment", "Assessment"
        AUTHORIZATION = "authorization", "Authorization"
        SCHEDULED = "scheduled", "Scheduled"
        IMPLEMENTATION = "implementation", "Implementation"
        REVIEW = "review", "Review"
        CLOSED = "closed", "Closed"
        CANCELLED = "cancelled", "Cancelled"

    class Type(models.TextChoices):
        STANDARD = "standard", "Standard"
        NORMAL = "normal", "Normal"
        EMERGENCY = "emergency", "Emergency"

    class Outcome(models.TextChoices):
        SUCCESSFUL = "successful", "Successful"
        SUCCESSFUL_WITH_ISSUES = "successful_with_issues", "Successful with issues"
        UNSUCCESSFUL = "unsuccessful", "Unsuccessful"

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="changes")
    type = models.CharField(max_length=10, choices=Type.choices, default=Type.NORMAL)
    #: The recipe that a standard change follows.
    model = models.ForeignKey(
        ChangeModel, on_delete=models.PROTECT, null=True, blank=True, related_name="changes", db_index=False
    )
    state = state_field(default=State.DRAFT, choices=State.choices)
    title = models.CharField(max_length=200)
    justification = models.TextField(blank=True)
    impact = models.TextField(blank=True)
    risk = models.CharField(max_length=10, choices=Risk.choices, default=Risk.LOW)
    implementation_plan = models.TextField(blank=True)
    test_plan = models.TextField(blank=True)
    backout_plan = models.TextField(blank=True)
    environments = models.ManyToManyField(Environment, related_name="changes", blank=True)
    components = models.ManyToManyField(Component, related_name="changes", blank=True)
    #: The approved interval: a plan moves inside it freely.
    planned_start = models.DateTimeField(null=True, blank=True)
    planned_end = models.DateTimeField(null=True, blank=True)
    outage_expected = models.BooleanField(default=False)
    outage_minutes = models.PositiveIntegerField(null=True, blank=True)
    incident_reference = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    implementer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    #: The releases with which it rides: their rounds decide about it too.
    releases = models.ManyToManyField(Release, related_name="changes", blank=True)
    outcome = models.CharField(max_length=25, choices=Outcome.choices, blank=True, editable=False)
    review = models.TextField(blank=True)
    #: Carried out before anybody authorised it.
    unauthorised = models.BooleanField(default=False, editable=False)
    #: Until when those who were not asked before look back at what was acted on first, and since when they are late.
    retrospective_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    retrospective_missed_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ChangeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(planned_start=None) | Q(planned_end=None) | Q(planned_start__lt=F("planned_end")),
                name="change_starts_before_it_ends",
            ),
            models.CheckConstraint(
                condition=Q(outage_minutes=None) | Q(outage_expected=True), name="outage_has_a_length_if_expected"
            ),
            models.CheckConstraint(condition=Q(model=None) | Q(type="standard"), name="standard_changes_have_models"),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="change_list"),
            models.Index(fields=["state", "-created_at", "-id"], name="change_list_by_state"),
            models.Index(fields=["product", "-created_at", "-id"], name="change_list_by_product"),
            models.Index(fields=["state", "planned_end"], name="change_interval"),
            models.Index(fields=["model", "-id"], name="change_of_model"),
            models.Index(
                fields=["retrospective_due_at"],
                condition=Q(retrospective_due_at__isnull=False),
                name="change_owes_retrospective",
            ),
        ]

    @property
    def owning_team_id(self) -> int | None:
        return self.product.team_id

    @transition(
        source=State.DRAFT,
        target=Computed(_where_submitted, (State.ASSESSMENT, State.SCHEDULED, State.AUTHORIZATION)),
        allow=by_requester,
        label="Submit",
    )
    def submit(self) -> None:
        """It is written down: a normal one is assessed, a standard one scheduled, an emergency asked for at once."""

    @transition(
        source=State.DRAFT,
        target=State.REVIEW,
        allow=roles.record_changes,
        label="Record",
        optional=("outcome",),
    )
    def record(self, outcome: str = "") -> None:
        """It was carried out already: by nobody's leave, or as an emergency that was acted on first."""
        self.unauthorised = self.type != self.Type.EMERGENCY
        if outcome:
            self._end(outcome)

    @transition(source=State.ASSESSMENT, target=State.AUTHORIZATION, allow=roles.manage_releases, label="Assess")
    def assess(self) -> None:
        """Its risk is known; those whom the policies name are asked."""

    @transition(source=State.AUTHORIZATION, target=State.SCHEDULED, allow=engine_only, label="Authorize")
    def authorize(self) -> None:
        """Its round, or that of its release, was approved."""

    @transition(source=State.AUTHORIZATION, target=State.DRAFT, allow=engine_only, label="Reject")
    def reject(self) -> None:
        """Its round, or that of its release, was rejected."""

    @transition(
        source=[State.ASSESSMENT, State.AUTHORIZATION, State.SCHEDULED],
        target=State.DRAFT,
        allow=by_requester_or_manager,
        label="Revise",
        required=("reason",),
    )
    def revise(self, reason: str) -> None:
        """Something of it has to change; it will be submitted again."""

    @transition(source=State.SCHEDULED, target=State.IMPLEMENTATION, allow=by_implementer, label="Implement")
    def implement(self) -> None:
        """The work on it has begun."""

    @transition(
        source=State.IMPLEMENTATION,
        target=State.REVIEW,
        allow=by_implementer,
        label="Finish",
        required=("outcome",),
    )
    def finish(self, outcome: str) -> None:
        """The work on it has ended, well or not."""
        self._end(outcome)

    def _end(self, outcome: str) -> None:
        if outcome not in self.Outcome.values:
            raise Invalid({"outcome": f"Choose one of {', '.join(self.Outcome.values)}."})
        self.outcome = outcome

    @transition(
        source=State.REVIEW,
        target=State.CLOSED,
        allow=roles.manage_releases,
        label="Close",
        optional=("review",),
    )
    def close(self, review: str = "") -> None:
        """Nothing is left to do, and after trouble it was reviewed."""

    @transition(
        source=[State.DRAFT, State.ASSESSMENT, State.AUTHORIZATION, State.SCHEDULED],
        target=State.CANCELLED,
        allow=by_requester_or_manager,
        label="Cancel",
        required=("reason",),
        final=True,
    )
    def cancel(self, reason: str) -> None:
        """It will not be carried out."""


State, Type = ChangeRequest.State, ChangeRequest.Type
#: Where submitting leads.
SUBMITTED = {Type.NORMAL: State.ASSESSMENT, Type.STANDARD: State.SCHEDULED, Type.EMERGENCY: State.AUTHORIZATION}
#: Handed in and not carried out yet.
LIVE = (State.ASSESSMENT, State.AUTHORIZATION, State.SCHEDULED, State.IMPLEMENTATION)
