"""Who must agree: policies as rules, the stages that they ask for together, and what votes amount to.

A *seat* is what a person fills by approving: a role (`cab_member`), a team (`team:payments`) or a board
(`board:ecab`). Each person fills one seat, whatever they hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import product
from math import ceil
from typing import Any, NamedTuple, NotRequired, TypedDict

#: person → the seats that they could fill.
People = Mapping[int, frozenset[str]]


class Stage(TypedDict):
    """One line of a policy: who is asked, how many of them, when, and whether each of them can end the round alone.

    One of `role`, `team` and `board` says who; one of `count` and `percent` (of those who may vote when the step opens,
    rounded up) how many. Stages of one `step` are asked together, the next step when all before it have agreed. Of
    stages with the same `either` one is enough.
    """

    step: NotRequired[int]
    role: NotRequired[str]
    team: NotRequired[str]
    board: NotRequired[str]
    count: NotRequired[int]
    percent: NotRequired[int]
    veto: NotRequired[bool]
    either: NotRequired[str]
    #: The percentage has become a count: the step is open.
    fixed: NotRequired[bool]


class Ask(TypedDict):
    """What a policy looks at in a record: `subject` is `release`, `change` or `pre_approval`."""

    subject: str
    type: str
    risk: str
    tiers: list[str]
    team: str


class Rule(NamedTuple):
    """A policy as the rules see it; of each condition that is set, one value has to fit."""

    subject: str
    conditions: Mapping[str, Any]
    stages: Sequence[Stage]

    def applies(self, ask: Ask) -> bool:
        """Whether it speaks about such a record."""
        either = self.subject == "any" and ask["subject"] != "pre_approval"
        if not either and self.subject != ask["subject"]:
            return False
        facts = {"type": [ask["type"]], "risk": [ask["risk"]], "tier": ask["tiers"], "team": [ask["team"]]}
        return all(not wanted or not set(wanted).isdisjoint(facts[name]) for name, wanted in self.conditions.items())


#: Where no policy matches: two people, never nobody.
FALLBACK: list[Stage] = [{"step": 1, "role": "release_manager", "count": 2, "veto": False}]


class Verdict(StrEnum):
    """What the votes that count amount to."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    #: Too few people are left who could approve, whatever they say.
    UNREACHABLE = "unreachable"


def seat(stage: Stage) -> str:
    """The name of the seats that a stage has."""
    if role := stage.get("role"):
        return role
    return f"team:{stage['team']}" if "team" in stage else f"board:{stage['board']}"


def step_of(stage: Stage) -> int:
    """When it is asked; the first step is 1."""
    return stage.get("step", 1)


def last_step(stages: Iterable[Stage]) -> int:
    """The number of the last step."""
    return max((step_of(stage) for stage in stages), default=1)


def until(stages: Iterable[Stage], step: int) -> list[Stage]:
    """The stages of that step and of those before it."""
    return [stage for stage in stages if step_of(stage) <= step]


def stages_for(rules: Iterable[Rule], asks: Iterable[Ask]) -> list[Stage]:
    """What the rules ask for all of these together, in the order of the steps."""
    known = list(rules)
    found: list[Sequence[Stage]] = []
    for ask in asks:
        found += [rule.stages for rule in known if rule.applies(ask)] or [FALLBACK]
    return union(found)


def union(found: Iterable[Sequence[Stage]]) -> list[Stage]:
    """Each seat that is named, with the higher count, the later step, and a veto where anyone gives it."""
    stages: dict[tuple[str, str], Stage] = {}
    for stage in (stage for each in found for stage in each):
        key = seat(stage), stage.get("either", "")
        known = stages.get(key)
        stages[key] = {**stage, "step": step_of(stage)} if known is None else _higher(known, stage)
    return sorted(stages.values(), key=step_of)


def _higher(one: Stage, other: Stage) -> Stage:
    merged: Stage = {**one, "step": max(step_of(one), step_of(other))}
    merged["veto"] = bool(one.get("veto") or other.get("veto"))
    if counts := [stage["count"] for stage in (one, other) if "count" in stage]:
        merged["count"] = max(counts)
    if percents := [stage["percent"] for stage in (one, other) if "percent" in stage]:
        merged["percent"] = max(percents)
    return merged


