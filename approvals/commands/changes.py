"""Change requests: written, edited, and moved by the transitions that are more than a `fire`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

from approvals import policies, queries
from approvals.commands.rounds import ask, rate, withdraw
from approvals.models import ChangeRequest
from approvals.models.change import by_requester_or_manager
from releasemgmt.accounts import roles
from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.releases.commands import material
from releasemgmt.releases.models import Release
from releasemgmt.workflow import fsm
from releasemgmt.workflow.commands import command, create, edit, fire, lock, permit, record
from releasemgmt.workflow.errors import Conflict, Invalid, WrongState

State = ChangeRequest.State
EDITABLE = (State.DRAFT, State.ASSESSMENT, State.AUTHORIZATION, State.SCHEDULED)
#: Fields that are held against each other.
CHECKED = ("type", "title", "planned_start", "planned_end", "outage_expected", "outage_minutes")
Members = Collection[Any]
#: A change joins or leaves a release before that reaches users.
IN_FLIGHT = (Release.State.PLANNED, Release.State.BUILT, Release.State.INTEGRATION_TESTED, Release.State.ACCEPTED)


def create_change(
    *,
    product: Product,
    actor: User,
    now: datetime,
    releases: Collection[Release] = (),
    void_signoffs: bool = False,
    **fields: Any,
) -> ChangeRequest:
    """Write a change request; `fields` are those of the API's body, with records for names."""
    with command():
        permit(actor, product, roles.edit_records, to="write change requests")
        members = _take_members(fields)
        fields["requested_by"] = fields.get("requested_by") or actor
        change = ChangeRequest(product=product, created_by=actor, **fields)
        _check(change, {}, members, releases)
        data = {name: _keys(rows) for name, rows in members.items()}
        change = create(change, actor=actor, data={"title": change.title, **data})
        for name, rows in members.items():
            getattr(change, name).set(rows)
        if releases:
            with _protecting(change, releases, void_signoffs=void_signoffs):
                _ride_with(change, releases, actor=actor, now=now)
        return change


def edit_change(
    change: ChangeRequest, *, changes: Mapping[str, Any], actor: User, now: datetime, void_signoffs: bool = False
) -> ChangeRequest:
    """Change what a request says until it is carried out; refused if that voids a vote which nobody said may go."""
    with command():
        change = lock(change)
        is_draft = change.state == State.DRAFT
        permit(actor, change, roles.edit_records if is_draft else by_requester_or_manager, to=f"edit {change}")
        _check_editable(change)
        changes = dict(changes)
        releases: Collection[Release] | None = changes.pop("releases", None)
        members = _take_members(changes)
        _check(change, changes, members, releases or ())
        with _protecting(change, releases or (), void_signoffs=void_signoffs):
            change = edit(change, actor=actor, changes=changes)
            for name, rows in members.items():
                _set_members(change, name, rows, actor=actor)
            if releases is not None:
                _ride_with(change, releases, actor=actor, now=now)
        return change


def submit(change: ChangeRequest, *, actor: User, now: datetime) -> ChangeRequest:
    """Hand a written request in."""
    return fire(change, "submit", actor=actor, now=now)


def assess(change: ChangeRequest, *, actor: User, now: datetime, **fields: Any) -> ChangeRequest:
    """Rate the risk and ask for authorization: by a round of its own, or by that of the release it rides with."""
    with command():
        change = lock(change)
        releases = [lock(release) for release in queries.carriers(change)]
        if fsm.find(change, "assess") is None:
            return fire(change, "assess", actor=actor, now=now, **fields)
        change = rate(change, (), actor=actor)
        change = fire(change, "assess", actor=actor, now=now, **fields)
        if not releases:
            ask(change, (), actor=actor, now=now)
        elif any(queries.is_signed_off(release) for release in releases):
            change = fire(change, "authorize", actor=system(), on_behalf_of=actor, now=now)
        return change


def revise(change: ChangeRequest, *, actor: User, now: datetime, **fields: Any) -> ChangeRequest:
    """Back to draft, with a reason; its round is withdrawn."""
    with command():
        change = fire(change, "revise", actor=actor, now=now, **fields)
        withdraw(change, actor=actor, now=now)
        return change


def cancel(change: ChangeRequest, *, actor: User, now: datetime, **fields: Any) -> ChangeRequest:
    """Give a request up, with a reason; its round is withdrawn."""
    with command():
        change = fire(change, "cancel", actor=actor, now=now, **fields)
        withdraw(change, actor=actor, now=now)
        return change


