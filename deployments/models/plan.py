"""The plan: one release, one environment, when and how; and its life from draft to the end of an attempt."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment
from releasemgmt.releases.models import Release
from releasemgmt.workflow.fsm import Allow, engine_only, state_field, transition
from releasemgmt.workflow.models import StatefulModel


class NotTheRequester:
    """Whom `allow` names; but to production nobody sends the release that they asked for themselves."""

    def __init__(self, allow: Allow) -> None:
        self.allow = allow
        self.description = f"{allow.description}; in production not who requested the release"

    def __call__(self, actor: User, plan: Any) -> bool:
        asked = actor.pk in (plan.release.created_by_id, plan.release.requested_by_id)
        if asked and plan.environment.is_production and actor.kind == User.Kind.HUMAN:
            return False
        return self.allow(actor, plan)


class SelfService:
    """Any member of the product's team, where the environment is not change-controlled; else whom `allow` names."""

    def __init__(self, allow: Allow) -> None:
        self.allow = allow
        self.description = f"{roles.team_members.description}, unless change-controlled; else {allow.description}"

    def __call__(self, actor: User, plan: Any) -> bool:
        free = not plan.environment.change_controlled
        return self.allow(actor, plan) or (free and roles.team_members(actor, plan))


class PlanQuerySet(models.QuerySet["DeploymentPlan"]):
    """Plans, filtered in the domain's words."""

    def visible_to(self, user: User) -> PlanQuerySet:
        """Those of the user's teams."""
        return roles.visible_to(user, self, team="release__product__team")

    def due(self, now: datetime) -> PlanQuerySet:
        """Those whose planned start has come, or whose latest start has passed."""
        return self.filter(state=DeploymentPlan.State.SCHEDULED, planned_start__lte=now)

    def worked_off(self) -> PlanQuerySet:
        """Those on their way there, or back, that have no task of that way left to do."""
        there = Q(state=DeploymentPlan.State.IN_PROGRESS, tasks__is_backout=False)
        back = Q(state=DeploymentPlan.State.BACKING_OUT, tasks__is_backout=True)
        left = self.model.objects.filter(there | back, tasks__state__in=["pending", "in_progress", "failed"])
        return self.filter(state__in=DeploymentPlan.UNDER_WAY).exclude(pk__in=left)


