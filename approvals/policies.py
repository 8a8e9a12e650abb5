"""Rules of approval as pure functions over values: what content is, who must agree, and what votes amount to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple, TypedDict

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
}
#: The documents of a release that are signed, by their SHA-256.
SIGNED_DOCUMENTS = ("deployment_procedure", "impact")

#: Every field of a change request, in the same way.
CHANGE_FIELDS: dict[str, bool] = {
    "type": True,
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
    "entered_by": False,
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
    "releases.defect_link.set": None,
    "approvals.changerequest.edit": CHANGE_FIELDS,
    "approvals.changerequest.join": None,
    "approvals.changerequest.leave": None,
}


class Stage(TypedDict):
    """How many people of a role must approve, and whether each of them can end the round alone."""

    role: str
    count: int
    veto: bool


class Rule(NamedTuple):
    """A policy as the rules see it; `conditions` is `{"risk": [levels]}`, empty for all."""

    subject: str
    conditions: Mapping[str, Any]
    stages: list[Stage]

    def applies(self, subject: str, level: str) -> bool:
        """Whether it speaks about such a subject of such a risk."""
        return self.subject in (subject, "any") and level in self.conditions.get("risk", RISKS)


#: Where no policy matches: two people, never nobody.
FALLBACK: list[Stage] = [{"role": "release_manager", "count": 2, "veto": False}]


class Verdict(StrEnum):
    """What the votes that count amount to."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    #: Too few people are left who could approve, whatever they say.
    UNREACHABLE = "unreachable"


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


def stages_for(rules: Iterable[Rule], asks: Iterable[tuple[str, str]]) -> list[Stage]:
    """What the rules ask for all of these (subject, risk) together."""
    known = list(rules)
    found: list[list[Stage]] = []
    for subject, level in asks:
        found += [rule.stages for rule in known if rule.applies(subject, level)] or [FALLBACK]
    return union(found)


def union(found: Iterable[Sequence[Stage]]) -> list[Stage]:
    """All roles that are named, each with its highest count, and a veto where anyone gives it."""
    stages: dict[str, Stage] = {}
    for stage in (stage for each in found for stage in each):
        known = stages.setdefault(stage["role"], {"role": stage["role"], "count": 0, "veto": False})
        known["count"] = max(known["count"], stage["count"])
        known["veto"] = known["veto"] or stage["veto"]
    return list(stages.values())


def tally(stages: Sequence[Stage], *, votes: Mapping[int, str], eligible: Mapping[int, frozenset[str]]) -> Verdict:
    """What votes (person → decision) amount to among those who may vote (person → roles).

    Each person fills one seat, whatever roles they hold. An abstention never approves, and nobody takes its place.
    """
    vetoing = {stage["role"] for stage in stages if stage["veto"]}
    counted = {person: decision for person, decision in votes.items() if person in eligible}
    if any(decision == "reject" and eligible[person] & vetoing for person, decision in counted.items()):
        return Verdict.REJECTED
    approving = {person: roles for person, roles in eligible.items() if counted.get(person) == "approve"}
    hopeful = {person: roles for person, roles in eligible.items() if counted.get(person, "approve") == "approve"}
    if not any(missing(stages, approving).values()):
        return Verdict.APPROVED if approving else Verdict.UNREACHABLE
    if not any(missing(stages, hopeful).values()):
        return Verdict.OPEN
    return Verdict.UNREACHABLE if any(missing(stages, eligible).values()) else Verdict.REJECTED


def missing(stages: Sequence[Stage], people: Mapping[int, frozenset[str]]) -> dict[str, int]:
    """How many seats of each role stay empty when each of the people takes at most one, as well as it can be done."""
    seats = [stage["role"] for stage in stages for _ in range(stage["count"])]
    taken: dict[int, int] = {}
    for person in sorted(people):
        _seat(person, seats, people, taken, tried=set())
    empty = [role for number, role in enumerate(seats) if number not in taken]
    return {stage["role"]: empty.count(stage["role"]) for stage in stages}


def _seat(
    person: int, seats: Sequence[str], people: Mapping[int, frozenset[str]], taken: dict[int, int], tried: set[int]
) -> bool:
    """Seat a person, moving others to another seat of theirs if need be (an augmenting path)."""
    for number in _new(seats, people[person], tried):
        if number not in taken or _seat(taken[number], seats, people, taken, tried):
            taken[number] = person
            return True
    return False


def _new(seats: Sequence[str], roles: frozenset[str], tried: set[int]) -> Iterator[int]:
    for number, role in enumerate(seats):
        if role in roles and number not in tried:
            tried.add(number)
            yield number


def change_errors(values: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with the values of a change request: field → reason."""
    errors = {}
    begin, end = values["planned_start"], values["planned_end"]
    if values["type"] != "normal":
        errors["type"] = f"Only normal change requests are accepted, not yet {values['type']} ones."
    if not values["title"].strip():
        errors["title"] = "Give it a title."
    if begin and end and begin >= end:
        errors["planned_end"] = "It ends before it starts."
    if values["outage_minutes"] is not None and not values["outage_expected"]:
        errors["outage_minutes"] = "Say that an outage is expected, or leave its length out."
    return errors
