"""Quarantine: rows of a history that make no sense, kept as they were read until somebody repairs or dismisses them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product


class QuarantineQuerySet(models.QuerySet["QuarantinedRow"]):
    """Quarantined rows, filtered in the domain's words."""

    def visible_to(self, user: User) -> QuarantineQuerySet:
        """Those of the user's teams."""
        return roles.visible_to(user, self, team="product__team")

    def waiting(self) -> QuarantineQuerySet:
        """Those that nobody has settled."""
        return self.filter(outcome="")


class QuarantinedRow(models.Model):
    """A row of an imported file that can't be used: where it stands, why, and what became of it."""

    class Source(models.TextChoices):
        COMMITS = "commits", "Commits"
        RELEASES = "releases", "Releases"
        CHANGELOG = "changelog", "Changelog"
        INCIDENTS = "incidents", "Incidents"
        INCIDENT_REVISIONS = "incident_revisions", "Revisions of incidents"

    class Outcome(models.TextChoices):
        REPAIRED = "repaired", "Repaired"
        DISMISSED = "dismissed", "Dismissed"

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="quarantined_rows", db_index=False)
    source = models.CharField(max_length=20, choices=Source.choices)
    line = models.PositiveIntegerField()
    row = models.TextField()
    reason = models.TextField()
    #: Number of a row that it names → the commit hash there.
    refers_to = models.JSONField(default=dict)
    #: Tells it from other rows when the file is read again, though lines may have moved.
    fingerprint = models.CharField(max_length=64, editable=False)
    recorded_at = models.DateTimeField()
    recorded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True)
    repaired_row = models.TextField(blank=True)
    settled_because = models.TextField(blank=True)
    settled_at = models.DateTimeField(null=True)
    settled_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    objects = QuarantineQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["product", "fingerprint"], name="row_quarantined_once"),
            models.CheckConstraint(
                condition=Q(outcome="", settled_at=None, settled_by=None)
                | (~Q(outcome="") & Q(settled_at__isnull=False, settled_by__isnull=False)),
                name="quarantined_row_is_settled_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(outcome="", repaired_row="", settled_because="")
                | (Q(outcome="repaired") & ~Q(repaired_row=""))
                | (Q(outcome="dismissed", repaired_row="") & ~Q(settled_because="")),
                name="quarantined_row_says_what_became_of_it",
            ),
        ]
        indexes = [
            models.Index(fields=["-recorded_at", "-id"], name="quarantine_list"),
            models.Index(fields=["product", "outcome", "-recorded_at", "-id"], name="quarantine_list_by_product"),
        ]

    def __str__(self) -> str:
        return f"{self.get_source_display()}, line {self.line}"

    @property
    def is_waiting(self) -> bool:
        return self.outcome == ""
