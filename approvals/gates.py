"""The gates of change requests, and those that approvals put on releases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from approvals.models import ChangeRequest
from approvals.queries import (
    carriers,
    change_pre_approval,
    has_retrospective,
    is_signed_off,
    needs_retrospective,
    open_conditions,
    outside_model,
    riding,
    sign_off_blockers,
)
from releasemgmt.accounts.models import Role
from releasemgmt.releases.models import Release, Risk
from releasemgmt.workflow.gates import Blocker

MANAGER, CONTRIBUTOR = Role.RELEASE_MANAGER.value, Role.CONTRIBUTOR.value
State, Type = ChangeRequest.State, ChangeRequest.Type
AUTHORISED = (State.SCHEDULED, State.IMPLEMENTATION, State.REVIEW, State.CLOSED)
PLANS = ("implementation_plan", "test_plan", "backout_plan")


def release_signed_off(release: Release, *, now: datetime) -> Sequence[Blocker]:
    """A round was approved for the present content, by votes that count now."""
    return sign_off_blockers(release, now=now)


def linked_changes_authorised(release: Release, *, now: datetime) -> Sequence[Blocker]:
    """Each change that rides with the release is scheduled or further."""
    return [
        Blocker("change_not_authorised", f"{change} is {change.get_state_display().lower()}.", (MANAGER,))
        for change in riding(release)
        if change.state not in AUTHORISED
    ]


def no_overdue_retrospective(release: Release, *, now: datetime) -> Sequence[Blocker]:
    """No change of the product that was acted on first waits too long to be looked back at; emergencies go on."""
    if release.type == Release.Type.EMERGENCY:
        return []
    return [
        Blocker("retrospective_overdue", f"The retrospective of {change} “{change.title}” is overdue.", (MANAGER,))
        for change in ChangeRequest.objects.owing_retrospective(now).filter(product=release.product_id)
        if not has_retrospective(change)
    ]


def change_complete(change: ChangeRequest, *, now: datetime) -> Sequence[Blocker]:
    """What its type asks for is written: plans and interval, or the incident and a way back."""
    wanted = {Type.NORMAL: PLANS, Type.EMERGENCY: ("impact", "backout_plan")}.get(Type(change.type), ())
    found = [
        Blocker("plan_missing", f"The {name.replace('_', ' ')} is not written yet.", (CONTRIBUTOR, MANAGER))
        for name in wanted
        if not getattr(change, name).strip()
    ]
    unplanned = change.planned_start is None or change.planned_end is None
    if unplanned and change.type != Type.EMERGENCY:
        found.append(Blocker("interval_missing", "Say from when to when it is planned.", (CONTRIBUTOR, MANAGER)))
    return [*found, *incident_named(change, now=now)]


def incident_named(change: ChangeRequest, *, now: datetime) -> Sequence[Blocker]:
    """An emergency says which incident makes it one."""
    if change.type != Type.EMERGENCY or change.incident_reference.strip():
        return []
    reason = "Name the incident that makes it an emergency, by its number or address."
    return [Blocker("incident_missing", reason, (CONTRIBUTOR, MANAGER))]


def follows_model(change: ChangeRequest, *, now: datetime) -> Sequence[Blocker]:
    """A standard change stays within a model whose pre-approval holds, and its risk is low."""
    if change.type != Type.STANDARD:
        return []
    if change.model is None:
        reason = "A standard change follows a change model; name one, or make it a normal change."
        return [Blocker("model_missing", reason, (CONTRIBUTOR, MANAGER))]
    found = list(change_pre_approval(change.model, now=now).blockers)
    if outside := outside_model(change):
        reason = f"{change.model.number} does not cover {', '.join(outside)}."
        found.append(Blocker("outside_model", reason, (CONTRIBUTOR, MANAGER)))
    if change.risk != Risk.LOW:
        reason = f"Its risk is {change.risk}; only a low one is approved with the model. Make it a normal change."
        found.append(Blocker("risk_too_high", reason, (CONTRIBUTOR, MANAGER)))
    return found


def change_approved(change: ChangeRequest, *, now: datetime) -> Sequence[Blocker]:
    """Its approval holds: that of its model, of its own round, or of a release it rides with."""
    if change.type == Type.STANDARD:
        return follows_model(change, now=now)
    if is_signed_off(change) or any(is_signed_off(release) for release in carriers(change)):
        return []
    return [Blocker("not_approved", f"No approval of {change} holds for what it says now.", (MANAGER,))]


def conditions_met(subject: Release | ChangeRequest, *, now: datetime) -> Sequence[Blocker]:
    """What voters asked for with a “yes, if” is done."""
    return [
        Blocker("condition_open", f"{condition.vote.voter} approves if: {condition.text}", (MANAGER, CONTRIBUTOR))
        for condition in open_conditions(subject)
    ]


def inside_approved_interval(change: ChangeRequest, *, now: datetime) -> Sequence[Blocker]:
    """It is begun inside the interval for which it was approved; an emergency may leave it open."""
    begin, end = change.planned_start, change.planned_end
    if begin is not None and end is not None and begin <= now < end:
        return []
    if begin is None and end is None and change.type == Type.EMERGENCY:
        return []
    reason = f"{change} is approved from {begin:%Y-%m-%d %H:%M %Z} to {end:%Y-%m-%d %H:%M %Z}." if begin and end else ""
    ahead = begin if begin and now < begin else None
    return [Blocker("outside_approved_interval", reason or f"{change} has no approved interval.", (MANAGER,), ahead)]


def change_reviewed(change: ChangeRequest, *, now: datetime) -> Sequence[Blocker]:
    """A review is recorded after trouble, and wherever people acted first."""
    smooth = change.outcome == ChangeRequest.Outcome.SUCCESSFUL and not needs_retrospective(change)
    if change.review.strip() or smooth:
        return []
    return [Blocker("review_missing", "Write a review: what happened, and what follows from it.", (MANAGER,))]


def retrospective_approved(change: ChangeRequest, *, now: datetime) -> Sequence[Blocker]:
    """Where people acted first, those who would have been asked have looked back at it."""
    if not needs_retrospective(change) or has_retrospective(change):
        return []
    reason = f"The retrospective of {change} is not approved; complete the record, then open its next round if need be."
    return [Blocker("retrospective_open", reason, (MANAGER,))]