class DeploymentPlan(StatefulModel):
    """How a release comes into an environment: its tasks, the way back, and between when it may start."""

    NUMBER_PREFIX = "DPL"
    locked_with = ("release__product", "environment")

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        READY = "ready", "Ready"
        SCHEDULED = "scheduled", "Scheduled"
        IN_PROGRESS = "in_progress", "In progress"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        BACKING_OUT = "backing_out", "Backing out"
        ROLLED_BACK = "rolled_back", "Rolled back"
        MISSED = "missed", "Missed"
        CANCELLED = "cancelled", "Cancelled"

    #: The states in which it holds its environment and its tasks are worked on.
    UNDER_WAY = (State.IN_PROGRESS, State.BACKING_OUT)

    #: The states after which nothing of it is done any more, unless it is taken up again or backed out.
    OVER = (State.SUCCEEDED, State.FAILED, State.ROLLED_BACK, State.MISSED, State.CANCELLED)

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="plans")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="plans")
    planned_start = models.DateTimeField()
    latest_start = models.DateTimeField()
    autostart = models.BooleanField(default=False)
    backout_minutes = models.PositiveIntegerField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    #: The codes of what keeps a due plan from starting, so that a notice is given once and not each second.
    held_up_by = models.CharField(max_length=500, blank=True, editable=False)
    #: How often it went back to draft: what was verified of its builds before counts no more.
    cycle = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    #: The kind and the title of each item of its preparation list as it was when it was prepared.
    asked_items = models.JSONField(default=list, db_default=[], editable=False)
    state = state_field(default=State.DRAFT, choices=State.choices)

    objects = PlanQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(planned_start__lte=F("latest_start")), name="plan_is_not_too_late_before_it_begins"
            )
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="plan_list"),
            models.Index(fields=["state", "-created_at", "-id"], name="plan_list_by_state"),
            models.Index(fields=["release", "-created_at", "-id"], name="plan_list_by_release"),
            models.Index(fields=["environment", "-created_at", "-id"], name="plan_list_by_environment"),
            models.Index(fields=["state", "planned_start"], name="plan_due"),
        ]

    @property
    def owning_team_id(self) -> int | None:
        return self.release.product.team_id

    @property
    def is_under_way(self) -> bool:
        """Whether its tasks, or those of the way back, are worked on."""
        return self.state in self.UNDER_WAY

    @property
    def goes_back(self) -> bool:
        """Whether it is the turn of the way back."""
        return bool(self.state == self.State.BACKING_OUT)

    @property
    def needs_backup(self) -> bool:
        """Whether it changes a database in production so that only a backup leads back."""
        return self.environment.is_production and self.release.database_change == Release.DatabaseChange.IRREVERSIBLE

    @transition(source=State.DRAFT, target=State.READY, allow=roles.plan_deployments, label="Prepare")
    def prepare(self) -> None:
        """The tasks and the way back are written down, and what the product asks for is verified."""
        asked = self.release.product.preparation_items.filter(tier=self.environment.tier).order_by("position")
        self.asked_items = [[item.kind, item.title] for item in asked]

    @transition(
        source=State.READY,
        target=State.SCHEDULED,
        allow=NotTheRequester(roles.plan_deployments),
        label="Schedule",
    )
    def schedule(self) -> None:
        """It may start between its planned and its latest start."""

    @transition(
        source=State.SCHEDULED,
        target=State.IN_PROGRESS,
        allow=NotTheRequester(roles.deploy_or_system),
        label="Start",
    )
    @transition(
        source=State.DRAFT,
        target=State.IN_PROGRESS,
        allow=NotTheRequester(SelfService(roles.deploy_or_system)),
        label="Start",
    )
    def start(self) -> None:
        """The deployment runs and holds the environment; from draft only where that is not change-controlled."""
        self.held_up_by = ""

    @transition(source=State.IN_PROGRESS, target=State.SUCCEEDED, allow=engine_only, label="Succeed")
    def succeed(self) -> None:
        """Every task is done: the builds run in the environment."""

    @transition(
        source=State.IN_PROGRESS,
        target=State.FAILED,
        allow=roles.deploy_or_system,
        label="Fail",
        required=("reason",),
    )
    def fail(self, reason: str) -> None:
        """This attempt is given up; the environment is free again."""

    @transition(
        source=[State.IN_PROGRESS, State.FAILED, State.SUCCEEDED],
        target=State.BACKING_OUT,
        allow=roles.deploy,
        label="Back out",
        required=("reason",),
    )
    def back_out(self, reason: str) -> None:
        """The environment gets back what ran there before: it is held, and the tasks of the way back begin."""

    @transition(source=State.BACKING_OUT, target=State.ROLLED_BACK, allow=engine_only, label="Roll back")
    def roll_back(self) -> None:
        """The way back is done: what ran there before runs there again."""

    @transition(source=State.SCHEDULED, target=State.MISSED, allow=engine_only, label="Miss")
    def miss(self) -> None:
        """Its latest start has passed; it is never run late."""

    @transition(source=[State.READY, State.SCHEDULED], target=State.DRAFT, allow=roles.plan_deployments, label="Reopen")
    def reopen(self) -> None:
        """Something of the plan has to change."""
        self._begin_again()

    @transition(
        source=[State.MISSED, State.FAILED, State.ROLLED_BACK],
        target=State.DRAFT,
        allow=roles.plan_deployments,
        label="Reschedule",
    )
    def reschedule(self) -> None:
        """Another attempt with the same tasks."""
        self._begin_again()

    @transition(
        source=[State.DRAFT, State.READY, State.SCHEDULED],
        target=State.CANCELLED,
        allow=roles.plan_deployments,
        label="Cancel",
        required=("reason",),
        final=True,
    )
    def cancel(self, reason: str) -> None:
        """It will not be carried out."""

    def _begin_again(self) -> None:
        self.held_up_by, self.asked_items, self.cycle = "", [], self.cycle + 1
