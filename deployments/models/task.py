"""A plan's tasks: what is to be done, by whom, after what."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q

from deployments.models.endpoint import WebhookEndpoint
from deployments.models.plan import DeploymentPlan
from releasemgmt.accounts.models import Team, User


class TaskQuerySet(models.QuerySet["DeploymentTask"]):
    """Tasks, filtered in the domain's words."""

    def on_turn(self) -> TaskQuerySet:
        """Those that are being done: the plan is on its way, or on the way back where they belong to that."""
        forward, back = Q(plan__state="in_progress"), Q(plan__state="backing_out")
        running = Q(forward, is_backout=False) | Q(back, is_backout=True)
        return self.filter(running, state=DeploymentTask.State.IN_PROGRESS)


class DeploymentTask(models.Model):
    """One step of a plan, or of its way back; it is someone's turn once all that it depends on is behind it."""

    class Kind(models.TextChoices):
        MANUAL = "manual", "By hand"
        WEBHOOK = "webhook", "By webhook"

    class Purpose(models.TextChoices):
        PREPARE = "prepare", "Prepare"
        BACKUP = "backup", "Backup"
        DEPLOY = "deploy", "Deploy"
        DATABASE = "database", "Database"
        CONFIGURE = "configure", "Configure"
        VERIFY = "verify", "Verify"
        COMMUNICATE = "communicate", "Communicate"
        RESTORE = "restore", "Restore"

    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        IN_PROGRESS = "in_progress", "In progress"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "Skipped"

    #: The states in which a task no longer keeps others, or the plan, waiting.
    BEHIND = (State.DONE, State.SKIPPED)

    plan = models.ForeignKey(DeploymentPlan, on_delete=models.CASCADE, related_name="tasks")
    is_backout = models.BooleanField(default=False)
    position = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.MANUAL)
    purpose = models.CharField(max_length=20, choices=Purpose.choices, default=Purpose.DEPLOY)
    #: Who is called to do a webhook task.
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.PROTECT, null=True, blank=True, related_name="tasks")
    assigned_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="deployment_tasks"
    )
    assigned_team = models.ForeignKey(
        Team, on_delete=models.PROTECT, null=True, blank=True, related_name="deployment_tasks"
    )
    estimate_minutes = models.PositiveIntegerField(null=True, blank=True)
    depends_on = models.ManyToManyField("self", symmetrical=False, related_name="dependants", blank=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.PENDING)
    attempt = models.PositiveSmallIntegerField(default=1)
    #: Rises whenever it becomes the task's turn, and never falls: what was called in an earlier turn is refused by it.
    fencing_token = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    evidence = models.TextField(blank=True)
    reason = models.TextField(blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    finished_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = TaskQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plan", "is_backout", "position"], name="task_has_its_place"),
            models.CheckConstraint(
                condition=Q(kind="webhook", endpoint__isnull=False) | (~Q(kind="webhook") & Q(endpoint=None)),
                name="task_has_an_endpoint_iff_by_webhook",
            ),
            models.CheckConstraint(
                condition=Q(assigned_user=None) | Q(assigned_team=None), name="task_has_one_assignee"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["failed", "skipped"]) | ~Q(reason=""), name="task_failed_or_skipped_says_why"
            ),
        ]
        indexes = [
            models.Index(fields=["plan"], condition=Q(kind="webhook", state="in_progress"), name="task_webhook_on_turn")
        ]
        ordering = ["plan", "is_backout", "position"]

    def __str__(self) -> str:
        return self.title

    @property
    def assignee(self) -> User | Team | None:
        """Whose task it is, if it is anyone's."""
        return self.assigned_user or self.assigned_team

    @property
    def is_over(self) -> bool:
        """Whether nobody will work on it any more, unless its plan is taken up again."""
        rests = self.plan.goes_back and not self.is_backout
        return rests or self.state in self.BEHIND or self.plan.state in DeploymentPlan.OVER

    def assign(self, to: User | Team) -> None:
        """From now on it is that person's, or that team's."""
        self.assigned_user = to if isinstance(to, User) else None
        self.assigned_team = to if isinstance(to, Team) else None

    @property
    def is_backup(self) -> bool:
        """Whether it saves what the others could lose."""
        return self.purpose == self.Purpose.BACKUP

    def is_of(self, actor: User) -> bool:
        """Whether the actor is its assignee, or belongs to the team that is."""
        if self.assigned_team_id is not None:
            return bool(actor.roles_in(self.assigned_team_id))
        return self.assigned_user_id == actor.pk

    def begin(self, *, now: datetime) -> None:
        """It is the assignee's turn."""
        self.state, self.started_at = self.State.IN_PROGRESS, now
        self.fencing_token += 1
        self.finished_at, self.finished_by = None, None

    def end(self, state: str, *, by: User, now: datetime, evidence: str = "", reason: str = "") -> None:
        """How it ended, when and by whom."""
        self.state, self.finished_at, self.finished_by = state, now, by
        self.evidence, self.reason = evidence, reason
