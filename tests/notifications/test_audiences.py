"""Who hears of what in the domain, in which words, and which page it leads to: every line of NOTIFICATION_AUDIENCES."""

from __future__ import annotations

import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as installed
from django.urls import reverse

from approvals import commands as approvals
from deployments import commands as deployments
from deployments.commands import TaskDraft
from releasemgmt.accounts.commands import deactivate, grant_role, map_group, system
from releasemgmt.accounts.models import User
from releasemgmt.notifications import fanout
from releasemgmt.notifications.models import Delivery
from releasemgmt.workflow.commands import comment
from tests.approvals.boards import ask, weekly
from tests.approvals.test_change_types import implemented
from tests.approvals.world import World, say
from tests.conftest import NOW
from tests.deployments.conftest import shop as shop
from tests.deployments.world import HOUR, Shop, at, task
from tests.factories import someone

pytestmark = pytest.mark.django_db
AUDIENCES = copy.copy(installed.NOTIFICATION_AUDIENCES)


@pytest.fixture(autouse=True)
def audiences(settings: Any) -> None:
    """Those of the installation, instead of the tests' own."""
    settings.NOTIFICATION_AUDIENCES = AUDIENCES


@pytest.fixture
def world(settings: Any) -> World:
    """Nothing is in the way of a round but its votes."""
    settings.WORKFLOW_GATES, settings.RISK_FACTS = {}, []
    return World()


def heard(kind: str) -> list[Delivery]:
    """What people find in their inboxes of the last event of a kind; the words are whole."""
    fanout.drain(now=NOW)
    entries = Delivery.objects.filter(channel="inbox", event__kind=kind).order_by("-event_id", "recipient_id")
    last = [entry for entry in entries if entry.event_id == entries[0].event_id]
    for entry in last:
        text = f"{entry.subject} {entry.body}"
        assert entry.subject
        assert entry.body
        assert not any(flaw in text for flaw in ("None", "&", "{", "autoescape"))
    return last


def people(entries: list[Delivery]) -> set[User]:
    return {entry.recipient for entry in entries}


def test_a_round_asks_those_who_may_vote_and_leads_to_the_dossier(world: World) -> None:
    round = world.round(world.release())
    entries = heard("approvals.round.open")
    assert people(entries) == {world.signer}, "not the manager who opened it, nor who has no vote in it"
    assert entries[0].subject == f"{round.subject} waits for your vote"
    assert entries[0].url == reverse("admin:approvals_approvalround_change", args=[round.pk])


def test_the_outcome_of_a_round_reaches_who_asked_for_it(world: World) -> None:
    world.signed(world.release())
    entries = heard("approvals.round.approve")
    assert people(entries) == {world.author, world.manager}
    assert "is approved" in entries[0].subject
    round = world.round(world.release("2.0"))
    say(round, world.manager, "reject")
    say(round, world.signer, "reject")
    entries = heard("approvals.round.reject")
    assert people(entries) == {world.author, world.manager}
    assert "Because." in entries[0].body


def test_a_plan_that_starts_by_itself_calls_those_whose_tasks_begin(shop: Shop) -> None:
    plan = shop.scheduled(shop.release("1.0"), autostart=True)
    deployments.start_due_plans(plan.planned_start)
    entries = heard("deployments.deploymentplan.start")
    assert people(entries) == {shop.deployer}
    assert str(plan) in entries[0].subject
    assert entries[0].url == reverse("admin:deployments_deploymentplan_change", args=[plan.pk])


def test_a_due_plan_that_waits_calls_the_deployers_once(shop: Shop) -> None:
    plan = shop.scheduled(shop.release("1.0"), autostart=False)
    for minute in range(3):
        deployments.start_due_plans(plan.planned_start + timedelta(minutes=minute))
    assert people(heard("deployments.deploymentplan.hold_up")) == {shop.deployer}
    assert Delivery.objects.inbox_of(shop.deployer).count() == 1


def test_a_missed_plan_is_told_to_who_planned_it(shop: Shop) -> None:
    plan = shop.scheduled(shop.release("1.0"), autostart=True)
    deployments.start_due_plans(plan.latest_start + HOUR)
    entries = heard("deployments.deploymentplan.miss")
    assert people(entries) == {shop.manager}
    assert "was missed" in entries[0].subject


def test_what_really_runs_is_told_to_the_deployers_if_it_is_not_what_was_deployed(shop: Shop) -> None:
    seen = {"api": f"sha256:{'a' * 64}"}
    deployments.observe(shop.product, shop.production, digests=seen, observed_at=NOW, actor=shop.ci, now=NOW)
    entries = heard("deployments.drift.find")
    assert people(entries) == {shop.deployer}
    assert "something else runs in production" in entries[0].subject
    assert entries[0].url == reverse("admin:deployments_deployment_matrix")


