"""Test runs: what was tested, where, and how it ended."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from releasemgmt.catalog.models import Environment, Product
from releasemgmt.releases.models.build import Build


class Suite(models.TextChoices):
    """The kinds of test that a release model can ask for."""

    SMOKE = "smoke", "Smoke"
    INTEGRATION = "integration", "Integration"
    REGRESSION = "regression", "Regression"
    ACCEPTANCE = "acceptance", "Acceptance"
    PERFORMANCE = "performance", "Performance"
    SECURITY = "security", "Security"


class TestRun(models.Model):
    """One finished run of a suite on a set of builds in an environment; counts are of test cases."""

    __test__ = False

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="test_runs")
    builds = models.ManyToManyField(Build, related_name="test_runs")
    #: SHA-256 over the sorted digests of its builds: "exactly the release's" is one comparison.
    build_set = models.CharField(max_length=64)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="test_runs")
    suite = models.CharField(max_length=20, choices=Suite.choices)
    passed = models.PositiveIntegerField()
    failed = models.PositiveIntegerField()
    errors = models.PositiveIntegerField()
    skipped = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    #: SHA-256 of the uploaded report, empty when numbers were sent.
    report_digest = models.CharField(max_length=71, blank=True)
    #: The names of the cases that failed, for people; at most 50.
    failures = models.JSONField(default=list)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(started_at__lte=F("finished_at")), name="test_run_starts_before_end"),
        ]
        indexes = [
            models.Index(fields=["build_set", "suite", "-finished_at", "-id"], name="test_run_latest"),
            models.Index(fields=["product", "-finished_at", "-id"], name="test_run_list"),
        ]

    def __str__(self) -> str:
        return f"{self.get_suite_display()} on {self.environment_id}: {self.passed} passed, {self.failed} failed"

    @property
    def has_passed(self) -> bool:
        """At least one case passed, none failed or broke."""
        return self.passed > 0 and self.failed == self.errors == 0
