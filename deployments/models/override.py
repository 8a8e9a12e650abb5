"""Exceptions that people make: a release that may start in spite of windows, and a line that stands still."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from deployments.models.window import Window
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment, Product
from releasemgmt.releases.models import Release
from releasemgmt.workflow.models import Aggregate

MOST_USES = 100


class OverrideQuerySet(models.QuerySet["WindowOverride"]):
    """Overrides, filtered in the domain's words."""

    def visible_to(self, user: User) -> OverrideQuerySet:
        """Those for releases of the user's teams."""
        return roles.visible_to(user, self, team="release__product__team")

    def usable(self, at: datetime) -> OverrideQuerySet:
        """Those that are approved, not used up and not expired at that instant."""
        return self.filter(state=WindowOverride.State.APPROVED, expires_at__gt=at, used__lt=F("uses"))


class WindowOverride(models.Model):
    """Leave to start a release in an environment in spite of certain windows, or past the promotion path.

    It is for so many starts and so long.

    It is asked for by one person and approved by another; each use stands on the stream of its release.
    """

    class State(models.TextChoices):
        REQUESTED = "requested", "Requested"
        APPROVED = "approved", "Approved"
        DECLINED = "declined", "Declined"
        WITHDRAWN = "withdrawn", "Withdrawn"

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="window_overrides")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+")
    windows: models.ManyToManyField[Window, Any] = models.ManyToManyField(Window, related_name="overrides")
    #: Whether it also lets through what has not run, or not long enough, in the environment before.
    skips_promotion = models.BooleanField(default=False, db_default=False)
    reason = models.TextField()
    uses = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(MOST_USES)])
    used = models.PositiveSmallIntegerField(default=0, editable=False)
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.REQUESTED, editable=False)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+", editable=False
    )
    decided_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = OverrideQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(uses__range=(1, MOST_USES), used__lte=F("uses")), name="override_used_so_often_at_most"
            ),
            models.CheckConstraint(
                condition=Q(state="requested", decided_by=None, decided_at=None)
                | (~Q(state="requested") & Q(decided_by__isnull=False, decided_at__isnull=False)),
                name="override_is_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(state="approved") | ~Q(decided_by=F("requested_by")), name="override_by_another_person"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="override_says_why"),
        ]
        indexes = [
            models.Index(fields=["-requested_at", "-id"], name="override_list"),
            models.Index(fields=["release", "environment", "expires_at"], name="override_to_use"),
        ]

    def __str__(self) -> str:
        return f"Override {self.pk} for {self.release} in {self.environment}"

    @property
    def is_used_up(self) -> bool:
        return self.used >= self.uses

    def has_expired(self, at: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at <= at

    def standing(self, at: datetime) -> str:
        """Its state, or what has come of an approval since: used up, expired."""
        waits = self.state in (self.State.REQUESTED, self.State.APPROVED)
        if waits and self.is_used_up:
            return "used_up"
        return "expired" if waits and self.has_expired(at) else str(self.state)

    def settle(self, state: str, *, by: User, at: datetime) -> None:
        """Set what was decided; the command saves it."""
        self.state, self.decided_by, self.decided_at = state, by, at


class LineStopQuerySet(models.QuerySet["LineStop"]):
    """Stops, filtered in the domain's words."""

    def visible_to(self, user: User) -> LineStopQuerySet:
        """Those of the products of the user's teams, and those of every product."""
        teams = user.visible_team_ids()
        return self if teams is None else self.filter(Q(product=None) | Q(product__team__in=teams))

    def standing(self) -> LineStopQuerySet:
        """Those that nobody has lifted."""
        return self.filter(resumed_at=None)

    def over(self, environment: Environment, product: Product | None) -> LineStopQuerySet:
        """Those that hold for a product in an environment."""
        return self.filter(Q(environment=None) | Q(environment=environment), Q(product=None) | Q(product=product))


class LineStop(models.Model):
    """Somebody stopped the line: nothing starts in its scope until enough others agree to go on.

    What its scope leaves out, product or environment, is any; one of them is named, and its stream holds what happens.
    """

    product = models.ForeignKey(Product, on_delete=models.PROTECT, null=True, blank=True, related_name="line_stops")
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, null=True, blank=True, related_name="line_stops"
    )
    reason = models.TextField()
    stopped_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    stopped_at = models.DateTimeField()
    resumed_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = LineStopQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(product__isnull=False) | Q(environment__isnull=False), name="line_stop_has_a_scope"
            ),
            models.UniqueConstraint(
                fields=["product", "environment"], condition=Q(resumed_at=None), name="line_stopped_once"
            ),
            models.UniqueConstraint(
                fields=["product"], condition=Q(resumed_at=None, environment=None), name="product_stopped_once"
            ),
            models.UniqueConstraint(
                fields=["environment"], condition=Q(resumed_at=None, product=None), name="environment_stopped_once"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="line_stop_says_why"),
        ]
        indexes = [models.Index(fields=["-stopped_at", "-id"], name="line_stop_list")]

    def __str__(self) -> str:
        return f"The line is stopped for {self.scope}"

    @property
    def scope(self) -> str:
        """Where it holds, in words."""
        return f"{self.product or 'every product'} in {self.environment or 'every environment'}"

    @property
    def record(self) -> Aggregate:
        """On whose stream it stands, and in whose team people may stop and resume."""
        record = self.product or self.environment
        if record is None:
            raise ValueError("A stop of nothing.")
        return record


class Resumption(models.Model):
    """That somebody agrees to go on after a stop."""

    stop = models.ForeignKey(LineStop, on_delete=models.PROTECT, related_name="resumptions")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["stop", "by"], name="agrees_to_resume_once")]
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.by} agrees"
