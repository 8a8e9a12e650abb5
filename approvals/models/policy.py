"""Policies: whose approval a subject needs, as versioned data."""

from __future__ import annotations

from django.db import models

from releasemgmt.catalog.models import KEY
from releasemgmt.workflow.models import Aggregate


class ApprovalPolicy(Aggregate):
    """Who must approve what: the newest version of each key counts.

    `conditions` is `{"risk": ["low", …]}`; `stages` a list of `{"role", "count", "veto"}`.
    """

    class Subject(models.TextChoices):
        RELEASE = "release", "Releases"
        CHANGE = "change", "Change requests"
        ANY = "any", "Releases and change requests"

    key = models.CharField(max_length=40, validators=[KEY])
    version = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=100)
    subject = models.CharField(max_length=10, choices=Subject.choices, default=Subject.ANY)
    conditions = models.JSONField(default=dict)
    stages = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "version"], name="policy_version_once")]
        ordering = ["key", "-version"]
        verbose_name_plural = "approval policies"

    def __str__(self) -> str:
        return f"{self.name} (version {self.version})"

    @property
    def number(self) -> str:
        return f"{self.key}@{self.version}"
