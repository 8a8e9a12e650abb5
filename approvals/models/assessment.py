"""What is found out about a change request before people decide: its risk, and what it gets in the way of."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from approvals.models.change import ChangeRequest
from releasemgmt.releases.models import Risk


class Questionnaire(models.Model):
    """The questions from whose answers a risk is computed; the highest version is asked.

    `questions` is a list of `{"key", "text", "choices": [{"key", "label", "weight"}]}`; `thresholds` the scores from
    which on a risk is `{"medium", "high"}`.
    """

    version = models.PositiveIntegerField(unique=True)
    questions = models.JSONField()
    thresholds = models.JSONField()

    class Meta:
        ordering = ["-version"]

    def __str__(self) -> str:
        return f"Questionnaire {self.version}"


class RiskAssessment(models.Model):
    """What somebody answered about a change, and what it came to; kept for good, the newest counts."""

    change = models.ForeignKey(ChangeRequest, on_delete=models.PROTECT, related_name="assessments")
    questionnaire = models.ForeignKey(Questionnaire, on_delete=models.PROTECT, related_name="+")
    #: question → choice, by their keys.
    answers = models.JSONField()
    score = models.PositiveSmallIntegerField()
    level = models.CharField(max_length=10, choices=Risk.choices)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.change}: {self.get_level_display().lower()} ({self.score})"


class ChangeConflict(models.Model):
    """That a change gets in the way of another one, one row for both, or of something else that stands in `detail`."""

    class Kind(models.TextChoices):
        COMPONENT = "component", "Same component"
        ENVIRONMENT = "environment", "Same environment"
        IMPLEMENTER = "implementer", "Same implementer"

    change = models.ForeignKey(ChangeRequest, on_delete=models.PROTECT, related_name="+", db_index=False)
    other = models.ForeignKey(ChangeRequest, on_delete=models.PROTECT, null=True, related_name="+")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    #: What both touch, by its keys.
    detail = models.CharField(max_length=500, blank=True)
    found_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["change", "other", "kind"], name="conflict_once"),
            models.CheckConstraint(condition=Q(other=None) | Q(change__lt=F("other")), name="conflict_in_one_order"),
        ]
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.change} and {self.other}: {self.get_kind_display().lower()}"
