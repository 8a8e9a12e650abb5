"""The gates of plans, and those that running deployments put on releases. Each is called with the time to judge by."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from approvals import gates as approvals
from approvals.models import ChangeRequest
from approvals.queries import sign_off_blockers
from deployments import queries
from deployments.models import Deployment, DeploymentPlan, DeploymentTask, WindowOverride
from deployments.policies import moment
from releasemgmt.accounts.models import Role
from releasemgmt.catalog.models import Environment, Tier
from releasemgmt.releases.models import Release
from releasemgmt.releases.queries import blocking_defects, builds_of
from releasemgmt.workflow.commands import while_reading
from releasemgmt.workflow.gates import Blocker
from releasemgmt.workflow.prepared import prepared

MANAGER, DEPLOYER, CHAIR = Role.RELEASE_MANAGER.value, Role.DEPLOYER.value, Role.CAB_CHAIR.value
#: Scheduled or later.
CHANGE_UNDER_WAY = (
    ChangeRequest.State.SCHEDULED,
    ChangeRequest.State.IMPLEMENTATION,
    ChangeRequest.State.REVIEW,
    ChangeRequest.State.CLOSED,
)
#: What has come of an override that would have done.
PAST = {"used_up": "is used up", "expired": "has expired"}
MAY_REACH_PRODUCTION = (Release.State.ACCEPTED, Release.State.DEPLOYED, Release.State.CLOSED)


def has_tasks(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """There is a task, and a backout task."""
    there = set(plan.tasks.values_list("is_backout", flat=True))
    missing = {False: ("no_task", "Add a task."), True: ("no_backout_task", "Add a backout task: the way back.")}
    return [Blocker(*missing[kind], (MANAGER, DEPLOYER)) for kind in missing if kind not in there]


def preparation_complete(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """Each item of the preparation list is verified, where the product has one for environments of that tier."""
    return [
        Blocker(f"preparation_{check.state}", check.reason, check.who_can_clear)
        for check in queries.checklist(plan)
        if not check.is_verified
    ]


def preparation_holds(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """What was verified when the plan was prepared holds still, for the builds of now."""
    return [] if plan.state == DeploymentPlan.State.DRAFT else preparation_complete(plan, now=now)


def irreversible_change_secured(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """In production an irreversible change of the database comes after a backup, and its way back restores it."""
    lacks = queries.unsecured(plan) if plan.needs_backup else []
    why = f"{plan.release} changes the database irreversibly"
    return [Blocker(code, f"{why}: {what}", (MANAGER, DEPLOYER)) for code, what in lacks]


def no_conflict(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """Nothing else of the product has that time there: another plan, or a change that collides and has begun."""
    if plan.state == DeploymentPlan.State.DRAFT:
        return []
    return [
        Blocker(
            "schedule_conflict",
            f"{each.record} has that environment from {moment(each.starts_at)} to {moment(each.ends_at)}.",
            (MANAGER, DEPLOYER),
            each.ends_at,
        )
        for each in queries.obstacles(plan, now=now)
    ]


def release_may_reach_production(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """For production the release is accepted, deployed or closed."""
    release = plan.release
    if not plan.environment.is_production or release.state in MAY_REACH_PRODUCTION:
        return []
    return [Blocker("release_not_accepted", f"{release} is {_words(release)}; accept it first.", (MANAGER,))]


def latest_start_ahead(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """The latest start has not passed yet."""
    if now <= plan.latest_start:
        return []
    return [Blocker("too_late", "The latest start has passed; reopen the plan and move it.", (MANAGER, DEPLOYER))]


def scheduled_where_controlled(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """Where the environment is change-controlled, the plan was prepared and scheduled."""
    if plan.state != DeploymentPlan.State.DRAFT or not plan.environment.change_controlled:
        return []
    reason = f"{plan.environment} is change-controlled: prepare and schedule the plan first."
    return [Blocker("not_scheduled", reason, (MANAGER, DEPLOYER))]


def release_deployable(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """The release has builds, and is neither cancelled nor on hold."""
    release = plan.release
    found = []
    if release.state == Release.State.CANCELLED:
        found.append(Blocker("release_cancelled", f"{release} is cancelled."))
    if release.on_hold:
        found.append(Blocker("on_hold", f"{release} is on hold: {release.hold_reason}", (MANAGER,)))
    if not builds_of(release):
        found.append(Blocker("no_builds", f"{release} has no builds.", (MANAGER, Role.SERVICE.value)))
    return found


def sign_off_holds(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """For production the release's sign-off holds now, for its present content."""
    return list(sign_off_blockers(plan.release, now=now)) if plan.environment.is_production else []


