"""Exposure: who among the users sees a release."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from releasemgmt.catalog.models import Environment
from releasemgmt.releases.models.release import Release


class Exposure(models.Model):
    """One step, never changed: from this instant that share of the audience sees the release."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="exposures")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+")
    audience = models.CharField(max_length=100, default="everyone")
    percent = models.PositiveSmallIntegerField()
    flag_key = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(percent__lte=100), name="exposure_is_a_percentage")]
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"{self.percent} % of {self.audience}"
