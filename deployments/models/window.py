"""Windows: when deployments may start (allow) or may not (deny: a freeze), and the times at which each is on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Scope, User
from releasemgmt.catalog.models import Environment, Product, Tier
from releasemgmt.integrations import recurrence
from releasemgmt.workflow.fsm import state_field, transition
from releasemgmt.workflow.models import StatefulModel, time_zone_exists

LONGEST_MINUTES = 366 * 24 * 60


class AnotherChair:
    """Whom the table lets run windows, but not who asked for this one."""

    description = f"{roles.run_windows.description}, but not who asked for it"

    def __call__(self, actor: User, window: Any) -> bool:
        return actor.pk != window.created_by_id and roles.run_windows(actor, window)


class WhoAsked:
    """Who asked for it, while they may still ask."""

    description = "who asked for it"

    def __call__(self, actor: User, window: Any) -> bool:
        asked = actor.pk == window.created_by_id and actor.is_active and actor.has_scope(Scope.WRITE)
        return asked and actor.may_comment_on(window)


class WindowQuerySet(models.QuerySet["Window"]):
    """Windows, filtered in the domain's words."""

    def visible_to(self, user: User) -> WindowQuerySet:
        """Those of the products of the user's teams, and those for every product."""
        teams = user.visible_team_ids()
        return self if teams is None else self.filter(Q(product=None) | Q(product__team__in=teams))

    def in_force(self) -> WindowQuerySet:
        """Those that count."""
        return self.filter(state=Window.State.IN_FORCE)

    def over(self, environment: Environment, product: Product | None) -> WindowQuerySet:
        """Those whose scope holds a product in an environment; without a product those for every one."""
        return self.in_place(environment).filter(Q(product=None) | Q(product=product))

    def in_place(self, environment: Environment) -> WindowQuerySet:
        """Those whose scope holds an environment, whatever the product."""
        return self.filter(Q(environment=None, tier="") | Q(environment=environment) | Q(tier=environment.tier))

    def to_lay_out(self, until: datetime) -> WindowQuerySet:
        """Those that go on and are not laid out so far yet."""
        return self.in_force().filter(laid_out_until__lt=until)


