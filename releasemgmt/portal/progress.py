"""How far a plan is: its tasks on the way there and back, who is at them since when, and what waits for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from deployments.commands.tasks import may_work_on
from deployments.models import DeploymentPlan, DeploymentTask, WebhookCall
from releasemgmt.accounts.models import User

State = DeploymentTask.State


@dataclass(frozen=True)
class Step:
    """One task as the page shows it."""

    task: DeploymentTask
    #: The tasks before it; while its way is worked on, those that are not behind yet.
    after: Sequence[DeploymentTask]
    #: How long it has been going on, or took.
    time: str
    #: Whether it takes longer than it was estimated.
    is_late: bool
    #: Whether the person may work on it now.
    is_mine: bool
    #: Whether the person may hand it over.
    can_hand_over: bool
    #: What became of the last time that its endpoint was called.
    call: WebhookCall | None

    @property
    def number(self) -> int:
        return self.task.position + 1


@dataclass(frozen=True)
class Way:
    """The way there, or the way back."""

    is_back: bool
    steps: Sequence[Step]
    #: Whether it is worked on now.
    is_active: bool

    @property
    def done(self) -> int:
        return sum(step.task.state in DeploymentTask.BEHIND for step in self.steps)

    @property
    def going_on(self) -> int:
        return sum(step.task.state == State.IN_PROGRESS for step in self.steps) if self.is_active else 0

    @property
    def waiting_for_a_decision(self) -> int:
        return sum(step.task.state == State.FAILED for step in self.steps) if self.is_active else 0


def ways(plan: DeploymentPlan, *, user: User, now: datetime) -> list[Way]:
    """The way there and the way back, the one that matters now first. Three statements beside those about roles."""
    rows = plan.tasks.select_related("assigned_user", "assigned_team", "endpoint", "finished_by")
    tasks = list(rows.prefetch_related("depends_on", "calls").order_by("is_backout", "position"))
    back_first = plan.state in (DeploymentPlan.State.BACKING_OUT, DeploymentPlan.State.ROLLED_BACK)
    return [
        _way(plan, [task for task in tasks if task.is_backout == is_back], is_back=is_back, user=user, now=now)
        for is_back in (back_first, not back_first)
    ]


def _way(plan: DeploymentPlan, tasks: Sequence[DeploymentTask], *, is_back: bool, user: User, now: datetime) -> Way:
    active = plan.is_under_way and plan.goes_back == is_back
    return Way(is_back, [_step(plan, task, active, user=user, now=now) for task in tasks], active)


def _step(plan: DeploymentPlan, task: DeploymentTask, active: bool, *, user: User, now: datetime) -> Step:
    task.plan = plan
    before = sorted(task.depends_on.all(), key=lambda each: each.position)
    mine = may_work_on(task, user)
    ended = task.finished_at or (now if active else None)
    took = ended - task.started_at if task.started_at and ended else None
    return Step(
        task=task,
        after=[each for each in before if not active or each.state not in DeploymentTask.BEHIND],
        time=lasting(took) if took is not None else "",
        is_late=bool(took and task.estimate_minutes and took > timedelta(minutes=task.estimate_minutes)),
        is_mine=mine and active,
        can_hand_over=mine and not task.is_over,
        call=next(iter(task.calls.all()), None),
    )


def lasting(time: timedelta) -> str:
    """A span in two units at most: `40 s`, `12 min`, `3 h 05 min`, `2 d 4 h`."""
    seconds = max(int(time.total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60:02} min"
    return f"{minutes} min" if minutes else f"{seconds} s"
