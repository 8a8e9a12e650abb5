"""Policies with steps and shares that two people agreed to, conditions, pre-approvals, and what the clock does."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from approvals.commands import (
    assess,
    create_change,
    decide_policy,
    edit_change,
    follow_up,
    meet_condition,
    open_round,
    propose_policy,
    revise,
    submit,
    vote,
    watch_quorums,
)
from approvals.models import ApprovalPolicy, ApprovalRound, Condition
from approvals.queries import current_round, hear_comment, open_conditions, preview, standing, too_late
from releasemgmt.accounts.commands import deactivate, system
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import ReleaseModel
from releasemgmt.releases.commands import edit_release
from releasemgmt.workflow.commands import comment
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted, Stale, WrongState
from releasemgmt.workflow.models import Event
from tests.approvals.world import World, holds, picture, say, state_of
from tests.conftest import NOW
from tests.factories import someone

DAY = timedelta(days=1)


def in_force(*stages: dict[str, Any], key: str = "low-risk", **fields: Any) -> ApprovalPolicy:
    """A policy that counts from now on."""
    return propose_policy(key=key, name=key, stages=stages, actor=system(), now=NOW, **fields)


def fresh(round: ApprovalRound) -> ApprovalRound:
    return ApprovalRound.objects.get(pk=round.pk)


def kinds(subject: Any) -> list[str]:
    events = Event.objects.filter(stream=subject.stream, kind__startswith="approvals.round").order_by("seq")
    return [event.kind.rpartition(".")[2] for event in events]


def test_a_later_step_is_asked_when_the_one_before_agrees(world: World) -> None:
    in_force({"role": "release_manager", "count": 1}, {"role": "cab_chair", "count": 1})
    release = world.release()
    round = world.round(release)
    before = picture(release)
    with pytest.raises(Conflict, match="1 release manager have to agree first") as refused:
        say(round, world.chair)
    assert refused.value.code == "step_not_open"
    assert picture(release) == before
    say(round, world.signer)
    assert (fresh(round).state, fresh(round).step, kinds(release)) == ("open", 2, ["open", "advance"])
    say(round, world.chair)
    assert holds(release)


def test_a_share_is_counted_when_its_step_opens(world: World) -> None:
    in_force({"role": "release_manager", "count": 1}, {"role": "cab_member", "percent": 50})
    round = world.round(world.release())
    assert "count" not in fresh(round).stages[1]
    world.members.append(world.someone("cab_member"))
    say(round, world.signer)
    assert fresh(round).stages[1]["count"] == 2, "half of three"
    for _ in range(6):
        world.someone("cab_member")
    for member in world.members[:2]:
        say(round, member)
    assert fresh(round).state == "approved"


def test_a_team_is_asked(world: World) -> None:
    other = World()
    in_force({"team": other.product.team.key, "count": 1})
    round = world.round(world.release())
    with pytest.raises(NotPermitted):
        say(round, world.chair)
    say(round, other.author)
    assert fresh(round).state == "approved"


def test_lowering_something_keeps_the_higher_quorum_until_a_rework(world: World) -> None:
    in_force({"role": "cab_chair", "count": 1}, key="major", conditions={"type": ["major"]})
    release = world.release(type="major")
    first = world.round(release)
    assert {stage["role"] for stage in first.stages} == {"release_manager", "cab_chair"}
    edit_release(release, changes={"type": "patch"}, actor=world.author, now=NOW)
    second = world.round(release)
    assert second.pk != first.pk
    assert {stage["role"] for stage in second.stages} == {"release_manager", "cab_chair"}


def test_the_same_for_a_change_that_is_revised(world: World) -> None:
    in_force({"role": "cab_chair", "count": 1}, key="production", conditions={"tier": ["production"]})
    change = world.assessed(environments=[world.production])
    assert [stage["role"] for stage in world.round(change).stages] == ["release_manager", "cab_chair"]
    revise(change, actor=world.author, now=NOW, reason="Smaller.")
    edit_change(change, changes={"environments": []}, actor=world.author, now=NOW)
    again = assess(submit(change, actor=world.author, now=NOW), actor=world.manager, now=NOW)
    assert [stage["role"] for stage in world.round(again).stages] == ["release_manager", "cab_chair"]


def administrators() -> tuple[User, User]:
    return someone("administrator"), someone("administrator")


def test_a_policy_counts_once_a_second_person_agrees(world: World) -> None:
    one, other = administrators()
    stages = [{"role": "cab_chair", "count": 1}]
    policy = propose_policy(key="low-risk", name="Low", stages=stages, actor=one, now=NOW)
    assert [stage["role"] for stage in world.round(world.release()).stages] == ["release_manager"]
    before = ApprovalPolicy.objects.values("state", "event_seq").get(pk=policy.pk)
    with pytest.raises(NotPermitted, match="Another person"):
        decide_policy(policy, state="accepted", actor=one, now=NOW)
    with pytest.raises(NotPermitted):
        decide_policy(policy, state="accepted", actor=world.manager, now=NOW)
    assert ApprovalPolicy.objects.values("state", "event_seq").get(pk=policy.pk) == before
    with pytest.raises(Conflict):
        propose_policy(key="low-risk", name="Low", stages=stages, actor=other, now=NOW)
    decide_policy(policy, state="accepted", actor=other, now=NOW)
    assert {stage["role"] for stage in world.round(world.release("2.0")).stages} == {"cab_chair"}
    with pytest.raises(Conflict):
        decide_policy(policy, state="declined", actor=other, now=NOW)


def test_a_retired_policy_asks_for_nothing_and_a_declined_one_never_did(world: World) -> None:
    one, other = administrators()
    for state, expected in (("declined", 1), ("accepted", 2)):
        last = ApprovalPolicy.objects.filter(key="low-risk").latest("version")
        gone = propose_policy(key="low-risk", name="Low", stages=last.stages, retired=True, actor=one, now=NOW)
        decide_policy(gone, state=state, actor=other, now=NOW)
        assert world.round(world.release(state)).stages[0]["count"] == expected, "two managers where nothing matches"


def test_what_nobody_can_satisfy_is_refused_with_the_arithmetic(world: World) -> None:
    one, _ = administrators()
    before = ApprovalPolicy.objects.count()
    with pytest.raises(Invalid, match="3 × CAB chair are asked for and 1 could agree, 2 short") as refused:
        propose_policy(key="low-risk", name="Low", stages=[{"role": "cab_chair", "count": 3}], actor=one, now=NOW)
    assert (refused.value.code, refused.value.audited) == ("unsatisfiable", True)
    assert ApprovalPolicy.objects.count() == before


def test_policies_over_rest(world: World) -> None:
    one, other = administrators()
    clients = []
    for person in (one, other):
        client = APIClient()
        client.force_authenticate(person)
        clients.append(client)
    body = {"key": "web", "name": "Web", "conditions": {"risk": ["low"]}, "stages": [{"role": "cab_chair", "count": 1}]}
    made = clients[0].post("/api/v1/approval-policies/", body)
    assert (made.status_code, made.data["state"], made.data["stages"][0]["step"]) == (201, "proposed", 1)
    release = world.release()
    [touched] = clients[1].get("/api/v1/approval-policies/web/preview/").data
    assert (touched["subject"], len(touched["now"]), len(touched["then"])) == (release.number, 1, 2)
    where = f"/api/v1/approval-policies/{made.data['number']}/"
    assert clients[1].patch(where, {"state": "accepted"}).status_code == 428
    assert clients[0].patch(where, {"state": "accepted"}, headers={"If-Match": made["ETag"]}).status_code == 403
    agreed = clients[1].patch(where, {"state": "accepted"}, headers={"If-Match": made["ETag"]})
    assert (agreed.status_code, agreed.data["state"], agreed.data["decided_by"]) == (200, "accepted", other.username)
    named = clients[0].patch(where, {"name": "Web shop"}, headers={"If-Match": "*"})
    assert (named.data["number"], named.data["state"]) == ("web@2", "proposed")
    assert clients[0].post("/api/v1/approval-policies/", body | {"key": "x", "stages": [{}]}).status_code == 400


def test_a_preview_tells_what_would_be_needed(world: World) -> None:
    release, change = world.release(), world.assessed()
    policy = ApprovalPolicy(key="x", conditions={"risk": ["low"]}, stages=[{"role": "cab_chair", "count": 1}])
    assert [(each.subject, len(each.now), len(each.then)) for each in preview(policy).changed] == [
        (release, 1, 2),
        (change, 1, 2),
    ]
    policy.conditions = {"risk": ["high"]}
    assert preview(policy) == ([], 2, 0)


def test_a_yes_if_becomes_something_to_meet(world: World) -> None:
    change = world.assessed()
    round = world.round(change)
    before = picture(change)
    with pytest.raises(Invalid):
        say(round, world.signer, "reject", conditions=["Tell the shops."])
    with pytest.raises(Invalid):
        say(round, world.signer, conditions=["x" * 501])
    assert picture(change) == before
    say(round, world.signer, conditions=["Tell the shops.", " "])
    assert state_of(change) == "scheduled"
    [asked] = open_conditions(type(change).objects.get(pk=change.pk))
    with pytest.raises(Invalid):
        meet_condition(asked, evidence=" ", actor=world.author, now=NOW)
    with pytest.raises(NotPermitted):
        meet_condition(asked, evidence="Mail", actor=world.chair, now=NOW)
    meet_condition(asked, evidence="Mail of Monday.", actor=world.author, now=NOW)
    assert open_conditions(change) == []
    assert Condition.objects.get().met_by == world.author


def test_high_risk_takes_a_recent_sign_in(world: World) -> None:
    release = world.release(risk="high")
    round = world.round(release)
    before = picture(release)
    with pytest.raises(NotPermitted) as refused:
        say(round, world.members[0], is_fresh=False)
    assert refused.value.code == "step_up_required"
    assert picture(release) == before
    say(round, world.members[0], is_fresh=True)
    say(world.round(world.release("2.0")), world.signer, is_fresh=False)


def test_silence_is_reminded_of_escalated_and_expires_and_never_approves(world: World) -> None:
    release = world.release()
    round = world.round(release)
    assert follow_up(NOW + DAY) == 0
    assert [follow_up(NOW + days * DAY) for days in (1.5, 2, 3, 4, 6, 9)] == [1, 0, 1, 0, 1, 0]
    assert kinds(release) == ["open", "remind", "escalate", "expire"]
    assert fresh(round).state == "expired"
    assert not holds(release)
    with pytest.raises(Conflict):
        say(round, world.signer)
    assert world.round(release).pk != round.pk


def test_a_round_is_due_before_the_work_is_planned(world: World) -> None:
    change = world.assessed(planned_start=NOW + timedelta(hours=4), planned_end=NOW + timedelta(hours=5))
    assert world.round(change).due_at == NOW + timedelta(hours=4)
    assert world.round(world.release()).due_at == NOW + 3 * DAY


def test_a_quorum_out_of_reach_is_told_once(world: World) -> None:
    release = world.release()
    world.round(release)
    assert watch_quorums(NOW) == 0
    for person in (world.signer, world.manager):
        deactivate(person, actor=system(), now=NOW)
    assert [watch_quorums(NOW), watch_quorums(NOW)] == [1, 0]
    assert kinds(release) == ["open", "lose_quorum"]


def test_it_is_said_whether_the_quorum_can_be_reached_in_time(world: World) -> None:
    change = world.assessed(planned_start=NOW + timedelta(hours=1), planned_end=NOW + timedelta(hours=2))
    round = world.round(change)
    stands = standing(round, subject=change)
    assert too_late(stands, changes=[], now=NOW) == ""
    assert "has passed" in too_late(stands, changes=[], now=NOW + timedelta(hours=1))
    deactivate(world.signer, actor=system(), now=NOW)
    deactivate(world.manager, actor=system(), now=NOW)
    assert "Too few people" in too_late(standing(round, subject=change), changes=[], now=NOW)


def test_a_pre_approval_is_a_round_on_the_model(world: World) -> None:
    model = ReleaseModel.objects.get(key="continuous")
    with pytest.raises(NotPermitted):
        open_round(model, actor=world.author, now=NOW)
    round = open_round(model, actor=world.manager, now=NOW)
    assert open_round(model, actor=world.manager, now=NOW) == round
    with pytest.raises(NotPermitted):
        say(round, world.signer)
    with pytest.raises(Stale):
        say(round, world.chair, digest="sha256:" + "0" * 64)
    say(round, world.chair)
    stands = standing(ApprovalRound.objects.get(pk=round.pk), subject=model)
    assert stands.holds
    newer = ReleaseModel.objects.create(key="continuous", version=2, name="Continuous")
    assert current_round(newer) is None


def test_who_asks_for_a_pre_approval_does_not_grant_it(world: World) -> None:
    manager_and_chair = world.someone("release_manager", "cab_chair")
    round = open_round(ReleaseModel.objects.get(key="continuous"), actor=manager_and_chair, now=NOW)
    with pytest.raises(NotPermitted) as refused:
        say(round, manager_and_chair)
    assert refused.value.code == "conflict_of_interest"


def test_a_change_that_moved_on_takes_no_votes(world: World) -> None:
    change = world.assessed()
    round = world.round(change)
    revise(change, actor=world.author, now=NOW, reason="Later.")
    with pytest.raises((Conflict, WrongState)):
        say(round, world.signer)


def test_a_question_reaches_who_asked_for_the_approval(world: World, now: datetime) -> None:
    from_signer = comment(world.round(world.release()).record, body="Is it safe?", actor=world.signer)
    assert heard(from_signer) == {world.author, world.manager}
    answer = comment(ApprovalRound.objects.get().record, body="Yes.", actor=world.author)
    assert heard(answer) == {world.signer, world.manager}
    draft = create_change(product=world.product, title="Draft", actor=world.author, now=now)
    assert heard(comment(draft, body="Hm.", actor=world.signer)) == set()


def heard(event: Event) -> set[User]:
    return set(hear_comment(event)) - {event.actor}


def test_one_vote_names_the_seat_that_it_filled(world: World) -> None:
    both = world.someone("release_manager", "cab_chair")
    round = world.round(world.release())
    cast = vote(round, decision="approve", digest=round.digest, actor=both, now=NOW)
    assert cast.seats == ["release_manager"]
