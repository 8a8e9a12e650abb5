"""Plans: drawing them up, and their lists of tasks, which are editable in draft only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deployments.models import DeploymentPlan, DeploymentTask, WebhookEndpoint
from deployments.policies import dependency_errors
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Team, User
from releasemgmt.catalog.models import Environment
from releasemgmt.releases.models import Release
from releasemgmt.workflow import fsm
from releasemgmt.workflow.commands import command, create, edit, fire, lock, permit, record
from releasemgmt.workflow.errors import Invalid, WrongState

DEPENDENCIES = DeploymentTask.depends_on.through
#: The names of the two lists of a plan.
LISTS = {False: "tasks", True: "backout_tasks"}


@dataclass(frozen=True)
class TaskDraft:
    """A task as it is written down; `depends_on` are indexes in its own list, `endpoint` is the key of who does it."""

    title: str
    kind: str = DeploymentTask.Kind.MANUAL
    endpoint: str = ""
    purpose: str = DeploymentTask.Purpose.DEPLOY
    assignee: User | Team | None = None
    estimate_minutes: int | None = None
    depends_on: tuple[int, ...] = ()


def create_plan(  # noqa: PLR0913 - a plan's columns
    *,
    release: Release,
    environment: Environment,
    planned_start: datetime,
    latest_start: datetime,
    actor: User,
    now: datetime,
    autostart: bool = False,
    backout_minutes: int | None = None,
    tasks: Sequence[TaskDraft] = (),
    backout_tasks: Sequence[TaskDraft] = (),
) -> DeploymentPlan:
    """A new plan, in draft: its release, where it goes, when it may start, its tasks and the way back."""
    with command():
        plan = DeploymentPlan(
            release=release,
            environment=environment,
            planned_start=planned_start,
            latest_start=latest_start,
            autostart=autostart,
            backout_minutes=backout_minutes,
            created_by=actor,
        )
        permit(actor, plan, roles.plan_deployments, to="plan a deployment")
        if not release.product.environments.filter(pk=environment.pk).exists():
            raise Invalid({"environment": f"{release.product} does not use {environment}."})
        _check_times(planned_start, latest_start)
        lists = {False: tasks, True: backout_tasks}
        _check(plan, lists)
        facts = {
            "release": release.number,
            "environment": environment.key,
            "planned_start": planned_start,
            "latest_start": latest_start,
            "autostart": autostart,
            "tasks": [draft.title for draft in tasks],
            "backout_tasks": [draft.title for draft in backout_tasks],
        }
        plan = create(plan, actor=actor, data=facts)
        _write(plan, lists)
        return plan


def edit_plan(plan: DeploymentPlan, *, changes: Mapping[str, Any], actor: User, now: datetime) -> DeploymentPlan:
    """Change a draft: its times, `autostart`, `backout_minutes`; `tasks` and `backout_tasks` replace the whole list."""
    with command():
        plan = lock(plan)
        permit(actor, plan, roles.plan_deployments, to=f"edit {plan}")
        if plan.state != DeploymentPlan.State.DRAFT:
            state = plan.get_state_display().lower()
            allowed = [arrow.name for arrow in fsm.leaving(plan)]
            raise WrongState(f"{plan} is {state}; a plan is edited in draft.", allowed=allowed)
        plain = dict(changes)
        sent = {kind: plain.pop(name) for kind, name in LISTS.items() if name in plain}
        lists = {kind: drafts for kind, drafts in sent.items() if list(drafts) != drafts_of(plan, is_backout=kind)}
        _check_times(plain.get("planned_start", plan.planned_start), plain.get("latest_start", plan.latest_start))
        _check(plan, lists)
        plan = edit(plan, actor=actor, changes=plain)
        if lists:
            plan.tasks.filter(is_backout__in=lists).delete()
            _write(plan, lists)
            facts = {LISTS[kind]: [draft.title for draft in drafts] for kind, drafts in lists.items()}
            record(plan, "deployments.deploymentplan.edit_tasks", actor=actor, data=facts, revise=True)
        return plan


def schedule(plan: DeploymentPlan, *, actor: User, now: datetime) -> DeploymentPlan:
    """Schedule a plan; of two of a product at once the second one sees the first."""
    with command():
        plan = lock(plan)
        lock(plan.release.product)
        return fire(plan, "schedule", actor=actor, now=now)


def drafts_of(plan: DeploymentPlan, *, is_backout: bool) -> list[TaskDraft]:
    """A list of the plan's tasks as they were written down."""
    tasks = plan.tasks.filter(is_backout=is_backout).select_related("assigned_user", "assigned_team", "endpoint")
    return [
        TaskDraft(
            title=task.title,
            kind=task.kind,
            endpoint=task.endpoint.key if task.endpoint else "",
            purpose=task.purpose,
            assignee=task.assignee,
            estimate_minutes=task.estimate_minutes,
            depends_on=tuple(sorted(other.position for other in task.depends_on.all())),
        )
        for task in tasks.prefetch_related("depends_on")
    ]


