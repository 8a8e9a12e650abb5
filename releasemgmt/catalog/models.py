"""What is released and where it runs: products, components, environments, and the release models as data."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from releasemgmt.accounts.models import Team
from releasemgmt.workflow.models import Aggregate, time_zone_exists

KEY = RegexValidator(r"^[a-z0-9][a-z0-9-]*$", "Use lower-case letters, digits and hyphens.")


class Tier(models.TextChoices):
    """The controlled environments, lowest first."""

    DEVELOPMENT = "development", "Development"
    INTEGRATION = "integration", "Integration"
    TEST = "test", "Test"
    STAGING = "staging", "Staging"
    PRODUCTION = "production", "Production"


class Environment(Aggregate):
    """A place where builds run; ranks order environments from development to production."""

    key = models.CharField(max_length=40, unique=True, validators=[KEY])
    name = models.CharField(max_length=100)
    tier = models.CharField(max_length=20, choices=Tier.choices)
    rank = models.PositiveSmallIntegerField()
    time_zone = models.CharField(max_length=64, default="UTC", validators=[time_zone_exists])
    change_controlled = models.BooleanField(default=True)

    class Meta:
        ordering = ["rank", "key"]

    def __str__(self) -> str:
        return self.name

    @property
    def number(self) -> str:
        return self.key

    @property
    def is_production(self) -> bool:
        return self.tier == Tier.PRODUCTION


class ReleaseModel(Aggregate):
    """How releases of a kind are governed (ITIL 4); versioned, and a release pins the version it was planned under.

    `suites` is a list of `{"suite", "tier", "gates"}`, the last being `pass_integration` or `accept`; `documents` a
    list of `{"kind", "origin"}`, origin being `own` or `inherited`.
    """

    class SignOff(models.TextChoices):
        ROUND = "round", "A round of approval"
        PRE_APPROVED = "pre_approved", "Pre-approved"

    class Review(models.TextChoices):
        ALWAYS = "always", "Always"
        AFTER_TROUBLE = "after_trouble", "After trouble"
        NEVER = "never", "Never"

    class ExposureMode(models.TextChoices):
        WITH_DEPLOYMENT = "with_deployment", "With the deployment"
        SEPARATE = "separate", "Separate"

    key = models.CharField(max_length=40, validators=[KEY])
    version = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=100)
    suites = models.JSONField(default=list, blank=True)
    documents = models.JSONField(default=list, blank=True)
    sign_off = models.CharField(max_length=20, choices=SignOff.choices, default=SignOff.ROUND)
    review = models.CharField(max_length=20, choices=Review.choices, default=Review.AFTER_TROUBLE)
    exposure = models.CharField(max_length=20, choices=ExposureMode.choices, default=ExposureMode.WITH_DEPLOYMENT)
    smoke_in_target = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "version"], name="release_model_version_once")]
        ordering = ["key", "-version"]

    def __str__(self) -> str:
        return f"{self.name} (version {self.version})"

    @property
    def number(self) -> str:
        return f"{self.key}@{self.version}"


class Product(Aggregate):
    """What a team builds, releases and runs."""

    key = models.CharField(max_length=40, unique=True, validators=[KEY])
    name = models.CharField(max_length=100)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="products")
    time_zone = models.CharField(max_length=64, default="UTC", validators=[time_zone_exists])
    repository_url = models.URLField(max_length=500, blank=True)
    default_model = models.ForeignKey(ReleaseModel, on_delete=models.PROTECT, related_name="+")
    environments = models.ManyToManyField(Environment, related_name="products", blank=True)

    class Meta:
        ordering = ["key"]

    def __str__(self) -> str:
        return self.name

    @property
    def number(self) -> str:
        return self.key

    @property
    def owning_team_id(self) -> int | None:
        return self.team_id


class Component(models.Model):
    """A deployable unit of a product."""

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="components")
    key = models.CharField(max_length=60, validators=[KEY])
    name = models.CharField(max_length=100)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["product", "key"], name="component_once_in_a_product"),
            models.CheckConstraint(condition=~Q(key=""), name="component_has_a_key"),
        ]
        ordering = ["key"]

    def __str__(self) -> str:
        return self.key
