"""Each gate of a plan, closed and open; and that a start judges all of them at its own moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from deployments import gates
from deployments.commands import fail, start
from deployments.models import DeploymentPlan
from releasemgmt.releases.commands import edit_release
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Blocked
from tests.deployments.world import BACK, HOUR, TASKS, Shop, codes, refused
from tests.factories import ProductFactory

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("tasks", "backout_tasks", "expected"),
    [
        ((), BACK, ["no_task"]),
        (TASKS, (), ["no_backout_task"]),
        ((), (), ["no_task", "no_backout_task"]),
    ],
)
def test_a_plan_is_prepared_with_tasks_and_a_way_back(
    shop: Shop, tasks: Any, backout_tasks: Any, expected: list[str], now: datetime
) -> None:
    plan = shop.plan(shop.release("1.0"), tasks=tasks, backout_tasks=backout_tasks)
    with refused(Blocked, plan) as caught:
        fire(plan, "prepare", actor=shop.manager, now=now)
    assert codes(caught) == expected


@pytest.mark.parametrize("state", ["planned", "built", "integration_tested"])
def test_production_takes_no_release_before_it_is_accepted(shop: Shop, state: str, now: datetime) -> None:
    plan = fire(shop.plan(shop.release("1.0", to=state)), "prepare", actor=shop.manager, now=now)
    with refused(Blocked, plan) as caught:
        fire(plan, "schedule", actor=shop.manager, now=now)
    assert codes(caught) == ["release_not_accepted"]


def test_another_environment_takes_it_at_any_time(shop: Shop) -> None:
    assert shop.started(shop.release("1.0", to="planned"), shop.test).state == "in_progress"


def test_a_deployed_release_goes_to_production_again(shop: Shop) -> None:
    release = shop.deployed(shop.release("1.0"))
    assert shop.started(release).state == "in_progress"


def test_a_plan_that_would_be_too_late_is_not_scheduled(shop: Shop, now: datetime) -> None:
    plan = fire(shop.plan(shop.release("1.0")), "prepare", actor=shop.manager, now=now)
    with refused(Blocked, plan) as caught:
        fire(plan, "schedule", actor=shop.manager, now=plan.latest_start + MINUTE)
    assert codes(caught) == ["too_late"]


@pytest.mark.parametrize(
    ("off", "expected"), [(-MINUTE, ["too_early"]), (HOUR + MINUTE, ["too_late"])], ids=["before", "after"]
)
def test_a_plan_starts_between_planned_and_latest_start_only(shop: Shop, off: timedelta, expected: list[str]) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    with refused(Blocked, plan) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start + off)
    assert codes(caught) == expected


@pytest.mark.parametrize("off", [timedelta(0), HOUR], ids=["planned", "latest"])
def test_both_ends_are_in_time(shop: Shop, off: timedelta) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    assert start(plan, actor=shop.deployer, now=plan.planned_start + off).state == "in_progress"


def test_a_release_that_was_sent_back_after_scheduling_does_not_start(shop: Shop, now: datetime) -> None:
    release = shop.release("1.0")
    plan = shop.scheduled(release)
    fire(release, "rework", actor=shop.manager, now=now, reason="a typo")
    with refused(Blocked, plan, release) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert codes(caught) == ["release_not_accepted"]


@pytest.mark.parametrize("where", ["production", "test"])
def test_a_release_on_hold_starts_nowhere(shop: Shop, where: str, now: datetime) -> None:
    release = shop.release("1.0")
    plan = shop.scheduled(release, getattr(shop, where))
    edit_release(release, changes={"on_hold": True, "hold_reason": "audit"}, actor=shop.manager, now=now)
    with refused(Blocked, plan, release) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert codes(caught) == ["on_hold"]


def test_a_cancelled_release_starts_nowhere(shop: Shop, now: datetime) -> None:
    release = shop.release("1.0")
    plan = shop.scheduled(release, shop.test)
    fire(release, "cancel", actor=shop.manager, now=now, reason="superseded")
    with refused(Blocked, plan, release) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert codes(caught) == ["release_cancelled"]


def test_a_release_without_builds_has_nothing_to_deploy(shop: Shop) -> None:
    plan = shop.scheduled(shop.release("1.0", builds=[], to="planned"), shop.test)
    with refused(Blocked, plan) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert codes(caught) == ["no_builds"]


def test_an_environment_takes_one_deployment_of_a_product_at_a_time(crowded: Shop) -> None:
    first, second = crowded.started(crowded.release("1.0")), crowded.scheduled(crowded.release("2.0"))
    with refused(Blocked, second) as caught:
        start(second, actor=crowded.deployer, now=second.planned_start)
    assert codes(caught) == ["environment_busy"]
    assert str(first) in str(caught.value)
    fail(first, reason="gave up", actor=crowded.deployer, now=first.planned_start)
    assert start(second, actor=crowded.deployer, now=second.planned_start).state == "in_progress"


def test_another_product_or_another_environment_is_not_in_the_way(shop: Shop) -> None:
    release = shop.release("1.0")
    shop.started(release)
    assert shop.started(release, shop.test).state == "in_progress"
    other = Shop.__new__(Shop)
    other.__dict__.update(shop.__dict__, product=ProductFactory(team=shop.product.team, components=["api", "web"]))
    assert other.started(other.release("1.0")).state == "in_progress"


@pytest.mark.parametrize("transition", ["rework", "cancel"])
def test_a_release_on_its_way_into_production_stays_accepted(shop: Shop, transition: str) -> None:
    release = shop.release("1.0")
    plan = shop.started(release)
    with refused(Blocked, plan, release) as caught:
        fire(release, transition, actor=shop.manager, now=plan.planned_start, reason="stop")
    assert codes(caught) == ["deployment_running"]
    fail(plan, reason="gave up", actor=shop.deployer, now=plan.planned_start)
    assert fire(release, transition, actor=shop.manager, now=plan.planned_start, reason="stop").entered_by == transition


def test_on_its_way_into_another_environment_it_may_be_sent_back(shop: Shop) -> None:
    release = shop.release("1.0")
    plan = shop.started(release, shop.test)
    assert fire(release, "rework", actor=shop.manager, now=plan.planned_start, reason="stop").state == "planned"


def test_a_gate_that_raises_keeps_the_plan_where_it_is(shop: Shop, settings: Any) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    settings.WORKFLOW_GATES["deployments.DeploymentPlan.start"].append(f"{__name__}.broken")
    with refused(Blocked, plan) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert codes(caught) == ["gate_failed"]


def broken(plan: DeploymentPlan, *, now: datetime) -> list[Any]:
    raise ZeroDivisionError


def test_tasks_that_are_not_done_are_named(shop: Shop, now: datetime) -> None:
    plan = shop.started(shop.release("1.0"))
    assert [blocker.reason for blocker in gates.tasks_done(plan, now=now)] == [
        "“Swap the image” is in progress.",
        "“Look at the graphs” is pending.",
    ]
