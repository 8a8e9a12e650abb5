"""Lookups: somebody asked the service to look a plan's artifacts up where they are kept."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q

from deployments.models.plan import DeploymentPlan
from deployments.models.preparation import Verification


class LookupQuerySet(models.QuerySet["ArtifactLookup"]):
    """Lookups, filtered in the domain's words."""

    def waiting(self) -> LookupQuerySet:
        """Those of which nothing has come yet."""
        return self.filter(ended_at=None)

    def due(self, now: datetime) -> LookupQuerySet:
        """Those that nobody holds a lease of, the oldest first."""
        return self.waiting().filter(Q(lease_until=None) | Q(lease_until__lte=now)).order_by("asked_at", "pk")


class ArtifactLookup(models.Model):
    """What was found of a plan's artifacts: all their digests make a verification, else it says what is amiss."""

    plan = models.ForeignKey(DeploymentPlan, on_delete=models.CASCADE, related_name="lookups", db_index=False)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    #: Whoever looks owns the row until then; one who comes later may take it over.
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_token = models.CharField(max_length=32, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    #: For each component `component`, `address`, and its `digest` or the `problem`.
    found = models.JSONField(default=list, blank=True)
    #: Why nothing was verified though all was found.
    problem = models.CharField(max_length=500, blank=True)
    verification = models.OneToOneField(
        Verification, on_delete=models.PROTECT, null=True, blank=True, related_name="lookup"
    )

    objects = LookupQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plan"], condition=Q(ended_at=None), name="one_lookup_at_a_time"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=False) | Q(verification=None), name="only_a_lookup_that_ended_verifies"
            ),
        ]
        indexes = [
            models.Index(fields=["plan", "-id"], name="lookup_latest"),
            models.Index(fields=["asked_at", "id"], condition=Q(ended_at=None), name="lookup_due"),
        ]

    def __str__(self) -> str:
        return f"Lookup of {self.plan}'s artifacts"

    @property
    def problems(self) -> list[str]:
        """What kept it from verifying anything."""
        missing = [
            f"{each['component']}: {each['problem']} ({each['address']})" for each in self.found if each["problem"]
        ]
        return [*missing, *([self.problem] if self.problem else [])]
