"""Observations: what somebody saw running, beside what was deployed there as far as the records say."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Environment
from releasemgmt.releases.models.build import DIGEST


class ObservationQuerySet(models.QuerySet["Observation"]):
    """Observations, filtered in the domain's words."""

    def visible_to(self, user: User) -> ObservationQuerySet:
        """Those of the products of the user's teams."""
        return roles.visible_to(user, self, team="component__product__team")

    def differing(self) -> ObservationQuerySet:
        """Those of something else than ought to run there."""
        return self.exclude(digest=F("expected"))


class Observation(models.Model):
    """A digest that was seen of one component in one environment; the same seen again only moves the end on.

    So a row begins whenever something else is seen, or something else ought to run there.
    """

    component = models.ForeignKey(Component, on_delete=models.PROTECT, related_name="+", db_index=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    digest = models.CharField(max_length=71, validators=[DIGEST])
    #: What ought to have been seen, by the records at that time; empty where nothing was deployed there.
    expected = models.CharField(max_length=71, blank=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    reported_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")

    objects = ObservationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["component", "environment", "first_seen_at"], name="observed_once_at_an_instant"
            ),
            models.CheckConstraint(
                condition=Q(first_seen_at__lte=F("last_seen_at")), name="observation_begins_before_it_ends"
            ),
        ]
        indexes = [models.Index(fields=["environment", "-first_seen_at", "-id"], name="observation_list")]

    def __str__(self) -> str:
        return f"{self.component} in {self.environment}"

    @property
    def differs(self) -> bool:
        """Whether something else was seen than ought to run there."""
        return self.digest != self.expected
