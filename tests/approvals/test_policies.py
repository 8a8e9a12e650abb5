"""The rules as tables of cases: digests, required people, tallies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals import policies
from approvals.models import ChangeRequest
from approvals.policies import FALLBACK, Ask, Rule, Stage, Verdict
from approvals.shipped import WITH_EMERGENCIES
from releasemgmt.releases.models import Release

RULES = [Rule(policy.get("subject", "any"), policy["conditions"], policy["stages"]) for policy in WITH_EMERGENCIES]

MANAGER, MEMBER, BOTH = frozenset({"manager"}), frozenset({"member"}), frozenset({"manager", "member"})
YES, NO, NEITHER = "approve", "reject", "abstain"


def stage(role: str, count: int = 1, *, veto: bool = False, step: int = 1, either: str = "") -> Stage:
    said: Stage = {"role": role, "count": count, "veto": veto, "step": step}
    return {**said, "either": either} if either else said


def share(role: str, percent: int, *, step: int = 1) -> Stage:
    return {"role": role, "percent": percent, "veto": False, "step": step}


def ask(subject: str, risk: str = "low", *, kind: str = "normal", tiers: tuple[str, ...] = (), team: str = "a") -> Ask:
    return {"subject": subject, "type": kind, "risk": risk, "tiers": list(tiers), "team": team}


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
        ([ask("release", "low")], {"release_manager": 1}),
        ([ask("release", "medium")], {"release_manager": 1, "cab_member": 1}),
        ([ask("change", "high")], {"cab_member": 2, "cab_chair": 1}),
        ([ask("release", "low"), ask("change", "high")], {"release_manager": 1, "cab_member": 2, "cab_chair": 1}),
        ([ask("release", "medium"), ask("change", "high")], {"release_manager": 1, "cab_member": 2, "cab_chair": 1}),
    ],
)
def test_the_shipped_policies_go_by_risk(asks: list[Ask], roles: dict[str, int]) -> None:
    assert {stage["role"]: stage["count"] for stage in policies.stages_for(RULES, asks)} == roles


def test_without_a_policy_two_release_managers_are_asked() -> None:
    releases_only = [Rule("release", {}, [stage("cab_chair")])]
    assert policies.stages_for(releases_only, [ask("change")]) == FALLBACK
    assert policies.stages_for([], [ask("release")]) == FALLBACK
    assert FALLBACK[0]["count"] == 2


def test_a_part_without_a_policy_asks_for_the_two_beside_the_others() -> None:
    low_only = [Rule("any", {"risk": ["low"]}, [stage("cab_chair")])]
    assert policies.stages_for(low_only, [ask("release"), ask("change", "high")]) == [stage("cab_chair"), *FALLBACK]


@pytest.mark.parametrize(
    ("conditions", "asked", "applies"),
    [
        ({}, ask("release"), True),
        ({"risk": []}, ask("release"), True),
        ({"risk": ["high"]}, ask("release"), False),
        ({"type": ["emergency", "normal"]}, ask("change"), True),
        ({"type": ["emergency"]}, ask("change"), False),
        ({"tier": ["production"]}, ask("change", tiers=("test", "production")), True),
        ({"tier": ["production"]}, ask("change", tiers=("test",)), False),
        ({"tier": ["production"]}, ask("change"), False),
        ({"team": ["a"]}, ask("change"), True),
        ({"team": ["b"]}, ask("change"), False),
        ({"team": ["a"], "risk": ["high"]}, ask("change"), False),
    ],
)
def test_a_policy_speaks_where_each_of_its_conditions_fits(
    conditions: dict[str, list[str]], asked: Ask, applies: bool
) -> None:
    assert Rule("any", conditions, [stage("cab_chair")]).applies(asked) is applies


def test_a_pre_approval_is_asked_for_by_its_own_policies_only() -> None:
    assert not Rule("any", {}, [stage("cab_member")]).applies(ask("pre_approval"))
    assert policies.stages_for(RULES, [ask("pre_approval", "", kind="")]) == [stage("cab_chair", veto=True)]


def test_an_emergency_takes_the_chair_or_two_of_the_board() -> None:
    stages = policies.stages_for(RULES, [ask("change", "high", kind="emergency")])
    chair, board = frozenset({"cab_chair"}), frozenset({"board:emergency"})
    people = {1: chair, 2: board, 3: board, 4: board}
    assert policies.tally(stages, votes={1: YES}, eligible=people) == Verdict.APPROVED
    assert policies.tally(stages, votes={2: YES}, eligible=people) == Verdict.OPEN
    assert policies.tally(stages, votes={2: YES, 4: YES}, eligible=people) == Verdict.APPROVED
    assert policies.tally(stages, votes={2: NO, 3: NO}, eligible=people) == Verdict.OPEN
    assert policies.tally(stages, votes={1: NO}, eligible=people) == Verdict.REJECTED
    assert policies.tally(stages, votes={}, eligible={2: board}) == Verdict.UNREACHABLE


def test_of_several_policies_the_higher_count_the_later_step_and_any_veto_win() -> None:
    one = [stage("cab_member", 1), stage("cab_chair", 1, veto=True, step=2)]
    other = [stage("cab_member", 3, step=2), stage("cab_chair", 1)]
    assert policies.union([one, other]) == [stage("cab_member", 3, step=2), stage("cab_chair", 1, veto=True, step=2)]


@pytest.mark.parametrize(
    ("percent", "people", "count"), [(50, 4, 2), (50, 5, 3), (1, 5, 1), (100, 3, 3), (34, 3, 2), (50, 0, 1)]
)
def test_a_share_is_of_those_who_may_vote_rounded_up(percent: int, people: int, count: int) -> None:
    voters = dict.fromkeys(range(people), MEMBER)
    assert policies.needed(share("member", percent), voters) == count


def test_a_share_is_counted_when_its_step_opens_and_stays() -> None:
    stages = [stage("manager"), share("member", 50, step=2)]
    voters = {1: MANAGER, **dict.fromkeys(range(2, 6), MEMBER)}
    fixed = policies.resolve(stages, voters, step=2)
    assert policies.needed(fixed[1], voters | dict.fromkeys(range(6, 20), MEMBER)) == 2
    assert policies.resolve(stages, voters, step=1) == stages


def test_a_step_opens_when_all_before_it_have_agreed() -> None:
    stages = [stage("manager", 2), stage("member", step=2), stage("chair", step=3)]
    chair = frozenset({"chair"})
    people = {1: MANAGER, 2: MANAGER, 3: MEMBER, 4: chair}
    steps = [{}, {1: MANAGER}, {1: MANAGER, 2: MANAGER}, {1: MANAGER, 2: MANAGER, 3: MEMBER}, people]
    assert [policies.open_step(stages, approving, of=people) for approving in steps] == [1, 1, 2, 3, 3]


@pytest.mark.parametrize(
    ("stages", "wrong"),
    [
        ([], "stages"),
        ([{"role": "auditor", "count": 1}], "stages.0"),
        ([{"role": "cab_member", "team": "a", "count": 1}], "stages.0"),
        ([{"count": 1}], "stages.0"),
        ([{"role": "cab_member"}], "stages.0"),
        ([{"role": "cab_member", "count": 1, "percent": 5}], "stages.0"),
        ([{"role": "cab_member", "count": 0}], "stages.0"),
        ([{"role": "cab_member", "percent": 101}], "stages.0"),
        ([{"role": "cab_member", "count": 1}, {"role": "cab_chair", "count": 1, "wish": 1}], "stages.1"),
    ],
)
def test_a_stage_that_makes_no_sense_is_named(stages: list[dict[str, Any]], wrong: str) -> None:
    assert list(policies.policy_errors("any", {}, stages)) == [wrong]


@pytest.mark.parametrize(
    ("conditions", "wrong"),
    [
        ({"risk": ["huge"]}, "conditions.risk"),
        ({"colour": ["red"]}, "conditions.colour"),
        ({"type": "normal"}, "conditions.type"),
        ({"team": ["whichever"]}, None),
    ],
)
def test_a_condition_that_makes_no_sense_is_named(conditions: dict[str, Any], wrong: str | None) -> None:
    assert list(policies.policy_errors("any", conditions, [stage("cab_chair")])) == ([wrong] if wrong else [])


def test_a_condition_under_which_a_policy_could_never_apply_is_named() -> None:
    conditions = {"risk": ["high"], "type": ["major"], "tier": ["production"]}
    assert list(policies.policy_errors("pre_approval", conditions, [stage("cab_chair")])) == [
        "conditions.type",
        "conditions.risk",
    ]


def test_stages_come_one_after_the_other_unless_they_say_otherwise() -> None:
    kept = policies.normalised([{"role": "a", "count": 1}, {"role": "b", "count": 1, "step": 1}, {"role": "c"}])
    assert [stage["step"] for stage in kept] == [1, 1, 3]


def test_a_policy_that_nobody_can_satisfy_is_refused_with_the_arithmetic() -> None:
    stages = [stage("cab_member", 2), stage("cab_chair")]
    both = frozenset({"cab_member", "cab_chair"})
    member = frozenset({"cab_member"})
    assert policies.shortfall(stages, [("Shop", {1: both, 2: both, 3: member})]) == ""
    assert policies.shortfall(stages, [("Shop", {1: both}), ("Bank", {1: both, 2: both, 3: both})]) == ""
    told = policies.shortfall(stages, [("Shop", {1: both, 2: member})])
    assert told.startswith("Nobody could satisfy this in Shop: ") and "3 seats in all" in told


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


class Looked(dict[int, frozenset[str]]):
    """People, and how often somebody was looked at."""

    times = 0

    def __getitem__(self, person: int) -> frozenset[str]:
        self.times += 1
        return super().__getitem__(person)


def test_a_crowd_is_seated_without_looking_at_anybody_again_and_again() -> None:
    crowd = Looked({n: BOTH if n < 300 else MANAGER for n in range(1_000)})
    stages = [stage("manager", 400), stage("member", 400)]
    assert policies.missing(stages, crowd) == {"manager": 0, "member": 100}
    assert crowd.times <= 5 * len(crowd)


@pytest.mark.parametrize(
    ("levels", "reasons", "risk"),
    [(["low"], [], "low"), (["low", "medium"], [], "medium"), (["high", "low"], [], "high"), (["low"], ["!"], "high")],
)
def test_the_highest_risk_wins(levels: list[str], reasons: list[str], risk: str) -> None:
    assert policies.risk(*levels, reasons=reasons) == risk


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([stage("release_manager")], "1 release manager"),
        ([stage("cab_member", 2), stage("cab_chair", veto=True)], "2 CAB members and 1 CAB chair with a veto"),
        ([stage("cab_chair", step=2), stage("release_manager")], "1 release manager, then 1 CAB chair"),
        ([share("cab_member", 50)], "50\u00a0% of the CAB members"),
        ([{**share("cab_member", 50), "count": 2}], "2 or 50\u00a0% of the CAB members, whichever is more"),
        ([{**share("cab_member", 50), "count": 2, "fixed": True}], "2 CAB members"),
        (
            [{"team": "payments", "count": 1}, {"board": "ecab", "count": 2}],
            "1 member of the team payments and 2 members of the board ecab",
        ),
        ([stage("cab_chair", either="e"), stage("deployer", 2, either="e")], "either 1 CAB chair or 2 deployers"),
        (
            [stage("cab_chair", either="e"), stage("deployer", step=2, either="e")],
            "1 CAB chair (or another of “e”), then 1 deployer (or another of “e”)",
        ),
        ([], "nothing"),
    ],
)
def test_stages_are_told_as_a_sentence(stages: list[Stage], said: str) -> None:
    assert policies.asks_for(stages) == said


@pytest.mark.parametrize(
    ("subject", "conditions", "said"),
    [
        ("any", {}, "releases and change requests"),
        ("release", {"risk": ["low", "medium"], "team": []}, "releases of low or medium risk"),
        (
            "change",
            {"tier": ["staging", "production"], "type": ["normal"], "risk": ["high"], "team": ["web"]},
            "change requests of high risk, of type normal, that touch staging or production, of the team web",
        ),
        ("pre_approval", {}, "pre-approvals of models"),
    ],
)
def test_where_a_policy_speaks_is_told_too(subject: str, conditions: dict[str, list[str]], said: str) -> None:
    assert policies.speaks_about(subject, conditions) == said
