"""Builds: what a pipeline made, immutable, known by its digest."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from releasemgmt.catalog.models import Component, Product

DIGEST = RegexValidator(r"^sha256:[0-9a-f]{64}\Z", "Write it as sha256: and 64 hexadecimal digits.")
SHA = RegexValidator(r"^[0-9a-f]{40}([0-9a-f]{24})?\Z", "Write the full commit hash, 40 or 64 hexadecimal digits.")


class Build(models.Model):
    """One build of a component from a commit; identified by component and artifact URI. A failed one has no digest."""

    class Status(models.TextChoices):
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="builds")
    component = models.ForeignKey(Component, on_delete=models.PROTECT, related_name="builds")
    commit_sha = models.CharField(max_length=64, validators=[SHA])
    digest = models.CharField(max_length=71, blank=True, validators=[DIGEST])
    artifact_uri = models.CharField(max_length=1000)
    built_at = models.DateTimeField()
    ci_url = models.URLField(max_length=1000, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.SUCCEEDED)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["component", "artifact_uri"], name="build_once"),
            models.UniqueConstraint(fields=["component", "digest"], condition=~Q(digest=""), name="build_digest_once"),
            models.CheckConstraint(
                condition=Q(status="failed", digest="") | Q(status="succeeded", digest__startswith="sha256:"),
                name="build_succeeded_iff_it_has_a_digest",
            ),
        ]
        indexes = [
            models.Index(fields=["product", "-built_at", "-id"], name="build_list"),
            models.Index(fields=["digest"], name="build_digest"),
        ]

    def __str__(self) -> str:
        return f"{self.component} {self.digest[7:19] or 'failed'}"
