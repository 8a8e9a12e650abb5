"""The release: the set of changes that reaches users, and its life from planned to closed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Product, ReleaseModel
from releasemgmt.releases.models.build import Build
from releasemgmt.releases.models.commit import Commit
from releasemgmt.workflow import fsm
from releasemgmt.workflow.fsm import engine_only, state_field, transition
from releasemgmt.workflow.models import StatefulModel


class Risk(models.TextChoices):
    """How much can go wrong; it routes approvals."""

    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"


#: How long a release that is held up is left alone while nothing happens to it: facts of other records may move.
LOOK_AGAIN = timedelta(minutes=1)
#: The same as `Release.heads`, in the database.
HEADS = F("event_seq") + F("product__event_seq") + F("model__event_seq")


class ByItself:
    """Whom `manage_releases` names; services and the system where the release's model lets the transition go by itself.

    The gates are the same for all of them.
    """

    description = f"{roles.manage_releases.description}; services and the system where the model lets it go by itself"

    def __init__(self, transition: str) -> None:
        self.transition = transition

    def __call__(self, actor: User, release: Any) -> bool:
        if roles.manage_releases(actor, release):
            return True
        return bool(release.model.lets(self.transition)) and roles.advance_releases(actor, release)


class ReleaseQuerySet(models.QuerySet["Release"]):
    """Releases, filtered in the domain's words."""

    def visible_to(self, user: User) -> ReleaseQuerySet:
        """Those of the user's teams."""
        return roles.visible_to(user, self, team="product__team")

    def going_by_themselves(self, now: datetime) -> ReleaseQuerySet:
        """Those that their model lets go from where they are; one found held up rests until something happens."""
        may = Q(pk=None)
        for model in ReleaseModel.objects.exclude(by_itself=[]):
            sources = [arrow.source for arrow in fsm.catalogue(Release) if model.lets(arrow.name)]
            may |= Q(model=model, state__in=sources)
        is_new = Q(held_up_at=None) | Q(held_up_at__lte=now - LOOK_AGAIN) | Q(held_up_heads__lt=HEADS)
        return self.filter(may, is_new, on_hold=False)

    def shipped(self) -> ReleaseQuerySet:
        """Those whose content reached users: deployed at some time, or imported as past."""
        return self.filter(Q(state__in=["deployed", "rolled_back", "closed"]) | Q(imported=True))


