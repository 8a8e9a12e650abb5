"""Emergencies, changes that are told afterwards, and what each type asks for on its way."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from approvals.commands import (
    cancel,
    close,
    edit_change,
    finish,
    implement,
    open_round,
    record_change,
    revise,
    submit,
    watch_retrospectives,
)
from approvals.models import ApprovalRound, ChangeRequest
from approvals.queries import current_round, standing, too_late
from releasemgmt.accounts.commands import system
from releasemgmt.workflow import fsm
from releasemgmt.workflow import queries as workflow
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Blocked, Conflict, NotPermitted, WrongState
from releasemgmt.workflow.models import Event
from tests.approvals.world import World, picture, say, state_of
from tests.conftest import NOW

HOUR, DUE = timedelta(hours=1), timedelta(hours=48)


def codes(refused: Any) -> list[str]:
    return [blocker.code for blocker in refused.value.blockers]


def again(change: ChangeRequest) -> ChangeRequest:
    return ChangeRequest.objects.get(pk=change.pk)


def implemented(world: World, **fields: Any) -> ChangeRequest:
    """An emergency that the chair agreed to and that was carried out."""
    change = submit(world.emergency(implementer=world.someone("deployer"), **fields), actor=world.author, now=NOW)
    say(world.round(change), world.chair)
    assert change.implementer is not None
    implement(change, actor=change.implementer, now=NOW)
    return finish(change, actor=change.implementer, now=NOW, outcome="successful")


def look_back(world: World, change: ChangeRequest) -> ApprovalRound:
    """Everybody who is asked approves the retrospective."""
    change = again(change)
    round = world.round(change)
    for person in (*world.members, world.chair) if change.risk == "high" else (world.signer,):
        say(round, person)
    return ApprovalRound.objects.get(pk=round.pk)


def test_what_looks_back_is_never_too_late(world: World) -> None:
    change = again(implemented(world))
    assert change.planned_start is not None and change.planned_start < NOW
    assert too_late(standing(world.round(change), subject=change), changes=[], now=NOW) == ""


# --- emergencies ------------------------------------------------------------------------------------------------------


def test_an_emergency_walks_from_draft_to_closed(world: World, now: datetime) -> None:
    worker = world.someone("deployer")
    change = submit(world.emergency(implementer=worker), actor=world.author, now=now)
    assert (change.state, change.risk, change.retrospective_due_at) == ("authorization", "high", None)
    assert [event.kind for event in workflow.timeline(change)][:2] == [
        "approvals.round.open",
        "approvals.changerequest.submit",
    ]
    say(world.round(change), world.chair)
    change = implement(change, actor=worker, now=now)
    assert change.retrospective_due_at == now + DUE
    change = finish(change, actor=worker, now=now + HOUR, outcome="successful")
    round = world.round(change)
    assert (change.state, round.retrospective, round.state) == ("review", True, "open")
    assert {stage["role"] for stage in round.stages} == {"cab_member", "cab_chair"}
    assert look_back(world, change).state == "approved"
    assert state_of(change) == "review"
    assert close(change, actor=world.manager, now=now, review="A disk was full.").state == "closed"
    assert list(workflow.breaks()) == []


@pytest.mark.parametrize("missing", ["incident_reference", "impact", "backout_plan"])
def test_an_emergency_says_what_happened_and_how_to_go_back(world: World, now: datetime, missing: str) -> None:
    change = world.emergency(**{missing: ""})
    before = picture(change)
    with pytest.raises(Blocked) as refused:
        submit(change, actor=world.author, now=now)
    assert codes(refused) == ["incident_missing" if missing == "incident_reference" else "plan_missing"]
    assert picture(change) == before


def test_an_emergency_needs_neither_plans_nor_an_interval(world: World, now: datetime) -> None:
    worker = world.someone("deployer")
    nothing = {"implementation_plan": "", "test_plan": "", "planned_start": None, "planned_end": None}
    change = submit(world.emergency(implementer=worker, **nothing), actor=world.author, now=now)
    say(world.round(change), world.chair)
    assert implement(change, actor=worker, now=now + 100 * HOUR).state == "implementation"


def test_an_emergency_that_names_an_interval_keeps_it(world: World, now: datetime) -> None:
    worker = world.someone("deployer")
    change = submit(world.emergency(implementer=worker), actor=world.author, now=now)
    say(world.round(change), world.chair)
    before = picture(change)
    with pytest.raises(Blocked) as refused:
        implement(change, actor=worker, now=now + HOUR)
    assert codes(refused) == ["outside_approved_interval"]
    assert picture(change) == before


def test_the_requester_of_an_emergency_does_not_decide_it(world: World, now: datetime) -> None:
    change = submit(world.emergency(requested_by=world.chair), actor=world.chair, now=now)
    before = picture(change)
    with pytest.raises(NotPermitted) as refused:
        say(world.round(change), world.chair)
    assert refused.value.code == "conflict_of_interest"
    assert picture(change) == before


def test_an_emergency_rides_with_a_release(world: World, now: datetime) -> None:
    release = world.release(type="emergency")
    change = submit(world.emergency(releases=[release]), actor=world.author, now=now)
    assert change.state == "authorization" and not ApprovalRound.objects.exists()
    say(world.round(release), world.chair)
    assert state_of(change) == "scheduled"


def test_submitting_an_emergency_twice_asks_once(world: World, now: datetime) -> None:
    change = submit(world.emergency(), actor=world.author, now=now)
    before = picture(change)
    assert submit(change, actor=world.author, now=now).state == "authorization"
    assert picture(change) == before


def test_where_submitting_leads_is_said_before(world: World, now: datetime) -> None:
    targets = {}
    for kind in ("normal", "emergency", "standard"):
        change = world.change(type=kind)
        targets[kind] = next(
            option.target
            for option in workflow.options(change, actor=world.author, now=now)
            if option.transition.name == "submit"
        )
    assert targets == {"normal": "assessment", "emergency": "authorization", "standard": "scheduled"}


@pytest.mark.parametrize("leave", [revise, cancel])
def test_leaving_withdraws_the_round_of_an_emergency(world: World, now: datetime, leave: Any) -> None:
    change = submit(world.emergency(), actor=world.author, now=now)
    leave(change, actor=world.author, now=now, reason="It was nothing.")
    assert ApprovalRound.objects.get().state == "withdrawn"


def test_what_was_handed_in_stays_of_its_type(world: World, now: datetime) -> None:
    change = world.assessed()
    before = picture(change)
    with pytest.raises(Conflict) as refused:
        edit_change(change, changes={"type": "emergency"}, actor=world.author, now=now, void_signoffs=True)
    assert refused.value.code == "way_fixed" and picture(change) == before
    change = revise(change, actor=world.author, now=now, reason="It burns.")
    assert edit_change(change, changes={"type": "emergency"}, actor=world.author, now=now).type == "emergency"


# --- told afterwards --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["normal", "standard"])
def test_what_nobody_authorised_is_recorded_as_such(world: World, now: datetime, kind: str) -> None:
    change = record_change(world.change(type=kind), actor=world.manager, now=now, outcome="successful")
    assert (change.state, change.unauthorised, change.outcome) == ("review", True, "successful")
    assert change.retrospective_due_at == now + DUE
    round = world.round(change)
    assert (round.retrospective, round.state, round.due_at) == (True, "open", now + DUE)


def test_an_emergency_that_was_acted_on_first_is_no_offence(world: World, now: datetime) -> None:
    change = record_change(world.emergency(), actor=system(), on_behalf_of=world.author, now=now)
    assert (change.state, change.unauthorised, change.outcome) == ("review", False, "")
    assert world.round(change).retrospective


def test_it_is_an_emergency_by_its_incident(world: World, now: datetime) -> None:
    change = world.emergency(incident_reference="")
    before = picture(change)
    with pytest.raises(Blocked) as refused:
        record_change(change, actor=world.manager, now=now)
    assert codes(refused) == ["incident_missing"] and picture(change) == before


@pytest.mark.parametrize("role", ["contributor", "deployer", "cab_chair", "auditor", "administrator", "service"])
def test_others_do_not_record(world: World, now: datetime, role: str) -> None:
    change = world.change()
    before = picture(change)
    with pytest.raises(NotPermitted):
        record_change(change, actor=world.someone(role), now=now)
    with pytest.raises(NotPermitted):
        record_change(change, actor=world.author, now=now)
    assert picture(change) == before


def test_recording_twice_asks_once(world: World, now: datetime) -> None:
    change = record_change(world.change(), actor=world.manager, now=now)
    before = picture(change)
    assert record_change(change, actor=world.manager, now=now).state == "review"
    assert picture(change) == before


# --- the retrospective ------------------------------------------------------------------------------------------------


def test_it_closes_with_review_and_retrospective_only(world: World, now: datetime) -> None:
    change = implemented(world)
    before = picture(change)
    with pytest.raises(Blocked) as refused:
        close(change, actor=world.manager, now=now)
    assert codes(refused) == ["review_missing", "retrospective_open"]
    assert picture(change) == before
    look_back(world, change)
    with pytest.raises(Blocked) as refused:
        close(change, actor=world.manager, now=now)
    assert codes(refused) == ["review_missing"]
    assert close(change, actor=world.manager, now=now, review="Never again.").state == "closed"


def test_after_a_rejected_retrospective_the_record_is_completed_and_asked_about_again(
    world: World, now: datetime
) -> None:
    change = implemented(world)
    say(world.round(change), world.chair, "reject")
    assert state_of(change) == "review"
    with pytest.raises(Blocked):
        close(change, actor=world.manager, now=now, review="Fine.")
    edit_change(change, changes={"implementation_plan": "What we did."}, actor=world.manager, now=now)
    assert open_round(change, actor=world.manager, now=now).retrospective
    look_back(world, change)
    assert close(change, actor=world.manager, now=now, review="Fine.").state == "closed"


def test_completing_the_record_voids_what_was_said_about_it(world: World, now: datetime) -> None:
    change = implemented(world)
    look_back(world, change)
    before = picture(change)
    with pytest.raises(Conflict) as refused:
        edit_change(change, changes={"backout_plan": "None."}, actor=world.manager, now=now)
    assert refused.value.code == "voids_signoffs" and picture(change) == before
    edit_change(change, changes={"backout_plan": "None."}, actor=world.manager, now=now, void_signoffs=True)
    with pytest.raises(Blocked) as blocked:
        close(change, actor=world.manager, now=now, review="Fine.")
    assert codes(blocked) == ["retrospective_open"]


def test_the_record_of_an_ordinary_change_is_not_completed_later(world: World, now: datetime) -> None:
    worker = world.someone("deployer")
    change = world.assessed(implementer=worker)
    world.signed(change)
    implement(change, actor=worker, now=now)
    change = finish(change, actor=worker, now=now, outcome="successful")
    before = picture(change)
    with pytest.raises(WrongState):
        edit_change(change, changes={"impact": "Small."}, actor=world.manager, now=now)
    with pytest.raises(WrongState):
        open_round(change, actor=world.manager, now=now)
    assert picture(change) == before and current_round(change) is None


@pytest.mark.parametrize(("late", "is_blocked"), [(-timedelta(seconds=1), False), (timedelta(0), True)])
def test_an_overdue_retrospective_blocks_the_next_normal_release(
    world: World, now: datetime, late: timedelta, is_blocked: bool
) -> None:
    change = implemented(world)
    release, fix = world.release(), world.release("1.1", type="emergency")
    world.signed(release)
    say(world.round(fix), world.chair)
    at = now + DUE + late
    before = picture(release)
    if is_blocked:
        with pytest.raises(Blocked) as refused:
            fire(release, "accept", actor=world.manager, now=at)
        assert codes(refused) == ["retrospective_overdue"] and change.number in str(refused.value)
        assert picture(release) == before
        assert fire(fix, "accept", actor=world.manager, now=at).state == "accepted"
        look_back(world, change)
    assert fire(release, "accept", actor=world.manager, now=at).state == "accepted"


def test_another_products_release_does_not_wait_for_it(world: World, now: datetime) -> None:
    implemented(world)
    other = World()
    release = other.release()
    other.signed(release)
    assert fire(release, "accept", actor=other.manager, now=now + 2 * DUE).state == "accepted"


def test_that_it_is_overdue_is_said_once(world: World, now: datetime) -> None:
    change, fine = implemented(world), implemented(world)
    look_back(world, fine)
    assert watch_retrospectives(now + DUE - HOUR) == 0
    assert [watch_retrospectives(now + DUE), watch_retrospectives(now + DUE + HOUR)] == [1, 0]
    told = Event.objects.filter(kind="approvals.changerequest.miss_retrospective")
    assert [event.stream for event in told] == [change.stream]
    assert list(workflow.breaks()) == []


# --- every arrow ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["normal", "standard", "emergency"])
def test_no_transition_leaves_a_state_that_it_does_not_leave(world: World, now: datetime, kind: str) -> None:
    """From the states in which a change of each type begins and ends every other transition is refused plainly."""
    draft = world.emergency() if kind == "emergency" else world.change(type=kind)
    closed = record_change(
        world.emergency() if kind == "emergency" else world.change(type=kind), actor=world.manager, now=now
    )
    look_back(world, closed)
    closed = close(closed, actor=world.manager, now=now, review="Done.")
    names = {arrow.name for arrow in fsm.catalogue(ChangeRequest)}
    for change in (draft, closed):
        before = picture(change)
        for name in sorted(names - {arrow.name for arrow in fsm.leaving(change)} - {change.entered_by}):
            with pytest.raises(WrongState):
                fire(change, name, actor=system(), now=now)
        assert picture(change) == before
