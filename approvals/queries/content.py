"""What people sign: the material fields of a release or a change request, read in few statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db.models import CharField, F, QuerySet, Value
from django.utils.module_loading import import_string

from approvals import policies
from approvals.models import ChangeRequest
from releasemgmt.catalog.models import Tier
from releasemgmt.releases.models import DefectLink, Document, KnownDefect, Release

Subject = Release | ChangeRequest
#: (what, of which record) → the keys that belong to it.
Members = Mapping[tuple[str, int], list[str]]


def riding(subject: Subject) -> list[ChangeRequest]:
    """The changes that a release's round decides about, in the order of locks; a change has none."""
    return list(ChangeRequest.objects.riding_with(subject)) if isinstance(subject, Release) else []


def carriers(change: ChangeRequest) -> list[Release]:
    """The releases that a change rides with, in the order of locks; one that was cancelled takes nobody along."""
    rides = change.releases.exclude(state=Release.State.CANCELLED)
    return list(rides.select_related("product", "model").order_by("pk"))


def digest(subject: Subject) -> str:
    """The digest of what there is to sign now."""
    return policies.digest(content(subject))


def content(subject: Subject, *, changes: Sequence[ChangeRequest] | None = None) -> dict[str, Any]:
    """The material fields as plain values, empty ones left out. At most four statements.

    `changes` are the riding ones, if they are read already.
    """
    if isinstance(subject, ChangeRequest):
        return _change(subject, _members(None, [subject]))
    changes = riding(subject) if changes is None else changes
    return _release(subject, changes, _members(subject, changes))


def risk_reasons(subject: Subject, *, changes: Sequence[ChangeRequest]) -> list[str]:
    """Why the risk is high by rule; people can only raise it further."""
    if isinstance(subject, ChangeRequest):
        return _outages([subject])
    rules = {
        "Its change of the database can't be taken back.": subject.database_change
        == Release.DatabaseChange.IRREVERSIBLE,
        "It is an emergency.": subject.type == Release.Type.EMERGENCY,
    }
    found = [reason for reason, holds in rules.items() if holds]
    found += [f"{defect.number} is open and {defect.severity}." for defect in _grave_defects(subject)]
    found += _outages(changes)
    for path in settings.RISK_FACTS:
        found += import_string(path)(subject)
    return found


def _outages(changes: Sequence[ChangeRequest]) -> list[str]:
    expecting = [change.pk for change in changes if change.outage_expected]
    if not expecting:
        return []
    down = ChangeRequest.objects.filter(pk__in=expecting, environments__tier=Tier.PRODUCTION).distinct().order_by("pk")
    return [f"{change} expects an outage in production." for change in down]


def _grave_defects(release: Release) -> Iterable[KnownDefect]:
    affecting = {"release_links__release": release, "release_links__relation": DefectLink.Relation.AFFECTS}
    return KnownDefect.objects.open().filter(**affecting, severity__in=KnownDefect.BLOCKING).order_by("pk")


def _release(release: Release, changes: Sequence[ChangeRequest], members: Members) -> dict[str, Any]:
    documents = Document.objects.filter(release=release, kind__in=policies.SIGNED_DOCUMENTS).exclude(body="")
    links = DefectLink.objects.filter(
        release=release, relation=DefectLink.Relation.AFFECTS, defect__severity__in=KnownDefect.MATERIAL
    )
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
        defects={f"{KnownDefect.NUMBER_PREFIX}-{pk}": said for pk, said in links.values_list("defect", "disposition")},
        **{kind: _sha256(body) for kind, body in documents.values_list("kind", "body")},
    )


def _change(change: ChangeRequest, members: Members) -> dict[str, Any]:
    return _filled(
        type=change.type,
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
    wanted: list[QuerySet[Any, Any]] = []
    if release:
        of = {"release": release}
        wanted += [
            _keys("components", Release.components.through.objects.filter(**of), "release_id", "component__key"),
            _keys("builds", Release.builds.through.objects.filter(**of), "release_id", "build__digest"),
        ]
    if changes:
        theirs, link = {"changerequest__in": [change.pk for change in changes]}, "changerequest_id"
        wanted += [
            _keys(
                "change components", ChangeRequest.components.through.objects.filter(**theirs), link, "component__key"
            ),
            _keys(
                "change environments",
                ChangeRequest.environments.through.objects.filter(**theirs),
                link,
                "environment__key",
            ),
        ]
    found: Members = defaultdict(list)
    for what, owner, key in sorted(wanted[0].union(*wanted[1:], all=True)):
        found[what, owner].append(key)
    return found


def _keys(what: str, links: QuerySet[Any], owner: str, key: str) -> QuerySet[Any, Any]:
    return links.values_list(Value(what, output_field=CharField()), F(owner), F(key))


def _filled(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _utc(instant: datetime | None) -> str:
    return instant.astimezone(UTC).isoformat() if instant else ""


def _sha256(text: str) -> str:
    return f"sha256:{sha256(text.encode()).hexdigest()}"
