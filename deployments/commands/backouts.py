"""The way back: what ran before an attempt is brought back by tasks of its own, a deployment like any other."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from approvals.models import ChangeRequest
from deployments.commands.outcomes import (
    conclude,
    finish_changes,
    leave_production,
    lock_changes,
    releases_in,
    remove_builds,
    take_environment,
)
from deployments.commands.tasks import begin_tasks
from deployments.models import DeployedBuild, Deployment, DeploymentPlan
from deployments.queries import last_attempt, ran_before_attempt, running_deployment, ticked_last_by
from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import User
from releasemgmt.workflow import fsm
from releasemgmt.workflow.commands import command, fire, lock
from releasemgmt.workflow.errors import Blocked

Status = Deployment.Status


def back_out(plan: DeploymentPlan, *, actor: User, now: datetime, reason: str = "") -> DeploymentPlan:
    """Take an attempt back, with a reason: hold the environment for the rollback and begin the tasks of the way back.

    Its digests are those that ran there before, for each component of the attempt; what was not there yet stays out.
    It needs no sign-off, window or freeze. An attempt that still runs ends as failed, and hands its lock over.
    """
    with command():
        plan = lock(plan)
        if fsm.find(plan, "back_out") is None:
            return fire(plan, "back_out", actor=actor, now=now, reason=reason)
        attempt = last_attempt(plan)
        before = ran_before_attempt(attempt)
        facts = {"remediates": attempt.pk, "builds": [each.build.digest for each in before]}
        plan = fire(plan, "back_out", actor=actor, now=now, reason=reason, data=facts)
        if attempt.status == Status.RUNNING:
            conclude(attempt, Status.FAILED, at=now)
        take_environment(_rollback(plan, attempt, before, now=now), _again(before))
        begin_tasks(plan, now=now)
        return plan


def _rollback(plan: DeploymentPlan, attempt: Deployment, before: list[DeployedBuild], *, now: datetime) -> Deployment:
    releases = {each.release for each in before}
    return Deployment(
        plan=plan,
        product=attempt.product,
        release=releases.pop() if len(releases) == 1 else None,
        environment=attempt.environment,
        kind=Deployment.Kind.ROLLBACK,
        origin=Deployment.Origin.ENGINE,
        remediates=attempt,
        started_at=now,
    )


def _again(before: list[DeployedBuild]) -> list[DeployedBuild]:
    return [DeployedBuild(build=each.build, back_to=each.release) for each in before]


def roll_back(plan: DeploymentPlan, *, now: datetime) -> bool:
    """End a way back whose last task is done: what ran there before runs there again; False while a gate is closed.

    A release that production runs nowhere any more is rolled back; changes that were being implemented have failed.
    """
    person = ticked_last_by(plan)
    plan = lock(plan)
    running = running_deployment(plan)
    product, environment = plan.release.product, plan.environment
    before = releases_in(environment, product) if environment.is_production else set()
    if environment.is_production:
        lock_changes(plan.release)
    for release in sorted({*before, plan.release}, key=lambda each: each.pk):
        lock(release)
    try:
        with transaction.atomic():
            plan = fire(plan, "roll_back", actor=system(), on_behalf_of=person, now=now)
    except Blocked:
        return False
    if running:
        remove_builds(running, at=now)
        conclude(running, Status.SUCCEEDED, at=now)
    if environment.is_production:
        leave_production(before - releases_in(environment, product), now=now, on_behalf_of=person)
        failed = ChangeRequest.Outcome.UNSUCCESSFUL
        finish_changes(plan.release, now=now, on_behalf_of=person, outcome=failed)
    return True
