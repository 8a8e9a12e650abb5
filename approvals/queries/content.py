"""What people sign: the material fields of a release or a change request, read in few statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import chain
from typing import Any

from django.conf import settings
from django.db.models import CharField, F, QuerySet, Value
from django.utils.module_loading import import_string

from approvals import policies
from approvals.models import ChangeModel, ChangeRequest, Model, Subject
from approvals.policies import Ask
from approvals.queries.risk import own_rules, rules_about
from releasemgmt.catalog.models import Product, Tier
from releasemgmt.releases.models import Release
from releasemgmt.releases.queries import defect_links, documents
from releasemgmt.workflow.commands import while_reading
from releasemgmt.workflow.prepared import prepared

#: Where a document of its product is part of what is signed of a release, and not history yet.
INHERITING_STATES = (Release.State.INTEGRATION_TESTED, Release.State.ACCEPTED)
#: (what, of which record) → the keys that belong to it.
Members = Mapping[tuple[str, int], list[str]]


def riding(subject: Subject) -> list[ChangeRequest]:
    """The changes that a release's round decides about, in the order of locks; a change has none."""
    if not isinstance(subject, Release):
        return []
    return while_reading(("riding", subject.pk), lambda: list(ChangeRequest.objects.riding_with(subject)))


def carriers(change: ChangeRequest) -> list[Release]:
    """The releases that a change rides with, in the order of locks; one that was cancelled takes nobody along."""
    rides = change.releases.exclude(state=Release.State.CANCELLED)
    return list(rides.select_related("product", "model").order_by("pk"))


def inheriting(product: Product) -> list[Subject]:
    """The releases on their way to production that inherit documents of the product and were put to a round."""
    under_way = Release.objects.filter(product=product, state__in=INHERITING_STATES, rounds__isnull=False).distinct()
    return [release for release in under_way.select_related("product", "model") if release.model.inherited]


def digest(subject: Subject) -> str:
    """The digest of what there is to sign now."""
    return policies.digest(content(subject))


def content(subject: Subject, *, changes: Sequence[ChangeRequest] | None = None) -> dict[str, Any]:
    """The material fields as plain values, empty ones left out. At most four statements.

    `changes` are the riding ones, if they are read already.
    """
    if isinstance(subject, Model):
        return _model(subject)
    if isinstance(subject, ChangeRequest):
        return _change(subject, _members(None, [subject]))
    changes = riding(subject) if changes is None else changes
    return _release(subject, changes, _members(subject, changes))


def contents(changes: Sequence[ChangeRequest]) -> dict[int, dict[str, Any]]:
    """The same for several changes, by their keys. At most one statement."""
    members = _members(None, changes) if changes else {}
    return {change.pk: _change(change, members) for change in changes}


def asks(subject: Subject, *, changes: Sequence[ChangeRequest], retrospective: bool = False) -> list[Ask]:
    """What policies look at: the record, and those that ride with it unless their model has approved them already.

    A retrospective is asked for as if there had been time. At most two statements.
    """
    if isinstance(subject, Model):
        return [_pre_approval(subject)]
    own = [subject] if isinstance(subject, ChangeRequest) else []
    return _asks(subject, changes, _tiers([*own, *changes]), retrospective=retrospective)


def asks_of_each(subjects: Sequence[Release | ChangeRequest]) -> dict[Release | ChangeRequest, list[Ask]]:
    """The same for several records, with those that ride with each. At most three statements."""
    rides: dict[int, list[ChangeRequest]] = defaultdict(list)
    links = ChangeRequest.releases.through.objects.filter(
        release__in=[subject.pk for subject in subjects if isinstance(subject, Release)]
    )
    for link in links.select_related("changerequest").order_by("changerequest"):
        rides[link.release_id].append(link.changerequest)
    own = [subject for subject in subjects if isinstance(subject, ChangeRequest)]
    tiers = _tiers([*own, *chain.from_iterable(rides.values())])
    return {
        subject: _asks(subject, rides[subject.pk] if isinstance(subject, Release) else [], tiers)
        for subject in subjects
    }


def _asks(
    subject: Release | ChangeRequest,
    changes: Sequence[ChangeRequest],
    tiers: Mapping[int, list[str]],
    *,
    retrospective: bool = False,
) -> list[Ask]:
    own = [subject] if isinstance(subject, ChangeRequest) else []
    team = subject.product.team.key
    found: list[Ask] = []
    for change in [*own, *(each for each in changes if each.type != ChangeRequest.Type.STANDARD)]:
        kind = ChangeRequest.Type.NORMAL if retrospective else change.type
        ask: Ask = {"subject": "change", "type": kind, "risk": change.risk, "tiers": tiers[change.pk], "team": team}
        found.append(ask)
    if isinstance(subject, Release):
        facts: Ask = {"subject": "release", "type": subject.type, "risk": subject.risk, "tiers": [], "team": team}
        found.insert(0, {**facts, "tiers": [Tier.PRODUCTION.value]})
    return found