class Release(StatefulModel):
    """One version of a product on its way to users."""

    NUMBER_PREFIX = "REL"
    locked_with = ("product", "model")

    class State(models.TextChoices):
        PLANNED = "planned", "Planned"
        BUILT = "built", "Built"
        INTEGRATION_TESTED = "integration_tested", "Integration-tested"
        ACCEPTED = "accepted", "Accepted"
        DEPLOYED = "deployed", "Deployed"
        CLOSED = "closed", "Closed"
        ROLLED_BACK = "rolled_back", "Rolled back"
        CANCELLED = "cancelled", "Cancelled"

    class Type(models.TextChoices):
        MAJOR = "major", "Major"
        MINOR = "minor", "Minor"
        PATCH = "patch", "Patch"
        EMERGENCY = "emergency", "Emergency"

    class DatabaseChange(models.TextChoices):
        NONE = "none", "None"
        REVERSIBLE = "reversible", "Reversible"
        IRREVERSIBLE = "irreversible", "Irreversible"

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="releases")
    version = models.CharField(max_length=100)
    title = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    type = models.CharField(max_length=10, choices=Type.choices, default=Type.MINOR)
    model = models.ForeignKey(ReleaseModel, on_delete=models.PROTECT, related_name="releases", db_index=False)
    state = state_field(default=State.PLANNED, choices=State.choices)
    release_manager = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    target_date = models.DateField(null=True, blank=True)
    planned_start = models.DateTimeField(null=True, blank=True)
    planned_end = models.DateTimeField(null=True, blank=True)
    components = models.ManyToManyField(Component, related_name="releases", blank=True)
    builds = models.ManyToManyField(Build, related_name="releases", blank=True)
    commits: models.ManyToManyField[Commit, Any] = models.ManyToManyField(
        Commit, through="ReleaseCommit", related_name="releases"
    )
    depends_on = models.ManyToManyField("self", symmetrical=False, related_name="dependants", blank=True)
    database_change = models.CharField(max_length=12, choices=DatabaseChange.choices, default=DatabaseChange.NONE)
    train = models.CharField(max_length=100, blank=True)
    on_hold = models.BooleanField(default=False)
    hold_reason = models.CharField(max_length=500, blank=True)
    risk = models.CharField(max_length=10, choices=Risk.choices, default=Risk.LOW)
    #: Raised by each rework, so that sign-offs of an earlier round of work don't count.
    cycle = models.PositiveIntegerField(default=1)
    review = models.TextField(blank=True)
    imported = models.BooleanField(default=False)
    #: When it reached production first; for an imported one the time of its tag.
    released_at = models.DateTimeField(null=True, blank=True)
    #: When the tick `advance` last found it held up, and at which events of it, its product and its model (`heads`).
    held_up_at = models.DateTimeField(null=True, editable=False)
    held_up_heads = models.PositiveBigIntegerField(null=True, editable=False)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["product", "version"], name="version_once_in_a_product"),
            models.CheckConstraint(
                condition=Q(on_hold=False) | ~Q(hold_reason=""), name="release_on_hold_has_a_reason"
            ),
            models.CheckConstraint(
                condition=Q(planned_start=None) | Q(planned_end=None) | Q(planned_start__lt=F("planned_end")),
                name="release_starts_before_it_ends",
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="release_list"),
            models.Index(fields=["state", "-created_at", "-id"], name="release_list_by_state"),
            models.Index(fields=["product", "-created_at", "-id"], name="release_list_by_product"),
            models.Index(fields=["model", "state"], name="release_by_model"),
            models.Index(
                fields=["product", "released_at"], condition=Q(released_at__isnull=False), name="release_reached"
            ),
        ]

    @property
    def owning_team_id(self) -> int | None:
        return self.product.team_id

    @property
    def heads(self) -> int:
        """How much has happened to it, its product and its model."""
        return self.event_seq + self.product.event_seq + self.model.event_seq

    @property
    def alias(self) -> str:
        """The other way to address it: `shop@4.2.0`."""
        return f"{self.product.key}@{self.version}"

    @transition(source=State.PLANNED, target=State.BUILT, allow=roles.advance_releases, label="Mark as built")
    def build(self) -> None:
        """Every component has a build that succeeded."""

    @transition(
        source=State.BUILT,
        target=State.INTEGRATION_TESTED,
        allow=roles.advance_releases,
        label="Pass integration test",
    )
    def pass_integration(self) -> None:
        """The suites that the model asks for before it have passed on exactly these builds."""

    @transition(source=State.INTEGRATION_TESTED, target=State.ACCEPTED, allow=ByItself("accept"), label="Accept")
    def accept(self) -> None:
        """Documented, tested and signed off: it may go to production."""

    @transition(source=State.ACCEPTED, target=State.DEPLOYED, allow=engine_only, label="Deploy")
    def deploy(self) -> None:
        """A production deployment of the accepted digests succeeded."""

    @transition(
        source=[State.DEPLOYED, State.ROLLED_BACK],
        target=State.CLOSED,
        allow=ByItself("close"),
        label="Close",
        optional=("review",),
    )
    def close(self, review: str = "") -> None:
        """The work is finished and, where the model asks, reviewed."""

    @transition(
        source=[State.BUILT, State.INTEGRATION_TESTED],
        target=State.PLANNED,
        allow=roles.advance_releases,
        label="Send back to work",
        required=("reason",),
    )
    @transition(
        source=[State.ACCEPTED, State.ROLLED_BACK],
        target=State.PLANNED,
        allow=roles.manage_releases,
        label="Send back to work",
        required=("reason",),
    )
    def rework(self, reason: str) -> None:
        """Something has to change; the next cycle needs its own sign-off."""
        self.cycle += 1

    @transition(
        source=[State.PLANNED, State.BUILT, State.INTEGRATION_TESTED, State.ACCEPTED],
        target=State.CANCELLED,
        allow=roles.manage_releases,
        label="Cancel",
        required=("reason",),
        final=True,
    )
    def cancel(self, reason: str) -> None:
        """It will not reach users."""

    @transition(
        source=[State.DEPLOYED, State.CLOSED],
        target=State.ROLLED_BACK,
        allow=engine_only,
        label="Roll back",
    )
    def roll_back(self) -> None:
        """A rollback left no production environment running it."""


class ReleaseCommit(models.Model):
    """A commit that a release brings to users: reachable from its builds and from no release before it."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="release_commits")
    commit = models.ForeignKey(Commit, on_delete=models.PROTECT, related_name="release_commits")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["release", "commit"], name="commit_once_in_a_release")]

    def __str__(self) -> str:
        return f"{self.release_id}: {self.commit_id}"