class Window(StatefulModel):
    """A time at which deployments in its scope may start (allow), or may not (deny): once, or again and again.

    It begins at a local time, `rule` (RFC 5545) says on which days counted from `first_on`, without one it is that day
    only; it ends when its duration has elapsed, whatever the clocks do meanwhile. What its scope leaves out is any.
    """

    NUMBER_PREFIX = "WIN"
    locked_with = ("product", "environment")

    class Kind(models.TextChoices):
        ALLOW = "allow", "Maintenance window"
        DENY = "deny", "Freeze"

    class State(models.TextChoices):
        REQUESTED = "requested", "Requested"
        IN_FORCE = "in_force", "In force"
        DECLINED = "declined", "Declined"
        WITHDRAWN = "withdrawn", "Withdrawn"
        ENDED = "ended", "Ended"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=100)
    reason = models.TextField()
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, null=True, blank=True, related_name="windows"
    )
    tier = models.CharField(max_length=20, choices=Tier.choices, blank=True)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, null=True, blank=True, related_name="windows")
    first_on = models.DateField()
    start_time = models.TimeField()
    duration_minutes = models.PositiveIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_MINUTES)]
    )
    time_zone = models.CharField(max_length=64, default="UTC", validators=[time_zone_exists])
    rule = models.CharField(max_length=200, blank=True)
    #: Who answers for it.
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    #: Its times that begin before this instant are laid out as rows; None where all are.
    laid_out_until = models.DateTimeField(null=True, blank=True, editable=False)
    state = state_field(default=State.REQUESTED, choices=State.choices)

    objects = WindowQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(environment=None) | Q(tier=""), name="window_of_environment_or_tier"),
            models.CheckConstraint(
                condition=Q(duration_minutes__range=(1, LONGEST_MINUTES)), name="window_lasts_some_minutes"
            ),
            models.CheckConstraint(condition=~Q(name="") & ~Q(reason=""), name="window_says_why"),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="window_list"),
            models.Index(fields=["state", "-created_at", "-id"], name="window_list_by_state"),
            models.Index(fields=["laid_out_until"], condition=Q(state="in_force"), name="window_to_lay_out"),
        ]

    @property
    def owning_team_id(self) -> int | None:
        return self.product.team_id if self.product else None

    @property
    def is_freeze(self) -> bool:
        return self.kind == self.Kind.DENY

    @property
    def duration(self) -> timedelta:
        """How long it is on each time."""
        return timedelta(minutes=self.duration_minutes)

    @property
    def label(self) -> str:
        """What sentences call it."""
        return f"The {self.get_kind_display().lower()} “{self.name}” ({self.number})"

    @property
    def scope(self) -> str:
        """Where it counts, in words."""
        product = str(self.product) if self.product else "every product"
        place = str(self.environment) if self.environment else f"{self.tier} environments" if self.tier else ""
        return f"{product} in {place or 'every environment'}"

    def counts_in(self, environment: Environment) -> bool:
        """Whether its scope holds an environment."""
        everywhere = self.environment_id is None and not self.tier
        return everywhere or self.environment_id == environment.pk or self.tier == environment.tier

    def starts(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """When it begins in a half-open interval, in UTC, the earliest first."""
        if self.rule:
            terms = {"first_on": self.first_on, "start": self.start_time, "zone": self.time_zone}
            yield from recurrence.instants(self.rule, **terms, begin=begin, end=end)  # type: ignore[arg-type]
            return
        at = recurrence.instant(datetime.combine(self.first_on, self.start_time), self.time_zone)
        if begin <= at < end:
            yield at

    def times(self, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """When it is on, from start to end, for those that overlap a half-open interval."""
        starts = self.starts(begin - self.duration, end)
        return [(at, at + self.duration) for at in starts if at + self.duration > begin]

    @transition(source=State.REQUESTED, target=State.IN_FORCE, allow=AnotherChair(), label="Approve")
    def approve(self) -> None:
        """It counts from now on."""

    @transition(
        source=State.REQUESTED, target=State.DECLINED, allow=AnotherChair(), label="Decline", required=("reason",)
    )
    def decline(self, reason: str) -> None:
        """It was asked for and will not be."""

    @transition(source=State.REQUESTED, target=State.WITHDRAWN, allow=WhoAsked(), label="Withdraw")
    def withdraw(self) -> None:
        """Who asked for it does not want it any more."""

    @transition(
        source=State.IN_FORCE,
        target=State.ENDED,
        allow=roles.run_windows,
        label="End",
        required=("reason",),
        final=True,
    )
    def end(self, reason: str) -> None:
        """It counts no longer; its times that are over stay on record."""


class OccurrenceQuerySet(models.QuerySet["Occurrence"]):
    """Times, filtered in the domain's words."""

    def overlapping(self, begin: datetime, end: datetime, *, longest: timedelta) -> OccurrenceQuerySet:
        """Those that share an instant with the interval; none lasts longer than `longest`, so an index finds them."""
        return self.filter(starts_at__gt=begin - longest, starts_at__lt=end, ends_at__gt=begin)


class Occurrence(models.Model):
    """One time at which a window is on, in UTC; kept beside the window's rule so that one query finds overlaps."""

    window = models.ForeignKey(Window, on_delete=models.CASCADE, related_name="occurrences", db_index=False)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()

    objects = OccurrenceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["window", "starts_at"], name="occurrence_once"),
            models.CheckConstraint(condition=Q(starts_at__lt=F("ends_at")), name="occurrence_starts_before_it_ends"),
        ]
        indexes = [models.Index(fields=["starts_at"], name="occurrence_by_start")]
        ordering = ["starts_at", "pk"]

    def __str__(self) -> str:
        return f"{self.starts_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
