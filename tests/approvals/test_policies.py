"""The rules as tables of cases: digests, required people, tallies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals import policies
from approvals.models import ChangeRequest
from approvals.policies import FALLBACK, Rule, Stage, Verdict
from approvals.shipped import POLICIES
from releasemgmt.releases.models import Release

RULES = [Rule("any", policy["conditions"], policy["stages"]) for policy in POLICIES]


def stage(role: str, count: int = 1, *, veto: bool = False) -> Stage:
    return {"role": role, "count": count, "veto": veto}


@pytest.mark.parametrize(
    ("model", "table"), [(Release, policies.RELEASE_FIELDS), (ChangeRequest, policies.CHANGE_FIELDS)]
)
def test_every_field_is_either_signed_or_not(model: Any, table: dict[str, bool]) -> None:
    fields = {field.name for field in (*model._meta.fields, *model._meta.many_to_many)}
    assert set(table) == fields


@pytest.mark.parametrize("empty", [None, "", [], {}, False])
def test_an_empty_value_leaves_the_digest(empty: object) -> None:
    assert policies.digest({"type": "minor", "new_field": empty}) == policies.digest({"type": "minor"})


def test_the_order_of_fields_leaves_the_digest() -> None:
    assert policies.digest({"a": 1, "b": 2}) == policies.digest({"b": 2, "a": 1})
    assert policies.digest({"a": 1}) != policies.digest({"a": 2})


def test_a_difference_is_told_field_by_field() -> None:
    before, after = {"type": "minor", "risk": "low", "impact": ""}, {"type": "major", "risk": "low", "builds": ["x"]}
    assert policies.diff(before, after) == {"type": ["minor", "major"], "builds": [None, ["x"]]}


@pytest.mark.parametrize(
    ("asks", "roles"),
    [
        ([("release", "low")], {"release_manager": 1}),
        ([("release", "medium")], {"release_manager": 1, "cab_member": 1}),
        ([("change", "high")], {"cab_member": 2, "cab_chair": 1}),
        ([("release", "low"), ("change", "high")], {"release_manager": 1, "cab_member": 2, "cab_chair": 1}),
        ([("release", "medium"), ("change", "high")], {"release_manager": 1, "cab_member": 2, "cab_chair": 1}),
    ],
)
def test_the_shipped_policies_go_by_risk(asks: list[tuple[str, str]], roles: dict[str, int]) -> None:
    assert {stage["role"]: stage["count"] for stage in policies.stages_for(RULES, asks)} == roles


def test_without_a_policy_two_release_managers_are_asked() -> None:
    releases_only = [Rule("release", {}, [stage("cab_chair")])]
    assert policies.stages_for(releases_only, [("change", "low")]) == FALLBACK
    assert policies.stages_for([], [("release", "low")]) == FALLBACK
    assert FALLBACK[0]["count"] == 2


def test_a_part_without_a_policy_asks_for_the_two_beside_the_others() -> None:
    low_only = [Rule("any", {"risk": ["low"]}, [stage("cab_chair")])]
    assert policies.stages_for(low_only, [("release", "low"), ("change", "high")]) == [stage("cab_chair"), *FALLBACK]


MANAGER, MEMBER, BOTH = frozenset({"manager"}), frozenset({"member"}), frozenset({"manager", "member"})
YES, NO, NEITHER = "approve", "reject", "abstain"


@pytest.mark.parametrize(
    ("stages", "eligible", "votes", "verdict"),
    [
        ([stage("manager")], {1: MANAGER}, {}, Verdict.OPEN),
        ([stage("manager")], {1: MANAGER}, {1: YES}, Verdict.APPROVED),
        ([stage("manager")], {1: MANAGER}, {1: NO}, Verdict.REJECTED),
        ([stage("manager")], {1: MANAGER}, {1: NEITHER}, Verdict.REJECTED),
        ([stage("manager")], {1: MANAGER, 2: MANAGER}, {1: NO}, Verdict.OPEN),
        ([stage("manager")], {1: MANAGER, 2: MANAGER}, {1: NO, 2: YES}, Verdict.APPROVED),
        ([stage("manager", veto=True)], {1: MANAGER, 2: MANAGER}, {1: NO, 2: YES}, Verdict.REJECTED),
        ([stage("manager", veto=True)], {1: MANAGER, 2: MANAGER}, {1: NEITHER, 2: YES}, Verdict.APPROVED),
        ([stage("manager", 2)], {1: MANAGER, 2: MANAGER}, {1: YES}, Verdict.OPEN),
        ([stage("manager", 2)], {1: MANAGER}, {1: YES}, Verdict.UNREACHABLE),
        ([stage("manager")], {}, {}, Verdict.UNREACHABLE),
        ([stage("manager")], {}, {1: YES}, Verdict.UNREACHABLE),
        ([stage("manager")], {1: MEMBER}, {1: YES}, Verdict.UNREACHABLE),
        ([stage("manager"), stage("member")], {1: BOTH}, {1: YES}, Verdict.UNREACHABLE),
        ([stage("manager"), stage("member")], {1: BOTH, 2: MANAGER}, {1: YES, 2: YES}, Verdict.APPROVED),
        ([stage("member"), stage("manager")], {1: BOTH, 2: MANAGER}, {1: YES}, Verdict.OPEN),
        ([stage("manager"), stage("member")], {1: MANAGER, 2: MANAGER, 3: MEMBER}, {1: YES, 2: YES}, Verdict.OPEN),
        ([stage("manager"), stage("member")], {1: MANAGER, 2: MEMBER}, {1: YES, 2: NEITHER}, Verdict.REJECTED),
        ([], {1: MANAGER}, {}, Verdict.UNREACHABLE),
    ],
)
def test_what_votes_amount_to(
    stages: list[Stage], eligible: dict[int, frozenset[str]], votes: dict[int, str], verdict: Verdict
) -> None:
    assert policies.tally(stages, votes=votes, eligible=eligible) == verdict


people = st.dictionaries(st.integers(1, 6), st.sets(st.sampled_from("ab"), min_size=1).map(frozenset), max_size=6)
decisions = st.dictionaries(st.integers(1, 6), st.sampled_from([YES, NO, NEITHER]), max_size=6)


@given(eligible=people, votes=decisions, a=st.integers(0, 3), b=st.integers(0, 3), veto=st.booleans())
def test_approval_takes_as_many_different_people_as_there_are_seats(
    eligible: dict[int, frozenset[str]], votes: dict[int, str], a: int, b: int, veto: bool
) -> None:
    stages = [stage("a", a, veto=veto), stage("b", b)]
    approving = {person for person, decision in votes.items() if decision == YES and person in eligible}
    vetoed = veto and any(votes.get(person) == NO and "a" in roles for person, roles in eligible.items())
    of_a, of_b = ({person for person in approving if role in eligible[person]} for role in "ab")
    enough = bool(approving) and len(of_a) >= a and len(of_b) >= b and len(of_a | of_b) >= a + b
    assert (policies.tally(stages, votes=votes, eligible=eligible) == Verdict.APPROVED) == (enough and not vetoed)


@pytest.mark.parametrize(
    ("levels", "reasons", "risk"),
    [(["low"], [], "low"), (["low", "medium"], [], "medium"), (["high", "low"], [], "high"), (["low"], ["!"], "high")],
)
def test_the_highest_risk_wins(levels: list[str], reasons: list[str], risk: str) -> None:
    assert policies.risk(*levels, reasons=reasons) == risk
