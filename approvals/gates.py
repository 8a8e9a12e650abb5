"""The gates of change requests, and those that approvals put on releases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from approvals.models import ChangeRequest
from approvals.queries import carriers, is_signed_off, sign_off_blockers
from releasemgmt.accounts.models import Role
from releasemgmt.releases.models import Release
from releasemgmt.workflow.gates import Blocker

MANAGER, CONTRIBUTOR = Role.RELEASE_MANAGER.value, Role.CONTRIBUTOR.value
State = ChangeRequest.State
AUTHORISED = (State.SCHEDULED, State.IMPLEMENTATION, State.REVIEW, State.CLOSED)
PLANS = ("implementation_plan", "test_plan", "backout_plan")


def release_signed_off(release: Release, *, now: datetime) -> Sequence[Blocker]:
    """A round was approved for the present content, by votes that count now."""
    return sign_off_blockers(release, now=now)


def linked_changes_authorised(release: Release, *, now: datetime) -> Sequence[Blocker]:
    """Each change that rides with the release is scheduled or further."""
    return [
        Blocker("change_not_authorised", f"{change} is {change.get_state_display().lower()}.", (MANAGER,))
        for change in ChangeRequest.objects.riding_with(release).exclude(state__in=AUTHORISED)
    ]


def change_complete(change: ChangeRequest, *, now: datetime) -> Sequence[Blocker]:
    """Its plans are written, and it is said from when to when."""
    found = [
        Blocker("plan_missing", f"The {name.replace('_', ' ')} is not written yet.", (CONTRIBUTOR, MANAGER))
        for name in PLANS
        if not getattr(change, name).strip()
    ]
    if change.planned_start is None or change.planned_end is None:
        found.append(Blocker("interval_missing", "Say from when to when it is planned.", (CONTRIBUTOR, MANAGER)))
    return found


def change_approved(change: ChangeRequest, *, now: datetime) -> Sequence[Blocker]:
    """Its approval holds: that of its own round, or that of a release it rides with."""
    if is_signed_off(change) or any(is_signed_off(release) for release in carriers(change)):
        return []
    return [Blocker("not_approved", f"No approval of {change} holds for what it says now.", (MANAGER,))]


def inside_approved_interval(change: ChangeRequest, *, now: datetime) -> Sequence[Blocker]:
    """It is begun inside the interval for which it was approved."""
    begin, end = change.planned_start, change.planned_end
    if begin is not None and end is not None and begin <= now < end:
        return []
    reason = f"It is approved from {begin:%Y-%m-%d %H:%M %Z} to {end:%Y-%m-%d %H:%M %Z}." if begin and end else ""
    return [Blocker("outside_approved_interval", reason or "It has no approved interval.", (MANAGER,))]


def change_reviewed(change: ChangeRequest, *, now: datetime) -> Sequence[Blocker]:
    """After trouble a review is recorded."""
    if change.review.strip() or change.outcome == ChangeRequest.Outcome.SUCCESSFUL:
        return []
    return [Blocker("review_missing", "It did not go smoothly; write a review.", (MANAGER,))]