def close(change: ChangeRequest, *, actor: User, now: datetime, review: str = "", **fields: Any) -> ChangeRequest:
    """End a change's life, with the review where one is given."""
    with command():
        change = lock(change)
        if review.strip() and (arrow := fsm.find(change, "close")):
            permit(actor, change, arrow.allow, to="review changes")
            change = edit(change, actor=actor, changes={"review": review}, kind="review")
        return fire(change, "close", actor=actor, now=now, **fields)


#: The transitions that are more than a `fire`; faces ask here first.
TRANSITIONS: Mapping[str, Callable[..., ChangeRequest]] = {
    "assess": assess,
    "revise": revise,
    "cancel": cancel,
    "close": close,
}


@contextmanager
def _protecting(change: ChangeRequest, joined: Collection[Release], *, void_signoffs: bool) -> Iterator[None]:
    """Around an edit: the votes on the change, on the releases it rides with and on those it joins."""
    rides = queries.carriers(change)
    releases = {release: lock(release) for release in sorted({*rides, *joined}, key=lambda each: each.pk)}
    with ExitStack() as stack:
        for signed in [change, *(releases[release] for release in joined if release not in rides)]:
            stack.enter_context(material(signed, void_signoffs=void_signoffs))
        yield


def _ride_with(change: ChangeRequest, releases: Collection[Release], *, actor: User, now: datetime) -> None:
    """Join and leave releases, each of which hears of it; whoever rides needs no round of its own."""
    before, after = set(change.releases.all()), set(releases)
    for release in sorted(before ^ after, key=lambda each: each.pk):
        release = lock(release)
        permit(actor, release, roles.edit_records, to=f"change what {release} consists of")
        if release.state not in IN_FLIGHT:
            state = release.get_state_display().lower()
            raise Conflict(
                f"{release} is {state}; changes join and leave it before it is deployed.", code="not_in_flight"
            )
        kind = "join" if release in after else "leave"
        record(release, f"approvals.changerequest.{kind}", actor=actor, data={"change": change.number})
    if before != after:
        change.releases.set(after)
        numbers = [sorted(release.number for release in each) for each in (before, after)]
        data = {"changes": {"releases": numbers}}
        record(change, "approvals.changerequest.edit", actor=actor, data=data, revise=True)
        if after and change.state == State.AUTHORIZATION:
            withdraw(change, actor=actor, now=now)


def _set_members(change: ChangeRequest, name: str, rows: Members, *, actor: User) -> None:
    before, after = _keys(getattr(change, name).all()), _keys(rows)
    if before != after:
        getattr(change, name).set(rows)
        data = {"changes": {name: [before, after]}}
        record(change, "approvals.changerequest.edit", actor=actor, data=data, revise=True)


def _take_members(fields: dict[str, Any]) -> dict[str, Members]:
    return {name: fields.pop(name) for name in ("components", "environments") if name in fields}


def _keys(rows: Members) -> list[str]:
    return sorted(row.key for row in rows)


def _check_editable(change: ChangeRequest) -> None:
    if change.state not in EDITABLE:
        allowed = [arrow.name for arrow in fsm.leaving(change)]
        raise WrongState(f"{change} is {change.get_state_display().lower()}; what it says is fixed.", allowed=allowed)


def _check(
    change: ChangeRequest, changes: Mapping[str, Any], members: Mapping[str, Members], releases: Collection[Release]
) -> None:
    """Hold the values that it has, or will have, against the rules."""
    product = change.product
    used = set(product.environments.all()) if members.get("environments") else set()
    errors = policies.change_errors({name: changes.get(name, getattr(change, name)) for name in CHECKED})
    if "risk" in changes and policies.risk(change.risk, changes["risk"]) != changes["risk"]:
        errors["risk"] = "Risk may be raised by people, never lowered."
    if any(component.product_id != product.pk for component in members.get("components", ())):
        errors["components"] = f"Name components of {product.key}."
    if strange := set(members.get("environments", ())) - used:
        errors["environments"] = f"{product.key} does not use {', '.join(_keys(strange))}."
    if any(release.product_id != product.pk for release in releases):
        errors["releases"] = f"Name releases of {product.key}."
    if errors:
        raise Invalid(errors)
