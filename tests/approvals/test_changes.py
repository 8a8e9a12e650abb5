"""The life of a change request, alone and with a release."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from approvals.commands import assess, cancel, close, edit_change, open_round, revise, submit
from approvals.models import ApprovalRound
from approvals.queries import current_round
from releasemgmt.accounts.commands import system
from releasemgmt.releases.models import Release
from releasemgmt.workflow import queries as workflow
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Blocked, Conflict, Invalid, NotPermitted, WrongState
from tests.approvals.world import World, picture, say, state_of
from tests.factories import EnvironmentFactory, ProductFactory


def codes(refused: Any) -> list[str]:
    return [blocker.code for blocker in refused.value.blockers]


def test_a_change_walks_from_draft_to_closed(world: World, now: datetime) -> None:
    worker = world.someone("deployer")
    change = world.change(implementer=worker)
    submit(change, actor=world.author, now=now)
    change = assess(change, actor=world.manager, now=now)
    assert change.state == "authorization"
    say(world.round(change), world.signer)
    assert state_of(change) == "scheduled"
    authorized = workflow.timeline(change)[0]
    assert (authorized.kind, authorized.actor) == ("approvals.changerequest.authorize", system())
    assert authorized.on_behalf_of == world.signer
    fire(change, "implement", actor=worker, now=now)
    fire(change, "finish", actor=worker, now=now, outcome="successful")
    assert close(change, actor=world.manager, now=now).state == "closed"
    assert list(workflow.breaks()) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", " "),
        ("planned_end", datetime.fromisoformat("2020-01-01T00:00:00+00:00")),
        ("outage_minutes", 5),
        ("components", "foreign"),
        ("environments", "foreign"),
        ("releases", "foreign"),
    ],
)
def test_values_that_make_no_sense_are_refused(world: World, now: datetime, field: str, value: Any) -> None:
    foreign: dict[str, Any] = {
        "components": lambda: list(ProductFactory().components.all()),
        "environments": lambda: [EnvironmentFactory(key="moon", tier="production")],
        "releases": lambda: [World().release()],
    }
    value = foreign[field]() if value == "foreign" else value
    change = world.change()
    before = picture(change)
    with pytest.raises(Invalid) as refused:
        edit_change(change, changes={field: value}, actor=world.author, now=now)
    assert list(refused.value.errors) == [field]
    assert picture(change) == before
    with pytest.raises(Invalid):
        world.change(**{field: value})


@pytest.mark.parametrize(
    "missing", ["implementation_plan", "test_plan", "backout_plan", "planned_start", "planned_end"]
)
def test_a_change_that_is_not_planned_is_not_submitted(world: World, now: datetime, missing: str) -> None:
    change = world.change(**{missing: None if missing.startswith("planned") else " "})
    before = picture(change)
    with pytest.raises(Blocked) as refused:
        submit(change, actor=world.author, now=now)
    assert codes(refused) == ["interval_missing" if missing.startswith("planned") else "plan_missing"]
    assert picture(change) == before


@pytest.mark.parametrize("transition", ["submit", "revise", "cancel"])
def test_what_the_requester_does_another_contributor_does_not(world: World, now: datetime, transition: str) -> None:
    change = world.change()
    if transition == "revise":
        change = submit(change, actor=world.author, now=now)
    fields: Any = {} if transition == "submit" else {"reason": "So."}
    before = picture(change)
    with pytest.raises(NotPermitted):
        fire(change, transition, actor=world.someone("contributor"), now=now, **fields)
    assert picture(change) == before
    fire(change, transition, actor=world.author, now=now, **fields)


@pytest.mark.parametrize("transition", ["authorize", "reject"])
def test_nobody_authorises_or_rejects_by_hand(world: World, now: datetime, transition: str) -> None:
    change = world.assessed()
    before = picture(change)
    for person in (world.manager, world.chair, world.author, world.someone("administrator", is_superuser=True)):
        with pytest.raises(NotPermitted):
            fire(change, transition, actor=person, now=now)
    assert picture(change) == before


def test_a_rejection_sends_it_back_to_draft(world: World) -> None:
    change = world.assessed()
    round = world.round(change)
    say(round, world.signer, "abstain")
    say(round, world.manager, "reject")
    assert state_of(change) == "draft"
    round.refresh_from_db()
    assert round.state == "rejected"


@pytest.mark.parametrize("leave", [revise, cancel])
def test_revising_or_cancelling_withdraws_the_round(world: World, now: datetime, leave: Any) -> None:
    for change in (world.assessed(), world.assessed()):
        if change.pk % 2:
            world.signed(change)
        leave(change, actor=world.author, now=now, reason="Changed my mind.")
        round = current_round(change)
        assert round is not None and round.state == "withdrawn"
        with pytest.raises(Conflict):
            say(round, world.signer)


def test_assessing_twice_asks_once(world: World, now: datetime) -> None:
    change = world.assessed()
    before = picture(change)
    assert assess(change, actor=world.manager, now=now).state == "authorization"
    assert picture(change) == before


def test_an_outage_in_production_makes_the_risk_high(world: World) -> None:
    change = world.assessed(outage_expected=True, outage_minutes=5, environments=[world.production])
    assert change.risk == "high"
    assert {stage["role"] for stage in world.round(change).stages} == {"cab_member", "cab_chair"}


def test_an_outage_elsewhere_does_not(world: World) -> None:
    staging = world.product.environments.get(key="staging")
    assert world.assessed(outage_expected=True, environments=[staging]).risk == "low"


@pytest.mark.parametrize("hours", [-2, 1])
def test_work_begins_inside_the_approved_interval_only(world: World, now: datetime, hours: int) -> None:
    worker = world.someone("deployer")
    change = world.assessed(implementer=worker)
    world.signed(change)
    before = picture(change)
    with pytest.raises(Blocked) as refused:
        fire(change, "implement", actor=worker, now=now + timedelta(hours=hours))
    assert codes(refused) == ["outside_approved_interval"]
    assert picture(change) == before


def test_work_does_not_begin_on_what_was_edited_after_its_approval(world: World, now: datetime) -> None:
    worker = world.someone("deployer")
    change = world.assessed(implementer=worker)
    world.signed(change)
    edit_change(change, changes={"backout_plan": "None."}, actor=world.author, now=now, void_signoffs=True)
    before = picture(change)
    with pytest.raises(Blocked) as refused:
        fire(change, "implement", actor=worker, now=now)
    assert codes(refused) == ["not_approved"]
    assert picture(change) == before


def test_an_outcome_is_one_of_three(world: World, now: datetime) -> None:
    worker = world.someone("deployer")
    change = world.assessed(implementer=worker)
    world.signed(change)
    fire(change, "implement", actor=worker, now=now)
    before = picture(change)
    with pytest.raises(Invalid):
        fire(change, "finish", actor=worker, now=now, outcome="great")
    assert picture(change) == before


def test_after_trouble_a_review_is_asked_for(world: World, now: datetime) -> None:
    worker = world.someone("deployer")
    change = world.assessed(implementer=worker)
    world.signed(change)
    fire(change, "implement", actor=worker, now=now)
    fire(change, "finish", actor=worker, now=now, outcome="unsuccessful")
    before = picture(change)
    with pytest.raises(Blocked) as refused:
        close(change, actor=world.manager, now=now)
    assert codes(refused) == ["review_missing"] and picture(change) == before
    with pytest.raises(NotPermitted):
        close(change, actor=worker, now=now, review="The disk was full.")
    assert picture(change) == before
    assert close(change, actor=world.manager, now=now, review="The disk was full.").review == "The disk was full."


def test_what_is_carried_out_is_not_edited(world: World, now: datetime) -> None:
    worker = world.someone("deployer")
    change = world.assessed(implementer=worker)
    world.signed(change)
    fire(change, "implement", actor=worker, now=now)
    before = picture(change)
    with pytest.raises(WrongState):
        edit_change(change, changes={"title": "Other"}, actor=world.author, now=now)
    assert picture(change) == before


def test_once_submitted_another_contributor_does_not_edit_it(world: World, now: datetime) -> None:
    colleague = world.someone("contributor")
    change = world.change()
    change = edit_change(change, changes={"impact": "Small."}, actor=colleague, now=now)
    change = submit(change, actor=world.author, now=now)
    before = picture(change)
    with pytest.raises(NotPermitted):
        edit_change(change, changes={"impact": "None."}, actor=colleague, now=now)
    assert picture(change) == before


# --- with a release ---------------------------------------------------------------------------------------------------


def test_a_riding_change_is_authorised_by_its_releases_round(world: World) -> None:
    release = world.release()
    first, second = world.assessed(releases=[release]), world.assessed(releases=[release])
    assert not ApprovalRound.objects.exists()
    world.signed(release)
    assert [state_of(change) for change in (first, second)] == ["scheduled", "scheduled"]
    assert workflow.timeline(first)[0].on_behalf_of == world.signer


def test_a_riding_change_is_rejected_by_its_releases_round(world: World) -> None:
    release = world.release()
    change = world.assessed(releases=[release])
    round = world.round(release)
    say(round, world.manager, "reject")
    say(round, world.signer, "reject")
    assert (state_of(change), state_of(release)) == ("draft", "integration_tested")


def test_the_releases_round_asks_for_what_both_need(world: World) -> None:
    release = world.release()
    world.assessed(releases=[release], risk="medium")
    round = world.round(release)
    assert {stage["role"] for stage in round.stages} == {"release_manager", "cab_member"}
    assert Release.objects.get(pk=release.pk).risk == "medium"


@pytest.mark.parametrize("state", ["draft", "assessment", "cancelled"])
def test_the_releases_round_waits_for_its_changes(world: World, now: datetime, state: str) -> None:
    release = world.release()
    change = world.change(releases=[release])
    if state == "assessment":
        submit(change, actor=world.author, now=now)
    if state == "cancelled":
        cancel(change, actor=world.author, now=now, reason="No.")
    before = picture(release, change)
    with pytest.raises(Blocked) as refused:
        world.round(release)
    assert codes(refused) == ["change_not_ready"]
    assert picture(release, change) == before


def test_a_change_that_comes_back_to_a_signed_release_is_authorised_at_once(world: World, now: datetime) -> None:
    release = world.release()
    change = world.assessed(releases=[release])
    world.signed(release)
    revise(change, actor=world.author, now=now, reason="A typo in the title.")
    edit_change(change, changes={"title": "Largest disk"}, actor=world.author, now=now)
    submit(change, actor=world.author, now=now)
    assert assess(change, actor=world.manager, now=now).state == "scheduled"


def test_a_change_that_rides_has_no_round_of_its_own(world: World, now: datetime) -> None:
    change, release = world.assessed(), world.release()
    own = world.round(change)
    edit_change(change, changes={"releases": [release]}, actor=world.author, now=now)
    own.refresh_from_db()
    assert own.state == "withdrawn"
    before = picture(change, release)
    with pytest.raises(Conflict) as refused:
        open_round(change, actor=world.manager, now=now)
    assert refused.value.code == "rides_with_release"
    assert picture(change, release) == before
    edit_change(change, changes={"releases": []}, actor=world.author, now=now)
    assert open_round(change, actor=world.manager, now=now).state == "open"


def test_accepting_waits_for_the_changes(world: World, now: datetime) -> None:
    release = world.release()
    change = world.assessed(releases=[release])
    world.signed(release)
    revise(change, actor=world.author, now=now, reason="Wait.")
    before = picture(release, change)
    with pytest.raises(Blocked) as refused:
        fire(release, "accept", actor=world.manager, now=now)
    assert codes(refused) == ["change_not_authorised"]
    assert picture(release, change) == before


@pytest.mark.parametrize("move", ["join", "leave"])
def test_nothing_joins_or_leaves_a_release_that_is_out(world: World, now: datetime, move: str) -> None:
    release = world.release()
    change = world.assessed(releases=[release] if move == "leave" else [])
    world.signed(release)
    fire(release, "accept", actor=world.manager, now=now)
    fire(release, "deploy", actor=system(), now=now)
    before = picture(release, change)
    with pytest.raises(Conflict) as refused:
        releases = [] if move == "leave" else [release]
        edit_change(change, changes={"releases": releases}, actor=world.author, now=now, void_signoffs=True)
    assert refused.value.code == "not_in_flight"
    assert picture(release, change) == before
