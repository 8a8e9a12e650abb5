"""Webhook tasks: whoever is called at a task's turn accepts it, and says by a signed callback how it ended.

The tick claims what is due under a lease, calls outside of any transaction, and writes what came of it if the lease is
still its own and it is still that turn. The database alone knows whose turn it is: the task's state and fencing token.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, F, OuterRef

from deployments.commands.tasks import fail_task, finish_task
from deployments.executors import webhook
from deployments.models import DeploymentTask, WebhookCall, WebhookEndpoint
from deployments.queries import started_by
from releasemgmt.accounts.commands import system
from releasemgmt.workflow.commands import command, lock, record
from releasemgmt.workflow.errors import Absent, Conflict

log = structlog.get_logger()

State = WebhookCall.State
BATCH = 20
#: Longer than a sender may run (tasks.call_webhooks is stopped before), so that nobody who still sends is overtaken.
LEASE = timedelta(seconds=60)
#: Doubled with each attempt: 5 s, 10 s, … 80 s; then the task fails and waits for a decision.
BACK_OFF = timedelta(seconds=5)
SENDS = 6


def call_webhooks(*, now: datetime) -> int:
    """Begin the calls of tasks whose turn it is, end those that are over, send what is due; answers how many."""
    _begin(now)
    _fence_off(now)
    _time_out(now)
    claimed = _claim(now)
    if claimed:
        for call, error in zip(claimed, webhook.send(claimed, now=now), strict=True):
            _settle(call, error, now)
    return len(claimed)


def report_call(
    endpoint: WebhookEndpoint, *, task: int, fencing_token: int, status: str, now: datetime, evidence: str = ""
) -> DeploymentTask:
    """What the endpoint's callback says of a task: it `succeeded` or `failed`. Said again it changes nothing."""
    with command():
        found = DeploymentTask.objects.filter(endpoint=endpoint, pk=task).select_related("plan").first()
        if found is None:
            raise Absent(f"{endpoint} has no task {task}.")
        plan = lock(found.plan)
        call = WebhookCall.objects.filter(task=found, fencing_token=fencing_token).first()
        if call is not None and call.state == status:
            return found
        if call is None or not WebhookCall.objects.live().current().filter(pk=call.pk).exists():
            raise Conflict("That turn of the task is over; nothing was changed.", code="stale_fencing_token")
        _write(call, state=status, ended_at=now)
        person = started_by(plan)
        if status == State.SUCCEEDED:
            return finish_task(found, actor=system(), on_behalf_of=person, now=now, evidence=evidence)
        reason = f"{endpoint} says that it failed."
        return fail_task(found, actor=system(), on_behalf_of=person, now=now, evidence=evidence, reason=reason)


def _begin(now: datetime) -> None:
    """A call for each turn of a webhook task that has none yet."""
    called = WebhookCall.objects.filter(task=OuterRef("pk"), fencing_token=OuterRef("fencing_token"))
    turns = DeploymentTask.objects.on_turn().filter(~Exists(called), kind=DeploymentTask.Kind.WEBHOOK)
    calls = [
        WebhookCall(
            task=task,
            endpoint=task.endpoint,
            fencing_token=task.fencing_token,
            message_id=f"call_{secrets.token_hex(16)}",
            next_attempt_at=now,
        )
        for task in turns.select_related("endpoint")
        if task.endpoint
    ]
    if calls:
        WebhookCall.objects.bulk_create(calls, ignore_conflicts=True)


def _fence_off(now: datetime) -> None:
    """End the calls whose turn is over: somebody else ended the task, or the attempt."""
    over = WebhookCall.objects.live().exclude(pk__in=WebhookCall.objects.current().values("pk"))
    if over.exists():
        over.update(state=State.FENCED_OFF, ended_at=now, next_attempt_at=None, lease_until=None, lease_token="")


def _time_out(now: datetime) -> None:
    """Fail the tasks that were accepted, and whose callback has not come in time."""
    overdue = WebhookCall.objects.overdue(now).current()
    for call in overdue.select_related("task__plan", "endpoint"):
        with _apart(call):
            plan = lock(call.task.plan)
            if overdue.filter(pk=call.pk).update(state=State.GIVEN_UP, ended_at=now):
                reason = (
                    f"Timed out: {call.endpoint} did not call back within {call.endpoint.time_limit_minutes} minutes."
                )
                fail_task(call.task, actor=system(), on_behalf_of=started_by(plan), now=now, reason=reason)


@contextmanager
def _apart(call: WebhookCall) -> Iterator[None]:
    """A command of its own: one that breaks does not keep the other calls from theirs."""
    try:
        with command():
            yield
    except Exception:
        log.exception("call_not_settled", call=call.message_id)


def _claim(now: datetime) -> list[WebhookCall]:
    """Lease what is due to this caller alone; a sending counts from here, whatever becomes of its sender."""
    due = WebhookCall.objects.due(now).current()
    if not due.exists():
        return []
    token = secrets.token_hex(16)
    with transaction.atomic():
        locked = due.select_for_update(of=("self",), skip_locked=True, no_key=True)
        rows = list(locked.values_list("pk", flat=True)[:BATCH])
        WebhookCall.objects.filter(pk__in=rows).update(lease_until=now + LEASE, lease_token=token, sends=F("sends") + 1)
    claimed = WebhookCall.objects.filter(lease_token=token).order_by("pk")
    return list(claimed.select_related("endpoint", "task__plan__release__product", "task__plan__environment"))


def _settle(call: WebhookCall, error: str, now: datetime) -> None:
    """Write what came of a sending."""
    with _apart(call):
        if not error:
            _accept(call, now)
        elif call.sends < SENDS:
            log.warning("call_not_sent", call=call.message_id, attempt=call.sends, error=error)
            _finish(call, next_attempt_at=now + BACK_OFF * 2 ** (call.sends - 1), error=error)
        else:
            _give_up(call, error, now)


def _accept(call: WebhookCall, now: datetime) -> None:
    plan = lock(call.task.plan)
    due_at = now + timedelta(minutes=call.endpoint.time_limit_minutes)
    if _finish(call, state=State.ACCEPTED, accepted_at=now, due_at=due_at, next_attempt_at=None, error=""):
        facts = {"task": call.task_id, "title": call.task.title, "endpoint": call.endpoint.key, "call": call.message_id}
        record(plan, "deployments.call.accept", actor=system(), on_behalf_of=started_by(plan), data=facts)


def _give_up(call: WebhookCall, error: str, now: datetime) -> None:
    plan = lock(call.task.plan)
    if _finish(call, state=State.GIVEN_UP, ended_at=now, next_attempt_at=None, error=error):
        reason = f"{call.endpoint} was called {call.sends} times without success: {error}."
        fail_task(call.task, actor=system(), on_behalf_of=started_by(plan), now=now, reason=reason)


def _finish(call: WebhookCall, **outcome: object) -> bool:
    """Write what became of a call, if it waits to be sent still, by this sender, and it is still its turn."""
    mine = WebhookCall.objects.current().filter(pk=call.pk, state=State.PENDING, lease_token=call.lease_token)
    return bool(mine.update(lease_until=None, lease_token="", **outcome))


def _write(call: WebhookCall, **outcome: object) -> None:
    """What a callback says ends a call, whoever may be sending it."""
    ended = {"next_attempt_at": None, "lease_until": None, "lease_token": ""}
    WebhookCall.objects.filter(pk=call.pk).update(**ended, **outcome)
