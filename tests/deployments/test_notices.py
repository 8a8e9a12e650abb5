"""Whom plans ask and tell, and in which words."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine

from deployments.commands import TaskDraft, fail, fail_task, finish_plans, finish_task, skip_task, start_due_plans
from deployments.models import DeploymentPlan
from deployments.tasks import finish_plans as finish_plans_tick
from deployments.tasks import start_due_plans as start_due_plans_tick
from releasemgmt.accounts.models import User
from releasemgmt.notifications.fanout import drain
from releasemgmt.notifications.models import Delivery
from releasemgmt.releases.commands import edit_release
from tests.deployments.world import Shop, at, task
from tests.factories import someone


@pytest.fixture
def helper(shop: Shop) -> User:
    """Who has tasks in a plan and no role that deploys."""
    return someone("contributor", team=shop.product.team, username="helper")


def told(kind: str) -> dict[str, str]:
    """Who found what in their inbox about events of that kind: user name → subject."""
    drain(now=at(0))
    inbox = Delivery.objects.filter(channel="inbox", event__kind=f"deployments.{kind}")
    return dict(inbox.values_list("recipient__username", "subject"))


def test_deployers_hear_that_a_due_plan_waits_and_why(shop: Shop) -> None:
    plan = shop.scheduled(shop.release("1.0"), autostart=True)
    edit_release(plan.release, changes={"on_hold": True, "hold_reason": "audit"}, actor=shop.manager, now=at(0))
    start_due_plans(at(60))
    start_due_plans(at(61))
    assert told("deploymentplan.hold_up") == {"deployer": f"{plan} is due and waits"}
    text = Delivery.objects.get(channel="email", event__kind="deployments.deploymentplan.hold_up").body
    assert f"- {plan.release} is on hold: audit" in text and "After 2026-03-02 11:00 UTC it is missed." in text


def test_assignees_hear_of_the_start_when_it_is_their_turn(shop: Shop, helper: User) -> None:
    tasks = [TaskDraft("First", assignee=helper), TaskDraft("Second", assignee=shop.author, depends_on=(0,))]
    plan = shop.scheduled(shop.release("1.0"), tasks=tasks, autostart=True)
    start_due_plans(at(60))
    assert told("deploymentplan.start") == {"helper": f"{plan} has started: your tasks wait"}
    finish_task(task(plan, "First"), actor=helper, now=at(70))
    assert told("task.done") == {"author": f"{plan}: it is your turn"}


def test_a_team_hears_as_a_whole(shop: Shop, helper: User) -> None:
    plan = shop.scheduled(shop.release("1.0"), tasks=[TaskDraft("All", assignee=shop.product.team)], autostart=True)
    start_due_plans(plan.planned_start)
    assert set(told("deploymentplan.start")) == {"author", "manager", "deployer", "helper"}


def test_a_task_of_nobody_is_the_deployers(shop: Shop) -> None:
    shop.scheduled(shop.release("1.0"), autostart=True)
    start_due_plans(at(60))
    assert set(told("deploymentplan.start")) == {"deployer"}


def test_deployers_decide_about_a_task_that_failed(shop: Shop, helper: User) -> None:
    plan = shop.started(shop.release("1.0"), tasks=[TaskDraft("First", assignee=helper), TaskDraft("Second")])
    fail_task(task(plan, "First"), reason="no space", actor=helper, now=at(70))
    assert told("task.fail") == {"deployer": f"{plan}: “First” failed"}
    skip_task(task(plan, "First"), reason="by hand", actor=shop.deployer, now=at(71))
    assert told("task.skip") == {}


@pytest.mark.parametrize(
    ("end", "kind", "subject"),
    [
        (lambda shop, plan: finish_plans(at(100)), "succeed", "{plan.release} runs in Production"),
        (lambda shop, plan: fail(plan, reason="smoke", actor=shop.deployer, now=at(80)), "fail", "{plan} failed"),
    ],
    ids=["succeeded", "failed"],
)
def test_planners_hear_of_the_outcome(shop: Shop, end: Any, kind: str, subject: str) -> None:
    plan = shop.worked_off(shop.release("1.0"))
    end(shop, plan)
    assert told(f"deploymentplan.{kind}") == {"manager": subject.format(plan=plan)}


def test_planners_hear_that_it_was_missed(shop: Shop) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    start_due_plans(at(200))
    assert told("deploymentplan.miss") == {"manager": f"{plan} was missed"}


def test_the_ticks_go_by_the_clock(shop: Shop) -> None:
    late, far = shop.scheduled(shop.release("1.0")), shop.worked_off(shop.release("2.0"), shop.test)
    with time_machine.travel(at(200)):
        start_due_plans_tick()
        finish_plans_tick()
    states = dict(DeploymentPlan.objects.values_list("pk", "state"))
    assert states == {late.pk: "missed", far.pk: "succeeded"}