def test_what_does_not_hold_of_a_preparation_is_told_to_those_who_wait_for_the_plan(shop: Shop) -> None:
    deployments.ask_for(shop.product, tier="production", items=[("artifacts", "")], actor=someone("administrator"))
    plan = shop.plan(shop.release("1.0"))
    strange = dict.fromkeys(("api", "web"), f"sha256:{'a' * 64}")
    said: dict[str, Any] = {"kind": "artifacts", "digests": strange, "evidence": "As the registry says."}
    deployments.verify(plan, **said, actor=shop.ci, now=NOW)
    entries = heard("deployments.preparation.refute")
    assert people(entries) == {shop.manager}
    assert entries[0].subject == f"{plan}: “Artifacts verified” does not hold"
    assert "of web another digest was found" in entries[0].body


def test_an_incident_and_its_end_are_told_to_those_who_can_do_something(shop: Shop) -> None:
    facts: dict[str, Any] = {"environment": shop.production, "title": "No checkout", "kind": "down", "started_at": NOW}
    incident = deployments.report_incident(product=shop.product, **facts, actor=shop.ci, now=NOW)
    entries = heard("deployments.incident.create")
    assert people(entries) == {shop.deployer, shop.manager}
    assert entries[0].subject == f"{incident}: Shop is down in Production"
    assert entries[0].url == reverse("admin:deployments_incident_change", args=[incident.pk])
    deployments.correct_incident(incident, changes={"restored_at": NOW}, actor=shop.deployer, now=NOW)
    entries = heard("deployments.incident.restore")
    assert people(entries) == {shop.manager}
    assert "is restored" in entries[0].subject


@pytest.mark.parametrize("kind", ["deployments.task.done", "deployments.task.skip"])
def test_a_task_that_is_behind_calls_those_who_waited_for_it(shop: Shop, kind: str) -> None:
    plan = shop.started(shop.release("1.0"))
    first = task(plan, "Swap the image")
    if kind.endswith("done"):
        deployments.finish_task(first, actor=shop.ci, now=at(61))
    else:
        deployments.skip_task(first, reason="Nothing to do", actor=shop.ci, now=at(61))
    assert people(heard(kind)) == {shop.deployer}


def test_a_failed_task_waits_for_a_decision_and_the_failed_plan_is_told(shop: Shop) -> None:
    plan = shop.started(shop.release("1.0"))
    deployments.fail_task(task(plan, "Swap the image"), reason="Disk full", actor=shop.ci, now=at(61))
    entries = heard("deployments.task.fail")
    assert people(entries) == {shop.deployer}
    assert "Disk full" in entries[0].body
    deployments.fail(plan, actor=shop.deployer, now=at(62), reason="Tomorrow again")
    assert people(heard("deployments.deploymentplan.fail")) == {shop.manager}


def test_a_rollback_is_told_to_planners_deployers_and_those_whose_tasks_begin(shop: Shop) -> None:
    helper = someone("contributor", team=shop.product.team)
    plan = shop.started(shop.release("1.0"), backout_tasks=[TaskDraft("Back", assignee=helper)])
    deployments.back_out(plan, actor=shop.ci, now=at(61), reason="It smokes.")
    entries = heard("deployments.deploymentplan.back_out")
    assert people(entries) == {shop.manager, shop.deployer, helper}
    assert "It smokes." in entries[0].body
    deployments.finish_task(task(plan, "Back"), actor=helper, now=at(62))
    deployments.finish_plans(at(63))
    assert people(heard("deployments.deploymentplan.roll_back")) == {shop.manager}


def test_who_gets_a_task_is_told_with_the_note(shop: Shop) -> None:
    plan = shop.started(shop.release("1.0"))
    deployments.hand_over_task(
        task(plan, "Swap the image"), to=shop.author, note="Mind the disk.", actor=shop.deployer, now=at(61)
    )
    entries = heard("deployments.task.hand_over")
    assert people(entries) == {shop.author}
    assert "Mind the disk." in entries[0].body


def test_success_is_told_to_who_planned_it(shop: Shop) -> None:
    shop.deployed(shop.release("1.0"))
    assert people(heard("deployments.deploymentplan.succeed")) == {shop.manager}