def _check_times(planned_start: datetime, latest_start: datetime) -> None:
    if latest_start < planned_start:
        raise Invalid({"latest_start": "The latest start can't be before the planned one."})


def _check(plan: DeploymentPlan, lists: Mapping[bool, Sequence[TaskDraft]]) -> None:
    errors = {}
    endpoints = _endpoints(plan, lists)
    for is_backout, drafts in lists.items():
        name = LISTS[is_backout]
        for index, reason in dependency_errors([draft.depends_on for draft in drafts]).items():
            errors[f"{name}.{index}.depends_on"] = reason
        for index, draft in enumerate(drafts):
            if isinstance(draft.assignee, User) and not _can_work(draft.assignee, plan):
                errors[f"{name}.{index}.assignee"] = f"{draft.assignee} does not see {plan.release.product}."
            if reason := _endpoint_error(draft, plan, endpoints):
                errors[f"{name}.{index}.endpoint"] = reason
            if not draft.title.strip():
                errors[f"{name}.{index}.title"] = "Say what is to be done."
    if errors:
        raise Invalid(errors)


def _endpoints(plan: DeploymentPlan, lists: Mapping[bool, Sequence[TaskDraft]]) -> dict[str, WebhookEndpoint]:
    """The product's endpoints that the drafts name, by key."""
    named = {draft.endpoint for drafts in lists.values() for draft in drafts if draft.endpoint}
    rows = plan.release.product.webhook_endpoints.active().filter(key__in=named) if named else ()
    return {endpoint.key: endpoint for endpoint in rows}


def _endpoint_error(draft: TaskDraft, plan: DeploymentPlan, endpoints: Mapping[str, WebhookEndpoint]) -> str:
    by_webhook = draft.kind == DeploymentTask.Kind.WEBHOOK
    if by_webhook and not draft.endpoint:
        return "Say which endpoint does it."
    if draft.endpoint and not by_webhook:
        return "Only a webhook task is done by an endpoint."
    if draft.endpoint and draft.endpoint not in endpoints:
        return f"{plan.release.product} has no active endpoint {draft.endpoint}."
    return ""


def _can_work(user: User, plan: DeploymentPlan) -> bool:
    return user.is_active and user.kind != User.Kind.SYSTEM and user.sees(plan)


def _write(plan: DeploymentPlan, lists: Mapping[bool, Sequence[TaskDraft]]) -> None:
    endpoints = _endpoints(plan, lists)
    rows = DeploymentTask.objects.bulk_create(
        _task(plan, draft, is_backout=is_backout, position=position, endpoint=endpoints.get(draft.endpoint))
        for is_backout, drafts in lists.items()
        for position, draft in enumerate(drafts)
    )
    there = {(row.is_backout, row.position): row for row in rows}
    DEPENDENCIES.objects.bulk_create(
        DEPENDENCIES(from_deploymenttask=there[is_backout, position], to_deploymenttask=there[is_backout, other])
        for is_backout, drafts in lists.items()
        for position, draft in enumerate(drafts)
        for other in sorted(set(draft.depends_on))
    )


def _task(
    plan: DeploymentPlan, draft: TaskDraft, *, is_backout: bool, position: int, endpoint: WebhookEndpoint | None
) -> DeploymentTask:
    return DeploymentTask(
        plan=plan,
        is_backout=is_backout,
        position=position,
        title=draft.title.strip(),
        kind=draft.kind,
        endpoint=endpoint,
        purpose=draft.purpose,
        assigned_user=draft.assignee if isinstance(draft.assignee, User) else None,
        assigned_team=draft.assignee if isinstance(draft.assignee, Team) else None,
        estimate_minutes=draft.estimate_minutes,
    )
