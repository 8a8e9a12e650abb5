"""The transitions of change requests that are more than a `fire`: what opens, withdraws or owes a round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings

from approvals import queries
from approvals.commands.change_conflicts import refresh_conflicts
from approvals.commands.rounds import ask, rate, withdraw
from approvals.models import ChangeRequest
from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import User
from releasemgmt.releases.models import Release
from releasemgmt.workflow import fsm
from releasemgmt.workflow.commands import command, edit, fire, lock, permit, record

State, Type = ChangeRequest.State, ChangeRequest.Type


def submit(change: ChangeRequest, *, actor: User, now: datetime, **fields: Any) -> ChangeRequest:
    """Hand a written request in; the risk of one that nobody assesses is rated now, and an emergency is asked for."""
    with command():
        change, releases = _lock_with_carriers(change)
        if fsm.find(change, "submit") is None:
            return fire(change, "submit", actor=actor, now=now, **fields)
        if change.type != Type.NORMAL:
            change = rate(change, (), actor=actor)
        change = fire(change, "submit", actor=actor, now=now, **fields)
        refresh_conflicts(change, now=now)
        return _ask(change, releases, actor=actor, now=now) if change.state == State.AUTHORIZATION else change


def assess(change: ChangeRequest, *, actor: User, now: datetime, **fields: Any) -> ChangeRequest:
    """Compute risk and conflicts and ask for authorization: by a round of its own, or by that of its release."""
    with command():
        change, releases = _lock_with_carriers(change)
        if fsm.find(change, "assess") is None:
            return fire(change, "assess", actor=actor, now=now, **fields)
        change = rate(change, (), actor=actor)
        refresh_conflicts(change, now=now)
        change = fire(change, "assess", actor=actor, now=now, **fields)
        return _ask(change, releases, actor=actor, now=now)


def revise(change: ChangeRequest, *, actor: User, now: datetime, **fields: Any) -> ChangeRequest:
    """Back to draft, with a reason; its round is withdrawn."""
    return _leave(change, "revise", actor=actor, now=now, **fields)


def cancel(change: ChangeRequest, *, actor: User, now: datetime, **fields: Any) -> ChangeRequest:
    """Give a request up, with a reason; its round is withdrawn."""
    return _leave(change, "cancel", actor=actor, now=now, **fields)


def implement(
    change: ChangeRequest, *, actor: User, now: datetime, on_behalf_of: User | None = None, **fields: Any
) -> ChangeRequest:
    """Begin the work; from now on an emergency owes its retrospective."""
    with command():
        change = lock(change)
        begins = fsm.find(change, "implement") is not None
        change = fire(change, "implement", actor=actor, on_behalf_of=on_behalf_of, now=now, **fields)
        owes = begins and change.type == Type.EMERGENCY
        return _owe_retrospective(change, actor=actor, now=now) if owes else change


def finish(
    change: ChangeRequest, *, actor: User, now: datetime, on_behalf_of: User | None = None, **fields: Any
) -> ChangeRequest:
    """End the work with its outcome; the retrospective of an emergency opens."""
    with command():
        change = lock(change)
        ends = fsm.find(change, "finish") is not None
        change = fire(change, "finish", actor=actor, on_behalf_of=on_behalf_of, now=now, **fields)
        if ends:
            refresh_conflicts(change, now=now)
        if ends and change.type == Type.EMERGENCY:
            ask(change, (), actor=actor, now=now)
        return change


def record_change(
    change: ChangeRequest, *, actor: User, now: datetime, on_behalf_of: User | None = None, **fields: Any
) -> ChangeRequest:
    """Put down a change that was carried out already; those who would have been asked look back at it."""
    with command():
        change = lock(change)
        if fsm.find(change, "record") is None:
            return fire(change, "record", actor=actor, on_behalf_of=on_behalf_of, now=now, **fields)
        change = rate(change, (), actor=actor)
        change = fire(change, "record", actor=actor, on_behalf_of=on_behalf_of, now=now, **fields)
        change = _owe_retrospective(change, actor=actor, now=now)
        ask(change, (), actor=actor, now=now)
        return change


def close(change: ChangeRequest, *, actor: User, now: datetime, review: str = "", **fields: Any) -> ChangeRequest:
    """End a change's life, with the review where one is given."""
    with command():
        change = lock(change)
        if review.strip() and (arrow := fsm.find(change, "close")):
            permit(actor, change, arrow.allow, to="review changes")
            change = edit(change, actor=actor, changes={"review": review}, kind="review")
        return fire(change, "close", actor=actor, now=now, **fields)


def watch_retrospectives(now: datetime) -> int:
    """Say once of each retrospective that is overdue that it is; answers how many."""
    told = 0
    for change in ChangeRequest.objects.owing_retrospective(now).filter(retrospective_missed_at=None):
        with command():
            change = lock(change)
            if change.retrospective_missed_at is None and not queries.has_retrospective(change):
                change.retrospective_missed_at = now
                facts = {"due_at": change.retrospective_due_at}
                kind = "approvals.changerequest.miss_retrospective"
                record(change, kind, actor=system(), data=facts, save=["retrospective_missed_at"])
                told += 1
    return told


#: The transitions that are more than a `fire`; faces ask here first.
TRANSITIONS: Mapping[str, Callable[..., ChangeRequest]] = {
    "submit": submit,
    "assess": assess,
    "record": record_change,
    "revise": revise,
    "implement": implement,
    "finish": finish,
    "cancel": cancel,
    "close": close,
}


def _lock_with_carriers(change: ChangeRequest) -> tuple[ChangeRequest, list[Release]]:
    change = lock(change)
    return change, [lock(release) for release in queries.carriers(change)]


def _ask(change: ChangeRequest, releases: list[Release], *, actor: User, now: datetime) -> ChangeRequest:
    """Ask for a change in authorization; who rides is decided about with the release, or was already."""
    if not releases:
        ask(change, (), actor=actor, now=now)
    elif any(queries.is_signed_off(release) for release in releases):
        change = fire(change, "authorize", actor=system(), on_behalf_of=actor, now=now)
    return change


def _leave(change: ChangeRequest, transition: str, *, actor: User, now: datetime, **fields: Any) -> ChangeRequest:
    with command():
        change = fire(change, transition, actor=actor, now=now, **fields)
        withdraw(change, actor=actor, now=now)
        refresh_conflicts(change, now=now)
        return change


def _owe_retrospective(change: ChangeRequest, *, actor: User, now: datetime) -> ChangeRequest:
    due_at = now + settings.RETROSPECTIVE_DUE
    return edit(change, actor=actor, changes={"retrospective_due_at": due_at}, kind="owe_retrospective")