def test_a_closed_agenda_is_told_to_who_sits_on_the_board_and_so_is_a_meeting_that_is_off(world: World) -> None:
    meeting = weekly(world).meetings.earliest("starts_at")
    round = ask(world, "Larger disk")
    approvals.close_agendas(meeting.cut_off_at)
    entries = heard("approvals.board.close_agenda")
    assert people(entries) == {world.chair, *world.members}
    assert entries[0].url == reverse("admin:approvals_meeting_change", args=[meeting.pk])
    assert entries[0].subject == "Weekly CAB: the agenda of Thursday 5 March 2026, 14:00 (CET)"
    assert round.subject.number in entries[0].body
    approvals.cancel_meeting(meeting, reason="All are ill", actor=world.chair, now=NOW)
    entries = heard("approvals.board.cancel")
    assert people(entries) == set(world.members)
    assert "All are ill" in entries[0].body


def test_a_role_that_needs_a_second_administrator_is_told_to_the_others() -> None:
    ada, bob, cleo = (someone("administrator", username=name) for name in ("ada", "bob", "cleo"))
    grant_role(cleo, role="deployer", team=None, actor=ada, now=NOW, reason="On duty from Monday")
    entries = heard("accounts.user.request_role")
    assert people(entries) == {bob}, "not the one who asks, and not the one whom it is for"
    assert entries[0].url == reverse("admin:accounts_rolerequest_changelist")
    assert "On duty from Monday" in entries[0].body


def test_a_proposal_that_needs_a_second_person_is_told_to_the_others(world: World) -> None:
    ada, bob = (someone("administrator", username=name) for name in ("ada", "bob"))
    stages = [{"role": "release_manager", "count": 1}]
    approvals.propose_policy(key="late", name="Late", stages=stages, reason="Nights are short", actor=ada, now=NOW)
    entries = heard("approvals.approvalpolicy.create")
    assert people(entries) == {bob}
    assert "Nights are short" in entries[0].body
    mapping = map_group(group="crew", role="deployer", team=None, reason="On duty", actor=ada, now=NOW)
    entries = heard("accounts.groupmapping.create")
    assert people(entries) == {bob}
    assert mapping.group in entries[0].body
    assert entries[0].url == reverse("admin:accounts_groupmapping_changelist")


def test_a_round_that_waits_reminds_its_voters_then_calls_those_who_can_help(world: World) -> None:
    round = world.round(world.release())
    approvals.follow_up(round.follow_up_at)
    entries = heard("approvals.round.remind")
    assert people(entries) == {world.signer, world.manager}
    assert "still waits" in entries[0].subject
    approvals.follow_up(round.due_at)
    helping = {world.author, world.manager, world.signer, world.chair}
    assert people(heard("approvals.round.escalate")) == helping
    approvals.follow_up(round.due_at + timedelta(days=3))
    assert people(heard("approvals.round.expire")) == helping


def test_a_lost_quorum_is_told_to_those_who_can_help(world: World) -> None:
    world.round(world.release())
    for person in (world.signer, world.manager):
        deactivate(person, actor=system(), now=NOW)
    approvals.watch_quorums(NOW)
    assert people(heard("approvals.round.lose_quorum")) == {world.author, world.chair}


def test_the_next_step_asks_its_voters(world: World) -> None:
    stages = [{"role": "release_manager", "count": 1}, {"role": "cab_chair", "count": 1}]
    approvals.propose_policy(key="low-risk", name="Low", stages=stages, actor=system(), now=NOW)
    say(world.round(world.release()), world.signer)
    assert people(heard("approvals.round.advance")) == {world.chair, world.manager}


def test_a_question_on_a_round_reaches_who_asked_for_it(world: World) -> None:
    release = world.round(world.release()).record
    comment(release, body="Is it safe?", actor=world.signer)
    entries = heard("comment")
    assert people(entries) == {world.author, world.manager}
    assert "Is it safe?" in entries[0].body


def test_an_overdue_retrospective_is_told_to_the_release_managers(world: World) -> None:
    implemented(world)
    approvals.watch_retrospectives(NOW + timedelta(days=3))
    entries = heard("approvals.changerequest.miss_retrospective")
    assert people(entries) == {world.manager, world.signer}
    assert "is overdue" in entries[0].subject


def test_what_nobody_authorised_is_told_to_the_release_managers(shop: Shop) -> None:
    shop.report(builds=[shop.build("api", "by hand")])
    entries = heard("approvals.changerequest.record")
    assert people(entries) == {shop.manager}
    assert "to production" in entries[0].body and "as Ci says" in entries[0].body


@pytest.mark.parametrize("kind", AUDIENCES)
def test_no_audience_is_left_untried(kind: str) -> None:
    assert f'"{kind}"' in Path(__file__).read_text()
