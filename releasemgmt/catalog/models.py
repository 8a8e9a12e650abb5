"""What is released and where it runs: products, components, environments, and the release models as data."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
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


class DocumentKind(models.TextChoices):
    """What is written about a release, by people."""

    DEPLOYMENT_PROCEDURE = "deployment_procedure", "Deployment procedure"
    WORKFLOW_MONITORING = "workflow_monitoring", "Workflow monitoring"
    IMPACT = "impact", "Impact"
    RELEASE_NOTES = "release_notes", "Release notes"


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
    list of `{"kind", "origin", "gates"}`, origin being `own` or `inherited`, and gates `accept` (where nothing is said)
    or `close`: due with the look back. `by_itself` names the transitions that fire by themselves once their gates open.
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
    by_itself = models.JSONField(default=list, blank=True)
    #: How long a pre-approval is good for, from the approval of its round.
    pre_approval_days = models.PositiveSmallIntegerField(
        default=90, validators=[MinValueValidator(1), MaxValueValidator(366)]
    )
    #: A pre-approval ends where this share of the last production deployments, or more, went wrong; in percent.
    fail_rate_ceiling = models.PositiveSmallIntegerField(
        default=15, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "version"], name="release_model_version_once"),
            models.CheckConstraint(
                condition=Q(pre_approval_days__gte=1, pre_approval_days__lte=366), name="a_pre_approval_ends"
            ),
            models.CheckConstraint(
                condition=Q(fail_rate_ceiling__gte=1, fail_rate_ceiling__lte=100), name="fail_rate_ceiling_in_percent"
            ),
        ]
        ordering = ["key", "-version"]

    def __str__(self) -> str:
        return f"{self.name} (version {self.version})"

    @property
    def number(self) -> str:
        return f"{self.key}@{self.version}"

    def lets(self, transition: str) -> bool:
        """Whether that transition of a release fires by itself once its gates open."""
        return transition in self.by_itself

    @property
    def inherited(self) -> list[str]:
        """The kinds of documents that a release takes from its product where it has none of its own."""
        return [entry["kind"] for entry in self.documents if entry["origin"] == "inherited"]


#: Thirty days.
LONGEST_SOAK_MINUTES = 30 * 24 * 60


class Product(Aggregate):
    """What a team builds, releases and runs."""

    key = models.CharField(max_length=40, unique=True, validators=[KEY])
    name = models.CharField(max_length=100)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="products")
    time_zone = models.CharField(max_length=64, default="UTC", validators=[time_zone_exists])
    repository_url = models.URLField(max_length=500, blank=True)
    default_model = models.ForeignKey(ReleaseModel, on_delete=models.PROTECT, related_name="+")
    environments = models.ManyToManyField(Environment, related_name="products", blank=True)
    #: Whether what starts in an environment must have run in the next lower-ranked one that the product uses.
    promotion_required = models.BooleanField(default=False, db_default=False)
    #: How long it must have run there.
    soak_minutes = models.PositiveIntegerField(
        default=0, db_default=0, validators=[MaxValueValidator(LONGEST_SOAK_MINUTES)]
    )

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(soak_minutes__lte=LONGEST_SOAK_MINUTES), name="a_soak_ends")]
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


class ProductDocument(models.Model):
    """A document that the releases of a product inherit, where their model says so."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="documents")
    kind = models.CharField(max_length=30, choices=DocumentKind.choices)
    body = models.TextField(blank=True)
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["product", "kind"], name="document_once_in_a_product")]

    def __str__(self) -> str:
        return self.get_kind_display()
