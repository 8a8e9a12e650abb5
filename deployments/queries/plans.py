"""Who and what a plan concerns: its attempt, those on whose behalf the system acts, and whom its events ask or tell."""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q, QuerySet

from deployments import policies
from deployments.models import Deployment, DeploymentPlan, DeploymentTask
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Role, User
from releasemgmt.notifications.queries import people_in
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import while_reading
from releasemgmt.workflow.models import Event
from releasemgmt.workflow.queries import timeline


def running_deployment(plan: DeploymentPlan) -> Deployment | None:
    """The attempt, or its rollback, that is going on."""
    return plan.deployments.running().first()


def last_attempt(plan: DeploymentPlan) -> Deployment:
    """The attempt that a rollback of the plan takes back: its last one on the way there."""
    attempts = plan.deployments.exclude(kind=Deployment.Kind.ROLLBACK).select_related("environment", "product")
    return attempts.latest("pk")


def planned_start(release: Release) -> datetime | None:
    """When the release is to go to production first, by its plans."""
    ahead = (DeploymentPlan.State.DRAFT, DeploymentPlan.State.READY, DeploymentPlan.State.SCHEDULED)
    plans = [plan for plan in plans_of(release) if plan.environment.is_production and plan.state in ahead]
    return min((plan.planned_start for plan in plans), default=None)


def plans_of(release: Release) -> list[DeploymentPlan]:
    """Its plans with their environments, by planned start. One statement."""
    plans = release.plans.select_related("environment").order_by("planned_start", "pk")
    return while_reading(("plans", release.pk), lambda: list(plans))


def scheduled_by(plan: DeploymentPlan) -> User | None:
    """Who scheduled the plan last: the one on whose behalf the system starts it."""
    event = timeline(plan).filter(kind="deployments.deploymentplan.schedule").first()
    return event.actor if event else None


def started_by(plan: DeploymentPlan) -> User | None:
    """Who began, or let begin, what is going on: the one on whose behalf the system ends what webhooks do."""
    kinds = ("deployments.deploymentplan.start", "deployments.deploymentplan.back_out", "deployments.task.retry")
    event = timeline(plan).filter(kind__in=kinds).first()
    return (event.on_behalf_of or event.actor) if event else None


def ticked_last_by(plan: DeploymentPlan) -> User | None:
    """Who ended the last task: the one on whose behalf the system ends the plan."""
    last = plan.tasks.exclude(finished_by=None).select_related("finished_by").order_by("-finished_at", "-pk").first()
    by = last.finished_by if last else None
    return started_by(plan) if by and by.kind == User.Kind.SYSTEM else by


def who_can_work_on(plan: DeploymentPlan) -> QuerySet[User, Any]:
    """Those whose task it can be: they do more in its team than read and administrate."""
    return people_in(plan.owning_team_id, *map(Role, roles.team_members.roles)).filter(is_active=True)


def who_has_it(event: Event) -> QuerySet[User, Any]:
    """Those to whom a task was handed over: the person, or the team."""
    task = DeploymentTask.objects.get(pk=event.data["task"])
    return User.objects.filter(Q(deployment_tasks=task) | Q(role_assignments__team__deployment_tasks=task)).distinct()


PREPARED = (DeploymentPlan.State.READY, DeploymentPlan.State.SCHEDULED)
#: What changes data, and so waits for the backup.
CHANGES_DATA = (DeploymentTask.Purpose.DEPLOY, DeploymentTask.Purpose.DATABASE)


def unsecured(plan: DeploymentPlan) -> list[tuple[str, str]]:
    """What a plan lacks to come back from an irreversible change of a database, as codes and words. Two statements.

    Where something starts, or is asked about, without a plan, there has to be one that is prepared.
    """
    if plan.pk is None:
        prepared = plan.release.plans.filter(environment=plan.environment_id, state__in=PREPARED)
        return [] if prepared.exists() else [("needs_plan", "prepare a plan with a backup and a restore.")]
    tasks = list(plan.tasks.prefetch_related("depends_on"))
    ahead = [task for task in tasks if not task.is_backout]
    found = []
    backups = {task.pk for task in ahead if task.purpose == DeploymentTask.Purpose.BACKUP}
    if not backups:
        found.append(("no_backup_task", "add a task of purpose backup that comes first."))
    else:
        waits_for = {task.pk: {other.pk for other in task.depends_on.all()} for task in ahead}
        late = policies.come_after(backups, waits_for)
        early = [task for task in ahead if task.purpose in CHANGES_DATA and task.pk not in late]
        found += [("backup_not_first", f"“{task}” has to wait for the backup.") for task in early]
    if not any(task.is_backout and task.purpose == DeploymentTask.Purpose.RESTORE for task in tasks):
        found.append(("no_restore_task", "add a backout task of purpose restore."))
    return found


def deployers(event: Event) -> QuerySet[User, Any]:
    """Those who can start a plan that is held up, decide about a task that failed, or set right what runs."""
    return people_in(event.team_id, Role.DEPLOYER)


def hear_backout(event: Event) -> QuerySet[User, Any]:
    """Those who wait for the plan's outcome, those who deploy there, and those who have tasks on the way back."""
    concerned = (planners(event), deployers(event), whose_turn_it_is(event))
    return User.objects.filter(reduce(or_, [Q(pk__in=people.values("pk")) for people in concerned]))


def planners(event: Event) -> QuerySet[User, Any]:
    """Those who wait for a plan's outcome: who drew it up, who scheduled it, and who answers for the release."""
    plan = _plan_of(event)
    scheduler = scheduled_by(plan)
    waiting = {plan.created_by_id, plan.release.release_manager_id, scheduler.pk if scheduler else None}
    return User.objects.filter(pk__in=[pk for pk in waiting if pk])


def whose_turn_it_is(event: Event) -> QuerySet[User, Any]:
    """Those who can work on the tasks that a start, or a task that is behind, let begin."""
    plan, by_hand = _plan_of(event), DeploymentTask.Kind.MANUAL
    tasks = plan.tasks.filter(is_backout=plan.goes_back, kind=by_hand, state=DeploymentTask.State.IN_PROGRESS)
    if "task" in event.data:
        tasks = tasks.filter(depends_on=event.data["task"])
    people = Q(deployment_tasks__in=tasks) | Q(role_assignments__team__deployment_tasks__in=tasks)
    if tasks.filter(assigned_user=None, assigned_team=None).exists():
        people |= Q(pk__in=deployers(event).values("pk"))
    return User.objects.filter(people).distinct()


def _plan_of(event: Event) -> DeploymentPlan:
    return DeploymentPlan.objects.select_related("release").get(pk=event.stream.rpartition(":")[2])
