"""Incidents: reported, corrected, restored, withdrawn; and recorded as the history of another system tells them.

Whatever becomes known is a revision of its own: what was known at any past instant can be told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from deployments import policies
from deployments.models import Incident, IncidentFacts, IncidentRevision
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Environment, Product
from releasemgmt.workflow.commands import command, create, edit, hold, lock, permit, record, validate
from releasemgmt.workflow.errors import Invalid, NotPermitted, WrongState

#: What a revision says, as columns.
COLUMNS = [field.attname for field in IncidentFacts._meta.fields]
#: What people confirm, and where it stands who did.
CONFIRMED = {"caused_by": "cause_confirmed_by", "fixed_by": "fix_confirmed_by"}


def report_incident(
    *,
    product: Product,
    environment: Environment,
    actor: User,
    now: datetime,
    components: Collection[Component] = (),
    **fields: Any,
) -> Incident:
    """Write down that a product was or is down or degraded; `fields` are those of the API's body, with records."""
    with command():
        permit(actor, product, roles.edit_records, to="report incidents")
        incident = Incident(product=product, environment=environment, reported_by=actor, recorded_at=now)
        _set(incident, {**fields, **_confirmed_by(actor, fields)})
        _check(incident, fields, components, now=now)
        validate(incident, ["title", "kind", "severity"])
        told = {name: getattr(incident, name) for name in ("title", "kind", "severity", "started_at")}
        incident = create(incident, actor=actor, data={**told, "environment": environment.key})
        incident.components.set(components)
        _revise(incident, at=now)
        return incident


def correct_incident(incident: Incident, *, changes: Mapping[str, Any], actor: User, now: datetime) -> Incident:
    """Change what is known of an incident: its end restores it, a cause or a fix is confirmed by who names it.

    What is there already writes nothing.
    """
    with command():
        incident = lock(incident)
        permit(actor, incident, roles.edit_records, to=f"edit {incident}")
        if incident.withdrawn:
            raise WrongState(f"{incident} was recorded in error; report another one.", allowed=[])
        changes = {name: value for name, value in changes.items() if value != getattr(incident, name)}
        components = changes.pop("components", None)
        _check(incident, changes, components or (), now=now)
        before = incident.revision
        news = {name: changes.pop(name) for name in _news(incident, changes)}
        incident = edit(incident, actor=actor, changes={**changes, **_confirmed_by(actor, changes)})
        _tell(incident, news, actor=actor)
        if components is not None:
            _set_components(incident, components, actor=actor)
        if incident.revision > before:
            _revise(incident, at=now)
        return incident


def withdraw_incident(incident: Incident, *, reason: str, actor: User, now: datetime) -> Incident:
    """Say that it was recorded in error: it stays to be read and counts nowhere from now on."""
    with command():
        incident = lock(incident)
        permit(actor, incident, roles.edit_records, to=f"withdraw {incident}")
        if incident.withdrawn:
            return incident
        if not reason.strip():
            raise Invalid({"reason": "Say the reason."})
        incident.withdrawn = True
        record(incident, "deployments.incident.withdraw", actor=actor, data={"reason": reason}, save=["withdrawn"])
        _revise(incident, at=now)
        return incident


def record_incident(
    *,
    product: Product,
    external_id: str,
    recorded_at: datetime,
    actor: User,
    components: Collection[Component] | None = None,
    **facts: Any,
) -> tuple[Incident, bool]:
    """Record what a history says of an incident since then; answers it, and whether that was news.

    Revisions come in the order in which they were recorded; `withdrawn=True` says that it was deleted there. What is
    left out stays as it is known. Nobody is told.
    """
    with command():
        permit(actor, product, roles.administrate_or_system, to="import incidents")
        known = Incident.objects.filter(product=product, external_id=external_id).first()
        if known is None:
            incident = Incident(product=product, external_id=external_id, recorded_at=recorded_at)
        else:
            incident = lock(known)
            if _is_known(incident, facts, components, at=recorded_at):
                return incident, False
        before = {name: getattr(incident, name) for name in facts} if known else {}
        _set(incident, facts)
        _check(incident, {}, components or (), now=None)
        validate(incident, ["title", "kind", "severity", "started_at"])
        if known is None:
            incident.save(force_insert=True)
            hold(incident)
        changed = [name for name in before if before[name] != getattr(incident, name)]
        data = {"recorded_at": recorded_at, "title": incident.title, "fields": changed}
        record(incident, "deployments.incident.record", actor=actor, data=data, save=changed, revise=known is not None)
        if components is not None:
            incident.components.set(components)
        _revise(incident, at=recorded_at)
        return incident, True


