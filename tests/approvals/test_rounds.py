"""Rounds: when they open, when they are answered, when they end by themselves, and what the gate on `accept` says."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from approvals.commands import open_round, propose_policy, withdraw_rounds
from approvals.models import ApprovalPolicy, ApprovalRound
from approvals.queries import askers, changed_since_last, eligible_voters
from releasemgmt.accounts.commands import revoke_role, system
from releasemgmt.releases.commands import create_defect, create_release, link_defect, write_document
from releasemgmt.releases.models import Release
from releasemgmt.workflow import queries as workflow
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Blocked, NotPermitted, WrongState
from tests.approvals.world import World, holds, picture, say


def document(world: World, release: Release, now: datetime, body: str = "New.") -> None:
    write_document(release, kind="impact", body=body, actor=world.author, now=now, void_signoffs=True)


def test_a_round_keeps_what_it_is_about(world: World) -> None:
    release = world.release()
    round = world.round(release)
    assert round.content["version"] == "1.0"
    assert round.policies == [{"key": "low-risk", "version": 2}]
    assert round.stages == [{"role": "release_manager", "count": 1, "veto": False, "step": 1}]
    assert workflow.timeline(release)[0].data["round"] == round.pk


def test_only_release_managers_open_one(world: World, now: datetime) -> None:
    release = world.release()
    before = picture(release)
    for person in (world.author, world.chair, world.someone("service"), World().manager):
        with pytest.raises(NotPermitted):
            open_round(release, actor=person, now=now)
    assert picture(release) == before


def test_none_opens_before_integration_is_tested(world: World, now: datetime) -> None:
    release, _ = create_release(product=world.product, version="1.0", actor=world.author, now=now)
    before = picture(release)
    with pytest.raises(WrongState):
        world.round(release)
    assert picture(release) == before


def test_a_current_round_is_answered(world: World) -> None:
    release = world.release()
    first = world.round(release)
    before = picture(release)
    assert world.round(release).pk == first.pk
    assert picture(release) == before


def test_a_stale_round_gives_way_and_the_next_says_what_changed(world: World, now: datetime) -> None:
    release = world.release()
    first = world.round(release)
    document(world, release, now)
    second = world.round(release)
    first.refresh_from_db()
    assert first.state == "withdrawn" and second.state == "open"
    assert list(changed_since_last(second)) == ["impact"] and changed_since_last(first) == {}


def test_a_rejected_round_gives_way(world: World) -> None:
    release = world.release()
    first = world.round(release)
    for voter in (world.manager, world.signer):
        say(first, voter, "reject")
    second = world.round(release)
    first.refresh_from_db()
    assert (first.state, second.state) == ("rejected", "open")


def test_once_accepted_the_next_round_opens_only_when_the_last_no_longer_holds(world: World, now: datetime) -> None:
    release = world.release()
    first = world.signed(release)
    fire(release, "accept", actor=world.manager, now=now)
    assert world.round(release).pk == first.pk
    revoke_role(world.signer.role_assignments.get(), actor=system())
    second = world.round(release)
    assert second.pk != first.pk and second.state == "open"
    say(second, world.manager)
    assert holds(release)


def test_the_database_itself_allows_one_open_round_of_one_subject(world: World) -> None:
    release, change = world.release(), world.assessed()
    round = world.round(release)
    same = {
        name: getattr(round, name) for name in ("digest", "content", "policies", "stages", "opened_by", "opened_at")
    }
    for subject in ({"release": release}, {"change": change}, {}, {"release": release, "change": change}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ApprovalRound.objects.create(**same, **subject)


@pytest.mark.parametrize(
    ("fields", "risk"),
    [
        ({"type": "major"}, "low"),
        ({"type": "emergency"}, "high"),
        ({"database_change": "reversible"}, "low"),
        ({"database_change": "irreversible"}, "high"),
    ],
)
def test_the_risk_is_computed_when_a_round_opens(world: World, fields: dict[str, str], risk: str) -> None:
    release = world.release(**fields)
    world.round(release)
    assert Release.objects.get(pk=release.pk).risk == risk


def facts_from_above(release: Release) -> list[str]:
    return ["The last deployment failed."]


def broken_facts(release: Release) -> list[str]:
    raise ZeroDivisionError


def test_facts_from_above_make_it_high(world: World, settings: object) -> None:
    settings.RISK_FACTS = [f"{__name__}.facts_from_above"]  # type: ignore[attr-defined]
    release = world.release()
    world.round(release)
    assert Release.objects.get(pk=release.pk).risk == "high"


def test_where_they_fail_no_round_opens(world: World, settings: object) -> None:
    settings.RISK_FACTS = [f"{__name__}.broken_facts"]  # type: ignore[attr-defined]
    release = world.release()
    before = picture(release)
    with pytest.raises(ZeroDivisionError):
        world.round(release)
    assert picture(release) == before


def test_an_open_blocker_makes_it_high_and_the_risk_does_not_fall_again(world: World, now: datetime) -> None:
    release = world.release()
    defect = create_defect(product=world.product, title="Fire", severity="blocker", actor=world.author, now=now)
    link_defect(release, defect=defect, actor=world.author, now=now)
    world.round(release)
    fire(defect, "fix", actor=world.author, now=now)
    document(world, release, now)
    assert {stage["role"] for stage in world.round(release).stages} == {"cab_member", "cab_chair"}


def test_a_newer_version_of_a_policy_counts_for_the_next_round_only(world: World, now: datetime) -> None:
    release = world.release()
    round = world.round(release)
    bootstrap = system()
    chair = [{"role": "cab_chair", "count": 1, "veto": True}]
    propose_policy(key="low-risk", name="Low", conditions={"risk": ["low"]}, stages=chair, actor=bootstrap, now=now)
    assert round.stages[0]["role"] == "release_manager"
    document(world, release, now)
    assert [stage["role"] for stage in world.round(release).stages] == ["cab_chair"]


def test_without_any_policy_two_managers_are_asked(world: World) -> None:
    ApprovalPolicy.objects.all().delete()
    release = world.release()
    round = world.round(release)
    say(round, world.signer)
    assert not holds(release)
    say(round, world.manager)
    assert holds(release)


def test_the_tick_withdraws_rounds_whose_subject_moved_on(world: World, now: datetime) -> None:
    gone, stays = world.release("1.0"), world.release("2.0")
    rounds = [world.round(gone), world.round(stays), world.round(world.assessed())]
    fire(gone, "rework", actor=world.manager, now=now, reason="wrong")
    assert withdraw_rounds(now + timedelta(minutes=1)) == 1
    for round in rounds:
        round.refresh_from_db()
    assert [round.state for round in rounds] == ["withdrawn", "open", "open"]
    assert workflow.timeline(gone)[0].kind == "approvals.round.withdraw"
    assert withdraw_rounds(now + timedelta(minutes=2)) == 0


def test_rework_asks_for_a_sign_off_of_its_own(world: World, now: datetime) -> None:
    release = world.release()
    world.signed(release)
    fire(release, "rework", actor=world.manager, now=now, reason="wrong")
    fire(release, "build", actor=world.manager, now=now)
    fire(release, "pass_integration", actor=world.manager, now=now)
    assert not holds(release)


@pytest.mark.parametrize(
    "case", ["no_sign_off", "sign_off_open", "sign_off_stale", "sign_off_rejected", "sign_off_lost"]
)
def test_accept_is_closed_and_says_why(world: World, now: datetime, case: str) -> None:
    release = world.release()
    world.someone("release_manager")
    if case != "no_sign_off":
        round = world.round(release)
    if case in ("sign_off_stale", "sign_off_lost"):
        say(round, world.signer)
    if case == "sign_off_stale":
        document(world, release, now)
    if case == "sign_off_lost":
        revoke_role(world.signer.role_assignments.get(), actor=system())
    if case == "sign_off_rejected":
        ApprovalRound.objects.filter(pk=round.pk).update(state="rejected", decided_at=now)
    before = picture(release)
    with pytest.raises(Blocked) as refused:
        fire(release, "accept", actor=world.manager, now=now)
    assert [blocker.code for blocker in refused.value.blockers] == [case]
    assert picture(release) == before


def test_a_release_that_is_signed_off_is_accepted(world: World, now: datetime) -> None:
    release = world.release()
    world.signed(release)
    assert fire(release, "accept", actor=world.manager, now=now).state == "accepted"


def test_those_are_told_whose_vote_is_asked_for_and_those_who_wait_for_it(world: World) -> None:
    author_too = world.someone("release_manager")
    release = world.release(requested_by=author_too)
    round = world.round(release)
    opened = workflow.timeline(release).get(kind="approvals.round.open")
    assert set(eligible_voters(opened)) == {world.manager, world.signer}
    say(round, world.signer)
    approved = workflow.timeline(release).get(kind="approvals.round.approve")
    assert set(askers(approved)) == {world.author, author_too, world.manager}