def _pre_approval(model: Model) -> Ask:
    product = model.product if isinstance(model, ChangeModel) else None
    tiers = model.tiers if isinstance(model, ChangeModel) else []
    team = product.team.key if product else ""
    return {"subject": "pre_approval", "type": "", "risk": "", "tiers": tiers, "team": team}


def _tiers(changes: Sequence[ChangeRequest]) -> dict[int, list[str]]:
    """The tiers of the environments that each of the changes touches."""
    links = ChangeRequest.environments.through.objects.filter(changerequest__in=[change.pk for change in changes])
    found: dict[int, set[str]] = defaultdict(set)
    if changes:
        for change, tier in links.values_list("changerequest", "environment__tier"):
            found[change].add(tier)
    return {change.pk: sorted(found[change.pk]) for change in changes}


def risk_reasons(subject: Release | ChangeRequest, *, changes: Sequence[ChangeRequest]) -> list[str]:
    """Why the risk is high by rule; people can only raise it further."""
    if isinstance(subject, ChangeRequest):
        return [rule.reason for rule in rules_about(subject)]
    rules = {
        "Its change of the database can't be taken back.": subject.database_change
        == Release.DatabaseChange.IRREVERSIBLE,
        "It is an emergency.": subject.type == Release.Type.EMERGENCY,
    }
    found = [reason for reason, holds in rules.items() if holds]
    grave = [link.defect for link in defect_links(subject) if link.is_grave]
    found += [f"{defect.number} is open and {defect.severity}." for defect in grave]
    found += [rule.reason for rule in own_rules(changes)]
    for path in settings.RISK_FACTS:
        found += import_string(path)(subject)
    return found


def _release(release: Release, changes: Sequence[ChangeRequest], members: Members) -> dict[str, Any]:
    signed = documents(release, policies.SIGNED_DOCUMENTS)
    return _filled(
        product=release.product.key,
        version=release.version,
        type=release.type,
        model=release.model.number,
        components=members["components", release.pk],
        builds=members["builds", release.pk],
        database_change=release.database_change,
        risk=release.risk,
        cycle=release.cycle,
        changes={change.number: policies.digest(_change(change, members)) for change in changes},
        defects={link.defect.number: link.disposition for link in defect_links(release) if link.is_signed},
        **{kind: _sha256(document.body) for kind, document in signed.items()},
    )


def _model(model: Model) -> dict[str, Any]:
    fields = policies.CHANGE_MODEL_FIELDS if isinstance(model, ChangeModel) else policies.MODEL_FIELDS
    values = {name: getattr(model, name) for name, signed in fields.items() if signed}
    return _filled(**{name: value.key if isinstance(value, Product) else value for name, value in values.items()})


def _change(change: ChangeRequest, members: Members) -> dict[str, Any]:
    return _filled(
        type=change.type,
        model=change.model.number if change.model else "",
        risk=change.risk,
        implementation_plan=change.implementation_plan,
        test_plan=change.test_plan,
        backout_plan=change.backout_plan,
        components=members["change components", change.pk],
        environments=members["change environments", change.pk],
        planned_start=_utc(change.planned_start),
        planned_end=_utc(change.planned_end),
        outage_expected=change.outage_expected,
        outage_minutes=change.outage_minutes,
    )


def _members(release: Release | None, changes: Sequence[ChangeRequest]) -> Members:
    """The keys of everything that these records have several of. One statement."""
    found: Members = defaultdict(list)
    parts = _parts((release.pk,) if release else (), tuple(change.pk for change in changes))
    for what, owner, key in sorted(parts):
        found[what, owner].append(key)
    return found


@prepared
def _parts(releases: tuple[int, ...], changes: tuple[int, ...]) -> QuerySet[Any, tuple[str, int, str]]:
    components, builds = Release.components.through.objects, Release.builds.through.objects
    changed, places = ChangeRequest.components.through.objects, ChangeRequest.environments.through.objects
    theirs, link = {"changerequest__pk__in": changes}, "changerequest_id"
    return _keys("components", components.filter(release__pk__in=releases), "release_id", "component__key").union(
        _keys("builds", builds.filter(release__pk__in=releases), "release_id", "build__digest"),
        _keys("change components", changed.filter(**theirs), link, "component__key"),
        _keys("change environments", places.filter(**theirs), link, "environment__key"),
        all=True,
    )


def _keys(what: str, links: QuerySet[Any], owner: str, key: str) -> QuerySet[Any, Any]:
    return links.values_list(Value(what, output_field=CharField()), F(owner), F(key))


def _filled(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _utc(instant: datetime | None) -> str:
    return instant.astimezone(UTC).isoformat() if instant else ""


def _sha256(text: str) -> str:
    return f"sha256:{sha256(text.encode()).hexdigest()}"
