"""A plan's attempt: started by a deployer or when due, ended by the last task or by whoever gives it up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import QuerySet

from approvals.queries import signed_off_by
from deployments.commands.backouts import back_out, roll_back
from deployments.commands.outcomes import (
    conclude,
    finish_changes,
    implement_changes,
    lock_changes,
    reach_production,
    take_environment,
)
from deployments.commands.overrides import use_override
from deployments.commands.plans import schedule
from deployments.commands.tasks import begin_tasks, put_back_tasks
from deployments.models import DeployedBuild, Deployment, DeploymentPlan
from deployments.queries import running_deployment, scheduled_by, ticked_last_by
from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import Role, User
from releasemgmt.workflow import fsm
from releasemgmt.workflow.commands import command, fire, lock, record
from releasemgmt.workflow.errors import Blocked
from releasemgmt.workflow.gates import Blocker

log = structlog.get_logger()

NOT_BY_ITSELF = Blocker("waits_for_deployer", "It is due, and a deployer starts it.", (Role.DEPLOYER.value,))


def start(plan: DeploymentPlan, *, actor: User, now: datetime, on_behalf_of: User | None = None) -> DeploymentPlan:
    """Start the deployment: take the environment, begin the release's changes and the tasks that wait for nothing."""
    with command():
        plan = _lock_with_release(plan)
        is_fresh = fsm.find(plan, "start") is not None
        behind = signed_off_by(plan.release, now=now) if is_fresh and plan.environment.is_production else {}
        plan = fire(plan, "start", actor=actor, on_behalf_of=on_behalf_of, now=now, data=behind)
        if is_fresh:
            take_environment(*_attempt(plan, now=now))
            begin_tasks(plan, now=now)
            if plan.environment.is_production:
                implement_changes(plan.release, now=now, on_behalf_of=on_behalf_of or actor)
            use_override(plan, actor=actor, on_behalf_of=on_behalf_of, now=now)
        return plan


def fail(plan: DeploymentPlan, *, actor: User, now: datetime, reason: str = "") -> DeploymentPlan:
    """Give an attempt up, with a reason: the environment is free again, release and changes stay as they are."""
    with command():
        plan = lock(plan)
        running = running_deployment(plan)
        plan = fire(plan, "fail", actor=actor, now=now, reason=reason)
        if running:
            conclude(running, Deployment.Status.FAILED, at=now)
        return plan


def reschedule(plan: DeploymentPlan, *, actor: User, now: datetime) -> DeploymentPlan:
    """Back to draft for another attempt; every task is to be done again."""
    with command():
        plan = lock(plan)
        is_fresh = fsm.find(plan, "reschedule") is not None
        plan = fire(plan, "reschedule", actor=actor, now=now)
        if is_fresh:
            put_back_tasks(plan)
        return plan


#: The transitions that are more than a `fire`; faces ask here first.
TRANSITIONS: Mapping[str, Callable[..., DeploymentPlan]] = {
    "schedule": schedule,
    "start": start,
    "fail": fail,
    "back_out": back_out,
    "reschedule": reschedule,
}


def start_due_plans(now: datetime) -> int:
    """Start the plans whose time has come, or say what holds them up; those that are too late are missed."""
    return _each(DeploymentPlan.objects.due(now), lambda plan: _start_or_miss(plan, now))


def finish_plans(now: datetime) -> int:
    """End the plans whose last task is done: what they deployed, or brought back, runs in their environments."""
    ways = {False: _succeed, True: roll_back}
    return _each(DeploymentPlan.objects.worked_off(), lambda plan: ways[plan.goes_back](plan, now=now))


def _each(plans: QuerySet[DeploymentPlan], act: Callable[[DeploymentPlan], bool]) -> int:
    """One transaction for each plan that nobody else works on; one that breaks does not keep the others waiting."""
    moved = 0
    for pk in plans.values_list("pk", flat=True).order_by("planned_start", "pk"):
        try:
            with command():
                claimed = plans.select_for_update(of=("self",), skip_locked=True, no_key=True).filter(pk=pk).first()
                moved += claimed is not None and act(claimed)
        except Exception:
            log.exception("plan_not_moved", plan=f"{DeploymentPlan.NUMBER_PREFIX}-{pk}")
    return moved


def _start_or_miss(plan: DeploymentPlan, now: datetime) -> bool:
    person = scheduled_by(plan)
    if now > plan.latest_start:
        fire(plan, "miss", actor=system(), on_behalf_of=person, now=now)
        return True
    if not plan.autostart:
        return _hold_up(plan, [NOT_BY_ITSELF])
    try:
        with transaction.atomic():
            start(plan, actor=system(), on_behalf_of=person, now=now)
    except Blocked as refused:
        return _hold_up(plan, refused.blockers)
    return True


def _hold_up(plan: DeploymentPlan, blockers: Iterable[Blocker]) -> bool:
    """Say once, and again when the reasons change, what keeps a due plan waiting."""
    codes = " ".join(sorted({blocker.code for blocker in blockers}))
    if codes != plan.held_up_by:
        plan = lock(plan)
        plan.held_up_by = codes
        facts = {"blockers": [blocker.as_json() for blocker in blockers]}
        record(plan, "deployments.deploymentplan.hold_up", actor=system(), data=facts, save=["held_up_by"])
    return False


def _succeed(plan: DeploymentPlan, *, now: datetime) -> bool:
    person = ticked_last_by(plan)
    plan = _lock_with_release(plan)
    running = running_deployment(plan)
    try:
        with transaction.atomic():
            plan = fire(plan, "succeed", actor=system(), on_behalf_of=person, now=now)
    except Blocked:
        return False
    if running:
        conclude(running, Deployment.Status.SUCCEEDED, at=now)
        if plan.environment.is_production:
            reach_production(running, now=now, on_behalf_of=person)
            finish_changes(plan.release, now=now, on_behalf_of=person)
    return True


def _lock_with_release(plan: DeploymentPlan) -> DeploymentPlan:
    """The plan, its release's changes and the release, locked in this order; gates then judge what can't change."""
    plan = lock(plan)
    if plan.environment.is_production:
        lock_changes(plan.release)
    plan.release = lock(plan.release)
    return plan


def _attempt(plan: DeploymentPlan, *, now: datetime) -> tuple[Deployment, list[DeployedBuild]]:
    deployment = Deployment(
        plan=plan,
        product=plan.release.product,
        release=plan.release,
        environment=plan.environment,
        origin=Deployment.Origin.ENGINE,
        started_at=now,
    )
    return deployment, [DeployedBuild(build=build) for build in plan.release.builds.all()]
