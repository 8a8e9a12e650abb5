"""Deployments: each attempt to bring builds into an environment, and the builds themselves."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from approvals.models import ChangeRequest
from deployments.models.plan import DeploymentPlan
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Environment, Product
from releasemgmt.releases.models import Build, Release
from releasemgmt.releases.models.build import DIGEST


class DeploymentQuerySet(models.QuerySet["Deployment"]):
    """Deployments, filtered in the domain's words."""

    def visible_to(self, user: User) -> DeploymentQuerySet:
        """Those of the user's teams."""
        return roles.visible_to(user, self, team="product__team")

    def running(self) -> DeploymentQuerySet:
        """Those that hold their environment."""
        return self.filter(status=Deployment.Status.RUNNING)


class Deployment(models.Model):
    """One attempt in one environment; while it runs, it is the lock of that environment for its product."""

    class Kind(models.TextChoices):
        DEPLOY = "deploy", "Deploy"
        ROLLBACK = "rollback", "Rollback"
        REDEPLOY = "redeploy", "Redeploy"

    class Origin(models.TextChoices):
        ENGINE = "engine", "By a plan"
        REPORTED = "reported", "Reported"

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    plan = models.ForeignKey(DeploymentPlan, on_delete=models.PROTECT, null=True, related_name="deployments")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="deployments")
    release = models.ForeignKey(Release, on_delete=models.PROTECT, null=True, related_name="deployments")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="deployments")
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.DEPLOY)
    origin = models.CharField(max_length=10, choices=Origin.choices)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RUNNING)
    builds: models.ManyToManyField[Build, Any] = models.ManyToManyField(
        Build, through="DeployedBuild", related_name="deployments"
    )
    external_id = models.CharField(max_length=200, blank=True)
    #: The deployment whose damage this one repairs.
    remediates = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="remediations")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    #: Production got digests that no release, accepted now or before, covers; or nobody had registered some of them.
    unauthorised = models.BooleanField(default=False)
    #: The change that puts an unauthorised one on record.
    change = models.OneToOneField(ChangeRequest, on_delete=models.PROTECT, null=True, related_name="deployment")
    reported_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    recorded_at = models.DateTimeField(auto_now_add=True)

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["product", "environment"],
                condition=Q(status="running"),
                name="one_running_deployment_in_an_environment",
            ),
            models.UniqueConstraint(
                fields=["product", "external_id"], condition=~Q(external_id=""), name="external_id_once_in_a_product"
            ),
            models.CheckConstraint(
                condition=Q(status="running", finished_at=None) | (~Q(status="running") & ~Q(finished_at=None)),
                name="deployment_finished_iff_not_running",
            ),
            models.CheckConstraint(
                condition=Q(finished_at=None) | Q(started_at__lte=F("finished_at")),
                name="deployment_starts_before_it_ends",
            ),
            models.CheckConstraint(
                condition=Q(origin="engine", plan__isnull=False) | Q(origin="reported", reported_by__isnull=False),
                name="deployment_has_a_plan_or_a_reporter",
            ),
            models.CheckConstraint(
                condition=Q(change=None) | Q(unauthorised=True), name="only_the_unauthorised_is_put_on_record"
            ),
        ]
        indexes = [
            models.Index(fields=["-started_at", "-id"], name="deployment_list"),
            models.Index(fields=["product", "-started_at", "-id"], name="deployment_list_by_product"),
            models.Index(fields=["release", "-started_at", "-id"], name="deployment_list_by_release"),
            models.Index(fields=["environment", "-started_at", "-id"], name="deployment_list_by_environ"),
            models.Index(fields=["product", "-finished_at", "-id"], name="deployment_ended_by_product"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.release or self.product} to {self.environment}"

    @property
    def digests(self) -> set[str]:
        """All that was deployed, registered or not."""
        return {build.digest for build in self.builds.all()} | {each.digest for each in self.unregistered.all()}


class DeployedBuild(models.Model):
    """A build of a deployment. The latest that succeeded for a component and environment is what runs there.

    Where a rollback took the latest away with nothing to go back to, nothing runs there.
    `component` and `environment` repeat what build and deployment say, so that one index answers what is where.
    """

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="deployed_builds")
    build = models.ForeignKey(Build, on_delete=models.PROTECT, related_name="+")
    component = models.ForeignKey(Component, on_delete=models.PROTECT, related_name="+")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+")
    #: When its deployment succeeded; empty while that runs, and where it did not.
    succeeded_at = models.DateTimeField(null=True)
    #: Since when it is gone again, with nothing in its place.
    removed_at = models.DateTimeField(null=True)
    #: The release that it belongs to where a rollback brought it back; else it is its deployment's.
    back_to = models.ForeignKey(Release, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["deployment", "component"], name="component_once_in_a_deployment"),
            models.CheckConstraint(
                condition=Q(removed_at=None) | Q(succeeded_at__isnull=False, removed_at__gte=F("succeeded_at")),
                name="only_what_ran_is_removed",
            ),
        ]
        indexes = [
            models.Index(
                fields=["component", "environment", "-succeeded_at", "-id"],
                condition=Q(succeeded_at__isnull=False),
                name="deployed_build_latest",
            )
        ]

    def __str__(self) -> str:
        return f"{self.build} in {self.environment}"

    @property
    def release(self) -> Release | None:
        """The release of which it is a part there."""
        return self.back_to or self.deployment.release


class UnregisteredDigest(models.Model):
    """A digest of a deployment that nobody had registered: it may be a build of any component of the product.

    `product`, `environment` and `succeeded_at` repeat what the deployment says, so that one index finds the latest.
    """

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="unregistered", db_index=False)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+", db_index=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    digest = models.CharField(max_length=71, validators=[DIGEST])
    succeeded_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["deployment", "digest"], name="unregistered_digest_once_in_a_deployment")
        ]
        indexes = [
            models.Index(
                fields=["product", "environment", "-succeeded_at", "-id"],
                condition=Q(succeeded_at__isnull=False),
                name="unregistered_digest_latest",
            )
        ]

    def __str__(self) -> str:
        return self.digest