def conditions_met(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """For production what the voters on the release asked for with a “yes, if” is done."""
    return list(approvals.conditions_met(plan.release, now=now)) if plan.environment.is_production else []


def no_blocking_defect(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """For production no open blocker or critical defect affects the release, unless its acceptance holds."""
    links = blocking_defects(plan.release, now) if plan.environment.is_production else []
    return [
        Blocker("blocking_defect", f"{link.defect} “{link.defect.title}” is {link.defect.severity}.", (MANAGER,))
        for link in links
    ]


def changes_ready(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """For production each change of the release is scheduled or later, and one that is scheduled is in its interval."""
    if not plan.environment.is_production:
        return []
    found = []
    for change in while_reading(("changes", plan.release.pk), lambda: list(plan.release.changes.order_by("pk"))):
        if change.state not in CHANGE_UNDER_WAY:
            reason = f"{change} of the release is {_words(change)}, not scheduled."
            found.append(Blocker("change_not_scheduled", reason, (MANAGER,)))
        elif change.state == ChangeRequest.State.SCHEDULED:
            found += approvals.inside_approved_interval(change, now=now)
    return found


def window_open(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """A maintenance window is open where there are any and no freeze is on, or an override lets the release through."""
    at = _judged_at(plan, now)
    if not plan.environment.change_controlled:
        return []
    found = queries.clearance(plan.release, plan.environment, at=at)
    opens = found.verdict.next_open
    when = f" It opens at {moment(opens)}." if opens else ""
    blockers = [
        Blocker(code, f"{plan.environment} at {moment(at)}: {reason}{when}", (CHAIR,), opens)
        for code, reason in found.verdict.closed_by
    ]
    return blockers + _past(found.spent, at)


def promoted(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """Where the product asks for it, the same builds have run, and soaked, in the environment before it."""
    found = queries.promotion(plan.release, plan.environment, at=now)
    if found.is_open:
        return []
    return [_unproven(plan, found.source, each) for each in found.unproven] + _past(found.spent, now)


def _unproven(plan: DeploymentPlan, source: Environment | None, lack: queries.Unproven) -> Blocker:
    if lack.since is None:
        reason = f"The build of {lack.component} has not run in {source}; deploy {plan.release} there first."
        return Blocker("not_promoted", reason, (DEPLOYER, CHAIR))
    minutes = plan.release.product.soak_minutes
    if lack.soaked_at is None:
        reason = f"The build of {lack.component} was replaced in {source} within {minutes} minutes; deploy it again."
        return Blocker("not_soaked", reason, (DEPLOYER, CHAIR))
    reason = f"The build of {lack.component} soaks in {source} for {minutes} minutes, until {moment(lack.soaked_at)}."
    return Blocker("not_soaked", reason, (CHAIR,), lack.soaked_at)


def _past(spent: Iterable[WindowOverride], at: datetime) -> list[Blocker]:
    return [
        Blocker(f"override_{override.standing(at)}", f"{override} {PAST[override.standing(at)]}.", (CHAIR,))
        for override in spent
    ]


def backout_fits(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """The way back, as long as it is estimated, fits into what is left until it closes."""
    at = _judged_at(plan, now)
    if not plan.environment.change_controlled or not plan.backout_minutes:
        return []
    verdict = queries.clearance(plan.release, plan.environment, at=at).verdict
    closes = verdict.next_close
    if not verdict.is_open or closes is None or at + timedelta(minutes=plan.backout_minutes) <= closes:
        return []
    reason = f"The way back takes {plan.backout_minutes} minutes, and it closes at {moment(closes)}."
    return [Blocker("backout_does_not_fit", reason, (MANAGER, DEPLOYER), verdict.next_open)]


def line_runs(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """Nobody has stopped the line there."""
    return [
        Blocker("line_stopped", f"{stop} by {stop.stopped_by}: {stop.reason}", (MANAGER, DEPLOYER, CHAIR))
        for stop in queries.line_stops(plan.environment, plan.release.product)
    ]


def change_window_open(change: ChangeRequest, *, now: datetime) -> list[Blocker]:
    """Where the change is carried out by itself, its environments are open; an emergency does not wait for that.

    What rides with a release is judged by the start of the release's plan.
    """
    if change.type == ChangeRequest.Type.EMERGENCY or change.releases.exists():
        return []
    found = []
    for environment in change.environments.filter(change_controlled=True):
        verdict = queries.window_verdict(environment, change.product, at=now)
        opens = verdict.next_open
        found += [Blocker(code, f"{environment}: {reason}", (CHAIR,), opens) for code, reason in verdict.closed_by]
    return found


def between_planned_and_latest_start(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """A scheduled plan starts neither before its planned start nor after its latest; self-service keeps no schedule."""
    if plan.state != DeploymentPlan.State.SCHEDULED:
        return []
    if now < plan.planned_start:
        return [Blocker("too_early", f"It is planned for {_at(plan.planned_start)}.", (MANAGER, DEPLOYER))]
    return latest_start_ahead(plan, now=now)


def environment_free(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """No other deployment of the product runs in the environment."""
    running = Deployment.objects.running().filter(product=plan.release.product_id, environment=plan.environment_id)
    return [environment_busy(plan, by=each) for each in running.select_related("plan", "release")]


def environment_busy(plan: DeploymentPlan, *, by: Deployment | None = None) -> Blocker:
    """Says who holds the environment."""
    who = f" {by.release} ({by.plan or 'by a pipeline'})" if by else " something else"
    reason = f"{plan.release.product} is being deployed to {plan.environment}:{who}. Wait until that has ended."
    return Blocker("environment_busy", reason, (DEPLOYER,))


def environment_held(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """The plan holds its environment, or that is free."""
    return [] if plan.is_under_way else environment_free(plan, now=now)


def way_back_written(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """There is a backout task; what starts from draft may have none."""
    if plan.tasks.filter(is_backout=True).exists():
        return []
    return [Blocker("no_backout_task", "No way back was written; deploy what ran before by a plan of its own.")]


def nothing_newer_there(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """Nothing newer runs there: a rollback would take that away too."""
    if plan.is_under_way:
        return []
    newer = {each.deployment_id: each for each in queries.replaced_since(queries.last_attempt(plan))}
    return [
        Blocker(
            "newer_there",
            f"{each.release or 'Another build'} runs in {plan.environment} since {_at(each.succeeded_at)}, after this.",
            (DEPLOYER,),
        )
        for each in newer.values()
    ]


def tasks_done(plan: DeploymentPlan, *, now: datetime) -> list[Blocker]:
    """Every task, or every one of the way back where it goes back, is done, or was skipped with a reason."""
    left = plan.tasks.filter(is_backout=plan.goes_back).exclude(state__in=DeploymentTask.BEHIND)
    return [Blocker("task_not_done", f"“{task}” is {_words(task)}.", (DEPLOYER,)) for task in left]


def no_production_deployment_running(release: Release, *, now: datetime) -> list[Blocker]:
    """The release is not on its way into production, or back from there, at this moment."""
    return [
        Blocker(
            "deployment_running",
            f"{each.plan or 'A pipeline'} is at work on it in {each.environment} now.",
            (DEPLOYER,),
        )
        for each in _in_production_now(release.pk)
    ]


@prepared
def _in_production_now(release: int) -> QuerySet[Deployment]:
    of_it = Q(release=release) | Q(plan__release=release)
    running = Deployment.objects.running().filter(of_it, environment__tier=Tier.PRODUCTION)
    return running.select_related("plan", "environment")


def _judged_at(plan: DeploymentPlan, now: datetime) -> datetime:
    """The instant of the start: where it is being scheduled, the planned one."""
    return max(plan.planned_start, now) if plan.state == DeploymentPlan.State.READY else now


def _words(record: Release | ChangeRequest | DeploymentTask) -> str:
    return str(record.state).replace("_", " ")


def _at(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M %Z}" if instant else "–"