def _is_known(
    incident: Incident, facts: Mapping[str, Any], components: Collection[Component] | None, *, at: datetime
) -> bool:
    """Whether a revision of that time says so already; Invalid where later ones stand, and it is none of them."""
    keys = None if components is None else _keys(components)
    then = incident.revisions.filter(recorded_at__lte=at).order_by("-recorded_at", "-pk")
    last = then.first()
    for revision in then.filter(recorded_at=last.recorded_at) if last else ():
        if all(getattr(revision, name) == value for name, value in facts.items()) and keys in (
            None,
            revision.components,
        ):
            return True
    if incident.revisions.filter(recorded_at__gt=at).exists():
        raise Invalid({"recorded_at": f"More is known of {incident} since: send revisions in their order."})
    return False


def _set(incident: Incident, facts: Mapping[str, Any]) -> None:
    for name, value in facts.items():
        setattr(incident, name, value)


def _confirmed_by(actor: User, changes: Mapping[str, Any]) -> dict[str, User | None]:
    """Who says which deployment it was: a person."""
    named = {name: changes[name] for name in CONFIRMED if name in changes}
    if any(named.values()) and actor.kind != User.Kind.HUMAN:
        raise NotPermitted("A person confirms which deployment caused or fixed an incident.")
    return {CONFIRMED[name]: actor if deployment else None for name, deployment in named.items()}


def _news(incident: Incident, changes: Mapping[str, Any]) -> list[str]:
    """What others wait for: the end of an open incident, its cause and its fix."""
    is_over = incident.restored_at is None and changes.get("restored_at")
    return [*(["restored_at"] if is_over else []), *(name for name in CONFIRMED if changes.get(name))]


def _tell(incident: Incident, news: Mapping[str, Any], *, actor: User) -> None:
    """An event of its own for each."""
    _set(incident, {**news, **_confirmed_by(actor, news)})
    if at := news.get("restored_at"):
        data: dict[str, Any] = {"restored_at": at}
        record(incident, "deployments.incident.restore", actor=actor, data=data, save=["restored_at"])
    if cause := news.get("caused_by"):
        data, saved = {"deployment": cause.pk, "cause": str(cause)}, ["caused_by", "cause_confirmed_by"]
        record(incident, "deployments.incident.confirm_cause", actor=actor, data=data, save=saved)
    if fix := news.get("fixed_by"):
        data, saved = {"deployment": fix.pk, "fix": str(fix)}, ["fixed_by", "fix_confirmed_by"]
        record(incident, "deployments.incident.confirm_fix", actor=actor, data=data, save=saved)


def _check(
    incident: Incident, changes: Mapping[str, Any], components: Collection[Component], *, now: datetime | None
) -> None:
    """Hold the values that it has, or will have, against the rules."""
    facts = {name: changes.get(name, getattr(incident, name)) for name in COLUMNS if not name.endswith("_id")}
    facts |= {name: changes.get(name, getattr(incident, name)) for name in ("environment", *CONFIRMED)}
    product, errors = incident.product, policies.incident_errors(facts, now=now)
    errors |= {} if incident.is_imported else _only_imported(facts)
    environment, is_said = facts["environment"], incident._state.adding or "environment" in changes
    if environment and is_said and not product.environments.filter(pk=environment.pk).exists():
        errors["environment"] = f"{product} does not use {environment}."
    if any(component.product_id != product.pk for component in components):
        errors["components"] = f"Name components of {product}."
    errors |= {
        name: "It belongs to another product."
        for name in CONFIRMED
        if facts[name] and facts[name].product_id != product.pk
    }
    cause = facts["caused_by"]
    if cause and cause.started_at > facts["started_at"]:
        errors.setdefault("caused_by", "It started after the incident did.")
    if errors:
        raise Invalid(errors)


def _only_imported(facts: Mapping[str, Any]) -> dict[str, str]:
    errors = {} if facts["environment"] else {"environment": "Say where."}
    if facts["kind"] == Incident.Kind.NOTICE:
        errors["kind"] = "Say whether it is down or degraded."
    if facts["planned"]:
        errors["planned"] = "A planned outage is that of a change."
    return errors


def _set_components(incident: Incident, components: Collection[Component], *, actor: User) -> None:
    before, after = _keys(incident.components.all()), _keys(components)
    if before != after:
        incident.components.set(components)
        data = {"changes": {"components": [before, after]}}
        record(incident, "deployments.incident.edit", actor=actor, data=data, revise=True)


def _revise(incident: Incident, *, at: datetime) -> None:
    """Keep what is known from now on; what was known until now ends, and never before it began."""
    last = incident.revisions.filter(superseded_at=None).first()
    at = max(at, last.recorded_at) if last else at
    incident.revisions.filter(superseded_at=None).update(superseded_at=at)
    facts = {name: getattr(incident, name) for name in COLUMNS}
    keys = _keys(incident.components.all())
    IncidentRevision.objects.create(incident=incident, components=keys, recorded_at=at, **facts)


def _keys(components: Collection[Component]) -> list[str]:
    return sorted(component.key for component in components)