def needed(stage: Stage, people: People) -> int:
    """How many approvals a stage asks for among these people: its count, or its share of them, whichever is more."""
    if stage.get("fixed") or "percent" not in stage:
        return stage.get("count", 0)
    could = sum(seat(stage) in seats for seats in people.values())
    return max(stage.get("count", 1), ceil(could * stage["percent"] / 100))


def resolve(stages: Iterable[Stage], people: People, *, step: int) -> list[Stage]:
    """The stages, with the shares of that step turned into counts: it opens now."""
    return [
        {**stage, "count": needed(stage, people), "fixed": True}
        if "percent" in stage and step_of(stage) == step
        else stage
        for stage in stages
    ]


def tally(stages: Sequence[Stage], *, votes: Mapping[int, str], eligible: People) -> Verdict:
    """What votes (person → decision) amount to among those who may vote (person → seats).

    An abstention never approves, and nobody takes its place.
    """
    vetoing = {seat(stage) for stage in stages if stage.get("veto")}
    counted = {person: decision for person, decision in votes.items() if person in eligible}
    if any(decision == "reject" and eligible[person] & vetoing for person, decision in counted.items()):
        return Verdict.REJECTED
    approving = {person: seats for person, seats in eligible.items() if counted.get(person) == "approve"}
    hopeful = {person: seats for person, seats in eligible.items() if counted.get(person, "approve") == "approve"}
    if not any(missing(stages, approving, of=eligible).values()):
        return Verdict.APPROVED if approving else Verdict.UNREACHABLE
    if not any(missing(stages, hopeful, of=eligible).values()):
        return Verdict.OPEN
    return Verdict.UNREACHABLE if any(missing(stages, eligible, of=eligible).values()) else Verdict.REJECTED


def open_step(stages: Sequence[Stage], approving: People, *, of: People) -> int:
    """The first step that has not agreed yet; the last one where all have."""
    steps = sorted({step_of(stage) for stage in stages})
    undone = (step for step in steps if any(missing(until(stages, step), approving, of=of).values()))
    return next(undone, last_step(stages))


def missing(stages: Sequence[Stage], people: People, *, of: People | None = None) -> dict[str, int]:
    """How many seats of each name stay empty when each of the people takes at most one, as well as it can be done.

    `of` are all who may vote, of whom percentages are taken; where one of several stages is enough, the nearest counts.
    """
    voters = people if of is None else of
    names = {seat(stage): 0 for stage in stages}
    return names | min((_empty(way, people, voters) for way in _ways(stages)), key=lambda empty: sum(empty.values()))


def _ways(stages: Sequence[Stage]) -> Iterator[list[Stage]]:
    """Each way to agree: all stages that stand alone, and one of each `either`."""
    alone = [stage for stage in stages if not stage.get("either")]
    choices: dict[str, list[Stage]] = {}
    for stage in stages:
        if label := stage.get("either"):
            choices.setdefault(label, []).append(stage)
    for picked in product(*choices.values()):
        yield [*alone, *picked]


def _empty(stages: Sequence[Stage], people: People, voters: People) -> dict[str, int]:
    room = [needed(stage, voters) for stage in stages]
    seated = Seated([seat(stage) for stage in stages], room, [[] for _ in stages], people)
    hopeless: set[frozenset[str]] = set()  # whom nothing seats now, nothing seats later
    for person in sorted(people):
        if people[person] not in hopeless and not seated.take(person, tried=set()):
            hopeless.add(people[person])
    empty = dict.fromkeys(seated.names, 0)
    for name, size, there in zip(seated.names, room, seated.there, strict=True):
        empty[name] += size - len(there)
    return empty


class Seated(NamedTuple):
    """Who sits where: of each stage the name of its seats, how many there are, and the people on them."""

    names: Sequence[str]
    room: Sequence[int]
    there: Sequence[list[int]]
    people: People

    def take(self, person: int, *, tried: set[int]) -> bool:
        """Seat a person, moving others to another stage of theirs if need be (an augmenting path)."""
        own = self.people[person]
        stages = [n for n, name in enumerate(self.names) if name in own and n not in tried]
        for n in stages:
            if len(self.there[n]) < self.room[n]:
                self.there[n].append(person)
                return True
        for n in stages:
            if n in tried:
                continue
            tried.add(n)
            for place, other in enumerate(self.there[n]):
                if self.take(other, tried=tried):
                    del self.there[n][place]
                    self.there[n].append(person)  # last: whoever came in this way is hardest to move
                    return True
        return False
