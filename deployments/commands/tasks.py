"""Tasks: whoever they are assigned to works on them in their order; deployers may work on any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from django.db.models import Exists, F, OuterRef

from deployments.models import DeploymentPlan, DeploymentTask
from deployments.queries import who_can_work_on
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Team, User
from releasemgmt.workflow.commands import command, lock, record
from releasemgmt.workflow.errors import Blocked, Invalid, NotPermitted, WrongState
from releasemgmt.workflow.gates import Blocker

State = DeploymentTask.State
WAITING = DeploymentTask.depends_on.through
NO_WAY_BACK = Blocker("backup_needed", "The database changes irreversibly: without a backup no way leads back.")
#: What can be done with a task, and from which states; the target is the state that it leads to.
ARROWS = {
    "done": ((State.IN_PROGRESS,), State.DONE),
    "fail": ((State.IN_PROGRESS,), State.FAILED),
    "skip": ((State.IN_PROGRESS, State.FAILED), State.SKIPPED),
    "retry": ((State.FAILED,), State.IN_PROGRESS),
}


def finish_task(
    task: DeploymentTask,
    *,
    actor: User,
    now: datetime,
    evidence: str = "",
    reason: str = "",
    on_behalf_of: User | None = None,
) -> DeploymentTask:
    """Tick a task; it is the turn of those that waited for it. After the last one the system ends the plan."""
    with command():
        task, is_there = _reach(task, "done", actor=actor, **_must_show(task, evidence))
        if is_there:
            return task
        task.end(State.DONE, by=actor, now=now, evidence=evidence, reason=reason)
        task.save()
        begin_tasks(task.plan, now=now)
        facts = _facts(task)
        record(task.plan, "deployments.task.done", actor=actor, on_behalf_of=on_behalf_of, data=facts, revise=True)
        return task


def fail_task(
    task: DeploymentTask,
    *,
    actor: User,
    now: datetime,
    evidence: str = "",
    reason: str = "",
    on_behalf_of: User | None = None,
) -> DeploymentTask:
    """Say that a task went wrong; it waits for a decision: retry it, skip it, fail the plan or back it out."""
    with command():
        task, is_there = _reach(task, "fail", actor=actor, reason=reason)
        if is_there:
            return task
        task.end(State.FAILED, by=actor, now=now, evidence=evidence, reason=reason)
        task.save()
        facts = _facts(task)
        record(task.plan, "deployments.task.fail", actor=actor, on_behalf_of=on_behalf_of, data=facts, revise=True)
        return task


def skip_task(
    task: DeploymentTask, *, actor: User, now: datetime, evidence: str = "", reason: str = ""
) -> DeploymentTask:
    """Leave a task out, with a reason; those that waited for it go on."""
    with command():
        task, is_there = _reach(task, "skip", actor=actor, reason=reason)
        if is_there:
            return task
        if task.is_backup and task.plan.needs_backup:
            raise Blocked(f"“{task}” can't be skipped.", blockers=[NO_WAY_BACK])
        task.end(State.SKIPPED, by=actor, now=now, evidence=evidence, reason=reason)
        task.save()
        begin_tasks(task.plan, now=now)
        record(task.plan, "deployments.task.skip", actor=actor, data=_facts(task), revise=True)
        return task


def retry_task(
    task: DeploymentTask, *, actor: User, now: datetime, evidence: str = "", reason: str = ""
) -> DeploymentTask:
    """Try a task again that failed."""
    with command():
        task, is_there = _reach(task, "retry", actor=actor)
        if is_there:
            return task
        task.attempt += 1
        task.evidence, task.reason = evidence, reason
        task.begin(now=now)
        task.save()
        record(task.plan, "deployments.task.retry", actor=actor, data=_facts(task), revise=True)
        return task


def hand_over_task(
    task: DeploymentTask, *, to: User | Team, actor: User, now: datetime, note: str = ""
) -> DeploymentTask:
    """Give a task to another person or team who can work on it, with a note; what is behind stays as it was."""
    with command():
        plan = lock(task.plan)
        task = _fresh(task, plan)
        if task.is_over:
            raise WrongState(f"“{task}” is over, so there is nothing to hand over.", allowed=[])
        if not may_work_on(task, actor):
            raise NotPermitted(f"You may not hand “{task}” over: that is for its assignee or a deployer.")
        if task.assignee == to:
            return task
        _check_hand_over(plan, to, note)
        facts = {"from": task.assignee.number if task.assignee else None, "to": to.number, "note": note}
        task.assign(to)
        task.save()
        record(plan, "deployments.task.hand_over", actor=actor, data={**_facts(task), **facts}, revise=True)
        return task


def _check_hand_over(plan: DeploymentPlan, to: User | Team, note: str) -> None:
    people = who_can_work_on(plan)
    can = people.filter(pk=to.pk) if isinstance(to, User) else people.filter(role_assignments__team=to)
    errors = {} if can.exists() else {"assignee": f"{to} can't work on tasks of {plan.release.product}."}
    if not note.strip():
        errors["note"] = "Write a note for who takes it over."
    if errors:
        raise Invalid(errors)


#: The commands by the names that the API gives them.
STEPS: Mapping[str, Callable[..., DeploymentTask]] = {
    "done": finish_task,
    "fail": fail_task,
    "skip": skip_task,
    "retry": retry_task,
}


def begin_tasks(plan: DeploymentPlan, *, now: datetime) -> None:
    """It is the turn of every task, on the way that the plan goes, that waits for nothing any more."""
    ahead = WAITING.objects.filter(from_deploymenttask=OuterRef("pk"))
    ahead = ahead.exclude(to_deploymenttask__state__in=DeploymentTask.BEHIND)
    pending = plan.tasks.filter(~Exists(ahead), is_backout=plan.goes_back, state=State.PENDING)
    turn = F("fencing_token") + 1
    pending.update(state=State.IN_PROGRESS, started_at=now, finished_at=None, finished_by=None, fencing_token=turn)


def put_back_tasks(plan: DeploymentPlan) -> None:
    """Every task is to be done again: another attempt of the plan begins."""
    plan.tasks.update(
        state=State.PENDING, attempt=1, evidence="", reason="", started_at=None, finished_at=None, finished_by=None
    )


def _must_show(task: DeploymentTask, evidence: str) -> dict[str, str]:
    """A backup that nobody can show is none."""
    return {"evidence": evidence} if task.is_backup else {}


def _reach(task: DeploymentTask, name: str, *, actor: User, **required: str) -> tuple[DeploymentTask, bool]:
    """The task under its plan's lock, once the step is allowed; True where it has been taken already."""
    sources, target = ARROWS[name]
    plan = lock(task.plan)
    task = _fresh(task, plan)
    if not plan.is_under_way or (plan.goes_back and not task.is_backout):
        raise WrongState(f"{plan} is {plan.get_state_display().lower()}, so “{task}” rests.", allowed=[])
    if not may_work_on(task, actor):
        raise NotPermitted(f"You may not work on “{task}”: it is for its assignee or a deployer.")
    if task.state == target:
        return task, True
    if missing := {field: f"Say the {field}." for field, said in required.items() if not said.strip()}:
        raise Invalid(missing)
    if task.state == State.PENDING:
        raise Blocked(f"“{task}” has to wait.", blockers=_ahead_of(task))
    if task.state not in sources:
        steps = [step for step, (states, _target) in ARROWS.items() if task.state in states]
        raise WrongState(f"“{task}” is {task.get_state_display().lower()}.", allowed=steps)
    return task, False


