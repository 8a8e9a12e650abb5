"""Windows and freezes: made and changed by chairs, asked for by others; their times are laid out as rows ahead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from deployments import policies
from deployments.models import Occurrence, Window
from deployments.queries.windows import END_OF_RULES, times_ahead
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.integrations import recurrence
from releasemgmt.workflow import fsm
from releasemgmt.workflow.commands import command, create, edit, fire, lock, permit, validate
from releasemgmt.workflow.errors import Invalid, WrongState

State = Window.State
#: How far ahead times are laid out, and how much of that is left when the tick lays out more.
AHEAD, LEFT = timedelta(days=400), timedelta(days=370)
FIRST_DAYS = (date(2000, 1, 1), date(2199, 12, 31))
TICK = timedelta(microseconds=1)
#: What says when a window is on.
TERMS = ("first_on", "start_time", "duration_minutes", "time_zone", "rule")


def preview_window(window: Window, *, now: datetime, most: int) -> list[tuple[datetime, datetime]]:
    """The next times of a window that is not written yet; refused where it can't be one."""
    _check(window, now=now)
    return times_ahead(window, now, most)


def create_window(*, actor: User, now: datetime, owner: User | None = None, **fields: Any) -> Window:
    """A window or a freeze: in force at once where a chair makes it; a freeze that others ask for waits for one."""
    with command():
        window = Window(**fields, owner=owner or actor, created_by=actor)
        if roles.run_windows(actor, window):
            window = Window(**fields, owner=owner or actor, created_by=actor, state=State.IN_FORCE)
        elif window.is_freeze:
            permit(actor, window, roles.request_windows, to="ask for a freeze here")
        else:
            permit(actor, window, roles.run_windows, to="make maintenance windows here")
        _check(window, now=now)
        facts = {"kind": window.kind, "name": window.name, "scope": window.scope, "reason": window.reason}
        terms = {name: getattr(window, name) for name in TERMS}
        window = create(window, actor=actor, data={**facts, **terms})
        _lay_out(window, now=now)
        return window


def edit_window(window: Window, *, changes: Mapping[str, Any], actor: User, now: datetime) -> Window:
    """Change when a window is on, its name, reason and owner; kind and scope stay. Times that are over stay too."""
    with command():
        window = lock(window)
        permit(actor, window, roles.run_windows, to=f"edit {window}")
        if window.state not in (State.REQUESTED, State.IN_FORCE):
            state = window.get_state_display().lower()
            raise WrongState(f"{window} is {state}; make another one.", allowed=[])
        draft = Window.objects.select_related("product", "environment").get(pk=window.pk)
        for name, value in changes.items():
            setattr(draft, name, value)
        _check(draft, now=now)
        before = {name: getattr(window, name) for name in TERMS}
        window = edit(window, actor=actor, changes=changes)
        if before != {name: getattr(window, name) for name in TERMS}:
            _take_back(window, now=now)
            _lay_out(window, now=now)
        return window


def approve_window(window: Window, *, actor: User, now: datetime) -> Window:
    """Put a freeze in force that somebody else asked for."""
    with command():
        window = lock(window)
        is_fresh = fsm.find(window, "approve") is not None
        window = fire(window, "approve", actor=actor, now=now)
        if is_fresh:
            _lay_out(window, now=now)
        return window


def end_window(window: Window, *, actor: User, now: datetime, reason: str = "") -> Window:
    """Let a window count no longer, with a reason; one that is on ends now."""
    with command():
        window = lock(window)
        is_fresh = fsm.find(window, "end") is not None
        window = fire(window, "end", actor=actor, now=now, reason=reason)
        if is_fresh:
            _take_back(window, now=now)
        return window


#: The transitions that are more than a `fire`; faces ask here first.
WINDOW_TRANSITIONS: Mapping[str, Callable[..., Window]] = {"approve": approve_window, "end": end_window}


def lay_out_windows(now: datetime) -> int:
    """Lay out more times of the windows that go on; answers how many windows it were."""
    found = 0
    for pk in Window.objects.to_lay_out(now + LEFT).order_by("pk").values_list("pk", flat=True):
        with command():
            window = lock(Window(pk=pk))
            if window.state == State.IN_FORCE and window.laid_out_until and window.laid_out_until < now + LEFT:
                _lay_out(window, now=now)
                found += 1
    return found


def _lay_out(window: Window, *, now: datetime) -> None:
    """Write the times of a locked window in force, from where they are written to, or from now, to the horizon.

    A time that was cut short before is as long again as it is now.
    """
    if window.state != State.IN_FORCE:
        return
    horizon = now + AHEAD
    rows = [
        Occurrence(window=window, starts_at=start, ends_at=end)
        for start, end in window.times(now, horizon)
        if window.laid_out_until is None or start >= window.laid_out_until
    ]
    Occurrence.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["window", "starts_at"], update_fields=["ends_at"]
    )
    goes_on = next(window.starts(horizon, END_OF_RULES), None) is not None
    window.laid_out_until = horizon if goes_on else None
    window.save(update_fields=["laid_out_until"])


def _take_back(window: Window, *, now: datetime) -> None:
    """Take out the times of a locked window that are ahead, and cut short the one that is on."""
    window.occurrences.filter(starts_at__gte=now).delete()
    window.occurrences.filter(ends_at__gt=now).update(ends_at=now)
    window.laid_out_until = None
    window.save(update_fields=["laid_out_until"])


def _check(window: Window, *, now: datetime) -> None:
    validate(window)
    errors = {}
    if not FIRST_DAYS[0] <= window.first_on <= FIRST_DAYS[1]:
        errors["first_on"] = "Name a day between the years 2000 and 2199."
    if window.environment and window.tier:
        errors["tier"] = "Name an environment or a tier, not both."
    if window.product and window.environment and not _uses(window):
        errors["environment"] = f"{window.product} does not use {window.environment}."
    if errors:
        raise Invalid(errors)
    try:
        _check_times(window, now=now)
    except recurrence.BadRule as error:
        raise Invalid({"rule": str(error)}) from error


def _uses(window: Window) -> bool:
    return bool(window.product and window.product.environments.filter(pk__in=[window.environment_id]).exists())


def _check_times(window: Window, *, now: datetime) -> None:
    if window.rule and policies.overlap_with_itself(
        window.rule, first_on=window.first_on, start=window.start_time, duration=window.duration
    ):
        again = (
            "It would still be on when it comes again. Make it shorter, or one long window that does not come again."
        )
        raise Invalid({"duration_minutes": again})
    if next(window.starts(now - window.duration + TICK, END_OF_RULES), None) is None:
        raise Invalid({"first_on": "It would be over already: there is no time ahead at which it is on."})
