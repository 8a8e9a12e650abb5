"""Change requests: written and edited, alone and as part of releases."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

from approvals import policies, queries
from approvals.commands.change_conflicts import refresh_conflicts
from approvals.commands.rounds import withdraw
from approvals.models import ChangeRequest
from approvals.models.change import by_requester_or_manager
from approvals.models.change_model import TEMPLATE
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.releases.commands import material
from releasemgmt.releases.models import Release
from releasemgmt.workflow import fsm
from releasemgmt.workflow.commands import command, create, edit, lock, permit, record
from releasemgmt.workflow.errors import Conflict, Invalid, WrongState

State = ChangeRequest.State
EDITABLE = (State.DRAFT, State.ASSESSMENT, State.AUTHORIZATION, State.SCHEDULED)
#: Fields that are held against each other.
CHECKED = (
    "type",
    "model",
    "title",
    "planned_start",
    "planned_end",
    "outage_expected",
    "outage_minutes",
    "incident_reference",
)
#: Fields that say which way it goes.
WAY = ("type", "model")
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
    on_behalf_of: User | None = None,
    **fields: Any,
) -> ChangeRequest:
    """Write a change request; `fields` are those of the API's body, with records for names."""
    with command():
        permit(actor, product, roles.edit_records, to="write change requests")
        members = _take_members(fields)
        fields["requested_by"] = fields.get("requested_by") or actor
        _take_template(fields)
        change = ChangeRequest(product=product, created_by=actor, **fields)
        _check(change, {}, members, releases)
        data = {name: _keys(rows) for name, rows in members.items()}
        change = create(change, actor=actor, on_behalf_of=on_behalf_of, data={"title": change.title, **data})
        for name, rows in members.items():
            getattr(change, name).set(rows)
        if releases:
            with protecting(change, releases, void_signoffs=void_signoffs):
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
        check_editable(change)
        changes = dict(changes)
        releases: Collection[Release] | None = changes.pop("releases", None)
        members = _take_members(changes)
        _take_template(changes, change)
        _check(change, changes, members, releases or ())
        with protecting(change, releases or (), void_signoffs=void_signoffs):
            change = edit(change, actor=actor, changes=changes)
            for name, rows in members.items():
                _set_members(change, name, rows, actor=actor)
            if releases is not None:
                _ride_with(change, releases, actor=actor, now=now)
            refresh_conflicts(change, now=now)
        return change


@contextmanager
def protecting(change: ChangeRequest, joined: Collection[Release], *, void_signoffs: bool) -> Iterator[None]:
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


def _take_template(fields: dict[str, Any], change: ChangeRequest | None = None) -> None:
    """Where a model is named and a text is not, it is the model's."""
    if model := fields.get("model"):
        for name in TEMPLATE:
            said = fields.get(name, getattr(change, name, ""))
            fields[name] = said if said.strip() else getattr(model, name)


def _take_members(fields: dict[str, Any]) -> dict[str, Members]:
    return {name: fields.pop(name) for name in ("components", "environments") if name in fields}


def _keys(rows: Members) -> list[str]:
    return sorted(row.key for row in rows)


def is_editable(change: ChangeRequest) -> bool:
    """Whether what it says can change: until work on it begins, and until it is closed where that is told later."""
    told_afterwards = change.state == State.REVIEW and queries.needs_retrospective(change)
    return change.state in EDITABLE or told_afterwards


def check_editable(change: ChangeRequest) -> None:
    """Refuse to change what is carried out already."""
    if not is_editable(change):
        allowed = [arrow.name for arrow in fsm.leaving(change)]
        raise WrongState(f"{change} is {change.get_state_display().lower()}; what it says is fixed.", allowed=allowed)


def _check(
    change: ChangeRequest, changes: Mapping[str, Any], members: Mapping[str, Members], releases: Collection[Release]
) -> None:
    """Hold the values that it has, or will have, against the rules."""
    product = change.product
    used = set(product.environments.all()) if members.get("environments") else set()
    errors = policies.change_errors({name: changes.get(name, getattr(change, name)) for name in CHECKED})
    errors |= _way_errors(change, changes)
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


def _way_errors(change: ChangeRequest, changes: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with the type and the model: they say which way it goes, and are fixed once it is handed in."""
    way = {name: changes.get(name, getattr(change, name)) for name in WAY}
    if change.state != State.DRAFT and any(value != getattr(change, name) for name, value in way.items()):
        raise Conflict(f"{change} was handed in as what it is; revise it to make it something else.", code="way_fixed")
    model = way["model"]
    strange = model is not None and model.product_id not in (None, change.product_id)
    return {"model": f"{model.number} is not for {change.product.key}."} if strange else {}