def _fresh(task: DeploymentTask, plan: DeploymentPlan) -> DeploymentTask:
    task = plan.tasks.select_related("assigned_user", "assigned_team").get(pk=task.pk)
    task.plan = plan
    return task


def may_work_on(task: DeploymentTask, actor: User) -> bool:
    """Whether the task is the actor's, who is more than an auditor or administrator there; or the actor may deploy.

    The system ends what webhooks do.
    """
    if actor.kind == User.Kind.SYSTEM:
        return task.kind == DeploymentTask.Kind.WEBHOOK
    return roles.deploy(actor, task.plan) or (task.is_of(actor) and roles.team_members(actor, task.plan))


def _ahead_of(task: DeploymentTask) -> list[Blocker]:
    if task.is_backout and not task.plan.goes_back:
        return [Blocker("backout_task", "It belongs to the way back.")]
    ahead = task.depends_on.exclude(state__in=DeploymentTask.BEHIND)
    return [Blocker("waits_for_task", f"“{each}” comes first.", ("deployer",)) for each in ahead]


def _facts(task: DeploymentTask) -> dict[str, object]:
    facts = {"task": task.pk, "title": task.title, "attempt": task.attempt, "is_backout": task.is_backout}
    return facts | {name: value for name in ("evidence", "reason") if (value := getattr(task, name))}
