"""Preparation: what a product asks for before a plan is ready, and what people and services found."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from deployments.models.plan import DeploymentPlan
from releasemgmt.catalog.models import Product, Tier


class PreparationKind(models.TextChoices):
    """What can be asked for. Functionality verifies itself, by test runs; what `other` means its title says."""

    FUNCTIONALITY = "functionality", "Functionality verified"
    COMPLIANCE = "compliance", "Target environment compliant"
    CONFIGURATION = "configuration", "Configuration reviewed"
    ARTIFACTS = "artifacts", "Artifacts verified"
    OTHER = "other", "Something else"


def name_of(kind: str, title: str) -> str:
    """What people call an item."""
    return title or str(PreparationKind(kind).label)


class PreparationItem(models.Model):
    """One thing that a product asks for before a plan into an environment of a tier is ready; none is nothing asked."""

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="preparation_items", db_index=False)
    tier = models.CharField(max_length=20, choices=Tier.choices)
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=20, choices=PreparationKind.choices)
    title = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["product", "tier", "position"], name="preparation_item_has_its_place"),
            models.UniqueConstraint(fields=["product", "tier", "kind", "title"], name="preparation_item_once"),
            models.CheckConstraint(
                condition=(Q(kind="other") & ~Q(title="")) | (~Q(kind="other") & Q(title="")),
                name="preparation_item_of_another_kind_has_a_title",
            ),
        ]
        ordering = ["product", "tier", "position"]

    def __str__(self) -> str:
        return name_of(self.kind, self.title)


class Verification(models.Model):
    """What somebody found of one item of a plan's list, with evidence; the last word on an item counts.

    `bound_to` is the digest of what it was found for: it counts while that is the same. Empty, it depends on no build.
    """

    plan = models.ForeignKey(DeploymentPlan, on_delete=models.PROTECT, related_name="verifications")
    kind = models.CharField(max_length=20, choices=PreparationKind.choices)
    title = models.CharField(max_length=200, blank=True)
    holds = models.BooleanField(default=True)
    evidence = models.TextField()
    #: Of artifacts: the digest that was found of each component, by its key.
    digests = models.JSONField(default=dict, blank=True)
    bound_to = models.CharField(max_length=71, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(evidence=""), name="verification_has_evidence"),
            models.CheckConstraint(condition=~Q(kind="functionality"), name="functionality_is_verified_by_tests"),
        ]
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{name_of(self.kind, self.title)}: {'yes' if self.holds else 'no'}"
