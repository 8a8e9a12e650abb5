"""What people sign: which fields are material, the digest over them, and the difference between two contents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from releasemgmt.workflow.commands import canonical

RISKS = ("low", "medium", "high")

#: Every field of a release: True where it is what people sign. A field that is not named here fails a test.
RELEASE_FIELDS: dict[str, bool] = {
    "product": True,
    "version": True,
    "type": True,
    "model": True,
    "components": True,
    "builds": True,
    "database_change": True,
    "risk": True,
    "cycle": True,
    "id": False,
    "title": False,
    "description": False,
    "state": False,
    "entered_by": False,
    "revision": False,
    "event_seq": False,
    "event_hash": False,
    "created_at": False,
    "updated_at": False,
    "created_by": False,
    "requested_by": False,
    "release_manager": False,
    "target_date": False,
    "planned_start": False,
    "planned_end": False,
    "commits": False,
    "depends_on": False,
    "train": False,
    "on_hold": False,
    "hold_reason": False,
    "review": False,
    "imported": False,
    "released_at": False,
    "held_up_at": False,
    "held_up_heads": False,
}
#: The documents of a release that are signed, by their SHA-256.
SIGNED_DOCUMENTS = ("deployment_procedure", "impact")

#: Every field of a change request, in the same way.
CHANGE_FIELDS: dict[str, bool] = {
    "type": True,
    "model": True,
    "risk": True,
    "implementation_plan": True,
    "test_plan": True,
    "backout_plan": True,
    "components": True,
    "environments": True,
    "planned_start": True,
    "planned_end": True,
    "outage_expected": True,
    "outage_minutes": True,
    "id": False,
    "product": False,
    "state": False,
    "title": False,
    "justification": False,
    "impact": False,
    "incident_reference": False,
    "created_by": False,
    "requested_by": False,
    "implementer": False,
    "releases": False,
    "outcome": False,
    "review": False,
    "unauthorised": False,
    "retrospective_due_at": False,
    "retrospective_missed_at": False,
    "entered_by": False,
    "revision": False,
    "event_seq": False,
    "event_hash": False,
    "created_at": False,
    "updated_at": False,
}

#: Every field of a release model whose pre-approval is asked for, in the same way; a version of it never changes.
MODEL_FIELDS: dict[str, bool] = {
    "key": True,
    "version": True,
    "name": True,
    "suites": True,
    "documents": True,
    "sign_off": True,
    "review": True,
    "exposure": True,
    "smoke_in_target": True,
    "by_itself": True,
    "pre_approval_days": True,
    "fail_rate_ceiling": True,
    "id": False,
    "revision": False,
    "event_seq": False,
    "event_hash": False,
    "created_at": False,
    "updated_at": False,
}
#: The same for a model of standard changes.
CHANGE_MODEL_FIELDS: dict[str, bool] = {
    "key": True,
    "version": True,
    "name": True,
    "product": True,
    "tiers": True,
    "components": True,
    "impact": True,
    "implementation_plan": True,
    "test_plan": True,
    "backout_plan": True,
    "pre_approval_days": True,
    "success_floor": True,
    "id": False,
    "revision": False,
    "event_seq": False,
    "event_hash": False,
    "created_at": False,
    "updated_at": False,
}

#: Events by which a person works on what is signed: the fields, if their `changes` say which.
EDITS: dict[str, dict[str, bool] | None] = {
    "releases.release.edit": RELEASE_FIELDS,
    "releases.release.set_builds": None,
    "releases.document.write": dict.fromkeys(SIGNED_DOCUMENTS, True),
    "catalog.product_document.write": dict.fromkeys(SIGNED_DOCUMENTS, True),
    "releases.defect_link.set": {"defects": True},
    "releases.defect_link.rate": None,
    "approvals.changerequest.edit": CHANGE_FIELDS,
    "approvals.changerequest.answer": None,
    "approvals.changerequest.join": None,
    "approvals.changerequest.leave": None,
    "catalog.releasemodel.create": None,
}


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 over the content as canonical JSON; empty values are left out, so a new field changes no old digest."""
    return f"sha256:{sha256(canonical({name: value for name, value in content.items() if value})).hexdigest()}"


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Field by field what differs between two contents: `{field: [before, after]}`; empty is empty."""
    names = sorted({*before, *after})
    pairs = {name: [before.get(name) or None, after.get(name) or None] for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def is_edit(kind: str, facts: Mapping[str, Any]) -> bool:
    """Whether an event is work on what is signed."""
    if kind not in EDITS:
        return False
    fields = EDITS[kind]
    return fields is None or any(fields.get(name) for name in facts.get("changes", ()))


def risk(*levels: str, reasons: Iterable[str] = ()) -> str:
    """The highest of the levels; any reason makes it high."""
    return "high" if any(reasons) else max(levels, key=RISKS.index)
