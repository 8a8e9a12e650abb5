"""What was signed is judged again when a plan starts; the release's changes go with it into production."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from approvals.models import ChangeRequest
from deployments.commands import fail, start, start_due_plans
from deployments.models import DeploymentPlan
from releasemgmt.accounts.commands import deactivate
from releasemgmt.releases.commands import create_defect, link_defect, write_document
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Blocked
from tests.approvals.world import World
from tests.conftest import NOW
from tests.deployments.world import HOUR, Shop, at, codes, kinds, refused
from tests.factories import someone


@pytest.fixture
def world(db: None, settings: Any) -> World:
    """The gates of approvals and deployments stand, those of releases are open."""
    settings.WORKFLOW_GATES = {
        key: [path for path in paths if not path.startswith("releasemgmt.")]
        for key, paths in settings.WORKFLOW_GATES.items()
    }
    return World()


@pytest.fixture
def shop(world: World) -> Shop:
    """The same product, seen by those who deploy it."""
    return Shop(world.product)


@pytest.fixture
def plan(world: World, shop: Shop) -> DeploymentPlan:
    """A signed and accepted release, with a change that rides with it, scheduled for production."""
    release = world.release()
    world.assessed(releases=[release], planned_end=NOW + 3 * HOUR)
    world.signed(release)
    return shop.scheduled(fire(release, "accept", actor=world.manager, now=NOW))


def change() -> ChangeRequest:
    return ChangeRequest.objects.get()


def test_a_start_begins_the_changes_and_a_success_finishes_them(world: World, shop: Shop, plan: DeploymentPlan) -> None:
    start(plan, actor=shop.deployer, now=plan.planned_start)
    assert change().state == "implementation"
    assert kinds(change())[0] == "implement"
    fail(plan, reason="smoke", actor=shop.deployer, now=at(70))
    assert change().state == "implementation"
    release = shop.deployed(plan.release, planned_start=at(80), latest_start=at(90))
    assert (release.state, change().state, change().outcome) == ("deployed", "review", "successful")


def test_backing_out_ends_the_changes_that_were_begun_as_unsuccessful(shop: Shop, plan: DeploymentPlan) -> None:
    plan = start(plan, actor=shop.deployer, now=plan.planned_start)
    fail(plan, reason="smoke", actor=shop.deployer, now=at(70))
    assert shop.rolled_back(plan, minute=80).state == "rolled_back"
    assert (change().state, change().outcome, kinds(change())[0]) == ("review", "unsuccessful", "finish")


def test_backing_out_what_had_succeeded_leaves_changes_that_are_over(crowded: Shop, plan: DeploymentPlan) -> None:
    crowded.deployed(plan.release, planned_start=at(80), latest_start=at(90))
    rolled_back = crowded.rolled_back(DeploymentPlan.objects.latest("pk"), minute=200)
    assert (rolled_back.state, Release.objects.get().state) == ("rolled_back", "rolled_back")
    assert (change().state, change().outcome) == ("review", "successful")


def test_elsewhere_changes_and_sign_off_play_no_part(world: World, shop: Shop) -> None:
    release = world.release()
    world.assessed(releases=[release])
    assert shop.started(release, shop.test).state == "in_progress"
    assert change().state == "authorization"


def test_a_vote_that_stops_counting_closes_the_start(world: World, shop: Shop, plan: DeploymentPlan) -> None:
    deactivate(world.signer, actor=someone("administrator"), now=NOW)
    with refused(Blocked, plan, plan.release, change()):
        start(plan, actor=shop.deployer, now=plan.planned_start)


def test_content_that_changed_after_the_sign_off_closes_the_start(shop: Shop, plan: DeploymentPlan) -> None:
    said = {"kind": "impact", "body": "An hour of downtime."}
    write_document(plan.release, **said, void_signoffs=True, actor=shop.manager, now=NOW)
    with refused(Blocked, plan, plan.release, change()):
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert start_due_plans(plan.planned_start) == 0


def test_a_change_that_is_revised_closes_the_start(world: World, shop: Shop, plan: DeploymentPlan) -> None:
    fire(change(), "revise", actor=world.manager, now=NOW, reason="another disk")
    with refused(Blocked, plan, plan.release, change()) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert "change_not_scheduled" in codes(caught)


def test_a_change_that_is_cancelled_closes_the_start(world: World, shop: Shop, plan: DeploymentPlan) -> None:
    fire(change(), "cancel", actor=world.manager, now=NOW, reason="not needed")
    with refused(Blocked, plan, plan.release, change()) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert "change_not_scheduled" in codes(caught)


@pytest.mark.parametrize(("minutes", "expected"), [(179, "in_progress"), (180, "scheduled")])
def test_a_change_is_begun_inside_its_approved_interval(world: World, shop: Shop, minutes: int, expected: str) -> None:
    release = world.release()
    world.assessed(releases=[release], planned_end=NOW + 3 * HOUR)
    world.signed(release)
    release = fire(release, "accept", actor=world.manager, now=NOW)
    plan = shop.scheduled(release, latest_start=at(500), autostart=True)
    start_due_plans(at(minutes))
    plan.refresh_from_db()
    assert plan.state == expected
    assert ("outside_approved_interval" in plan.held_up_by) == (expected == "scheduled")


def test_a_blocker_found_after_acceptance_closes_the_start(world: World, shop: Shop, plan: DeploymentPlan) -> None:
    defect = create_defect(product=shop.product, title="Loses orders", severity="critical", actor=world.author, now=NOW)
    link_defect(plan.release, defect=defect, actor=world.author, now=NOW, void_signoffs=True)
    with refused(Blocked, plan, plan.release) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert "blocking_defect" in codes(caught)


def test_a_reported_success_takes_the_changes_along(world: World, shop: Shop, plan: DeploymentPlan) -> None:
    shop.report(release=plan.release)
    assert (Release.objects.get().state, change().state, change().outcome) == ("deployed", "review", "successful")


def test_a_report_is_not_refused_for_a_change_that_may_not_begin(
    world: World, shop: Shop, plan: DeploymentPlan
) -> None:
    late = NOW + timedelta(days=1)
    shop.report(release=plan.release, started_at=late, finished_at=late, now=late)
    assert (Release.objects.get().state, change().state) == ("deployed", "scheduled")
