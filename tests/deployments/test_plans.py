"""Plans: drawn up and edited in draft, and who may move them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from deployments.commands import TaskDraft, edit_plan, fail, reschedule, start, start_due_plans
from deployments.commands.plans import drafts_of
from deployments.models import DeploymentPlan
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Blocked, Invalid, NotPermitted, WrongState
from tests.deployments.world import BACK, HOUR, TASKS, Shop, codes, kinds, refused, task
from tests.factories import EnvironmentFactory, ProductFactory, someone


def test_a_plan_is_drawn_up_with_its_tasks_in_their_order(shop: Shop) -> None:
    plan = shop.plan(shop.release("1.0"))
    assert (plan.number, plan.state, plan.revision) == (f"DPL-{plan.pk}", "draft", 1)
    assert drafts_of(plan, is_backout=False) == list(TASKS)
    assert drafts_of(plan, is_backout=True) == list(BACK)
    assert kinds(plan) == ["create"]


@pytest.mark.parametrize("depends_on", [(1,), (0,), (7,), (-1,)])
def test_a_plan_whose_tasks_could_never_begin_is_refused(shop: Shop, depends_on: tuple[int, ...]) -> None:
    release = shop.release("1.0")
    with refused(Invalid, release) as caught:
        shop.plan(release, tasks=[TaskDraft("One", depends_on=depends_on), TaskDraft("Two", depends_on=(0,))])
    assert "tasks.0.depends_on" in caught.value.errors
    assert not DeploymentPlan.objects.exists()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"latest_start": datetime.fromisoformat("2020-01-01T00:00Z")}, "latest_start"),
        ({"tasks": [TaskDraft(" ")]}, "tasks.0.title"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(shop: Shop, fields: dict[str, Any], named: str) -> None:
    release = shop.release("1.0")
    with refused(Invalid, release) as caught:
        shop.plan(release, **fields)
    assert list(caught.value.errors) == [named]


def test_a_plan_goes_where_the_product_goes(shop: Shop) -> None:
    release = shop.release("1.0")
    with refused(Invalid, release) as caught:
        shop.plan(release, EnvironmentFactory(key="moon", tier="production"))
    assert list(caught.value.errors) == ["environment"]


def test_a_task_is_for_somebody_who_sees_the_product(shop: Shop) -> None:
    release = shop.release("1.0")
    stranger = someone("deployer", team=ProductFactory().team)
    with refused(Invalid, release) as caught:
        shop.plan(release, backout_tasks=[TaskDraft("Swap", assignee=stranger)])
    assert list(caught.value.errors) == ["backout_tasks.0.assignee"]


@pytest.mark.parametrize("role", ["contributor", "cab_member", "auditor", "administrator", "service"])
def test_others_draw_up_no_plan(shop: Shop, role: str) -> None:
    release = shop.release("1.0")
    with refused(NotPermitted, release):
        shop.plan(release, actor=someone(role, team=shop.product.team))


def test_an_edit_of_a_draft_records_what_changed(shop: Shop) -> None:
    plan = shop.plan(shop.release("1.0"))
    changes = {"autostart": True, "tasks": [TaskDraft("Only this")]}
    plan = edit_plan(plan, changes=changes, actor=shop.deployer, now=plan.planned_start)
    assert [each.title for each in plan.tasks.all()] == ["Only this", "Swap it back"]
    assert (plan.autostart, kinds(plan), plan.revision) == (True, ["edit_tasks", "edit", "create"], 3)


def test_an_edit_that_says_what_is_there_writes_nothing(shop: Shop) -> None:
    plan = shop.plan(shop.release("1.0"))
    edit_plan(plan, changes={"autostart": False, "tasks": TASKS}, actor=shop.manager, now=plan.planned_start)
    assert kinds(plan) == ["create"]


def test_a_plan_is_edited_in_draft_only(shop: Shop) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    with refused(WrongState, plan) as caught:
        edit_plan(plan, changes={"tasks": []}, actor=shop.manager, now=plan.planned_start)
    assert sorted(caught.value.allowed) == ["cancel", "miss", "reopen", "start"]


@pytest.mark.parametrize(
    "changes",
    [
        {"latest_start": datetime.fromisoformat("2020-01-01T00:00Z")},
        {"autostart": True, "tasks": [TaskDraft("Loop", depends_on=(0,))]},
    ],
)
def test_an_edit_that_makes_no_sense_leaves_all_as_it_was(shop: Shop, changes: dict[str, Any]) -> None:
    plan = shop.plan(shop.release("1.0"))
    with refused(Invalid, plan):
        edit_plan(plan, changes=changes, actor=shop.manager, now=plan.planned_start)


def test_only_planners_edit(shop: Shop) -> None:
    plan = shop.plan(shop.release("1.0"))
    with refused(NotPermitted, plan):
        edit_plan(plan, changes={"autostart": True}, actor=shop.author, now=plan.planned_start)


@pytest.mark.parametrize("person", ["manager", "deployer"])
def test_planners_take_a_plan_from_draft_to_scheduled_and_back(shop: Shop, person: str, now: datetime) -> None:
    actor: User = getattr(shop, person)
    plan = shop.plan(shop.release("1.0"))
    for transition, state in (("prepare", "ready"), ("schedule", "scheduled"), ("reopen", "draft")):
        plan = fire(plan, transition, actor=actor, now=now)
        assert plan.state == state
    assert fire(plan, "cancel", actor=actor, now=now, reason="not needed").state == "cancelled"
    assert kinds(plan)[:4] == ["cancel", "reopen", "schedule", "prepare"]


def test_others_move_no_plan(shop: Shop, now: datetime) -> None:
    plan = shop.plan(shop.release("1.0"))
    for actor in (shop.author, shop.ci, someone(is_superuser=True), someone("deployer", team=ProductFactory().team)):
        with refused(NotPermitted, plan):
            fire(plan, "prepare", actor=actor, now=now)


@pytest.mark.parametrize("asked", ["created_by", "requested_by"])
def test_who_requested_the_release_neither_schedules_nor_starts_it_in_production(
    shop: Shop, asked: str, now: datetime
) -> None:
    release = shop.release("1.0")
    both = someone("release_manager", "deployer", team=shop.product.team)
    type(release).objects.filter(pk=release.pk).update(**{asked: both})
    release.refresh_from_db()
    plan = fire(shop.plan(release), "prepare", actor=both, now=now)
    with refused(NotPermitted, plan):
        fire(plan, "schedule", actor=both, now=now)
    plan = fire(plan, "schedule", actor=shop.manager, now=now)
    with refused(NotPermitted, plan, release):
        start(plan, actor=both, now=plan.planned_start)
    assert shop.started(release, shop.test).state == "in_progress"


def test_a_failed_attempt_is_rescheduled_with_all_tasks_to_do(shop: Shop) -> None:
    plan = shop.worked_off(shop.release("1.0"))
    plan = fail(plan, reason="smoke", actor=shop.deployer, now=plan.planned_start)
    plan = reschedule(plan, actor=shop.manager, now=plan.planned_start)
    assert (plan.state, kinds(plan)[:2]) == ("draft", ["reschedule", "fail"])
    assert {(each.state, each.finished_by, each.evidence) for each in plan.tasks.all()} == {("pending", None, "")}


def test_a_missed_plan_is_rescheduled(shop: Shop) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    start_due_plans(plan.latest_start + HOUR)
    assert reschedule(plan, actor=shop.manager, now=plan.latest_start + HOUR).state == "draft"


def test_a_plan_in_progress_is_neither_cancelled_nor_reopened(shop: Shop) -> None:
    plan = shop.started(shop.release("1.0"))
    for transition in ("cancel", "reopen", "miss", "prepare"):
        with refused(WrongState, plan) as caught:
            fire(plan, transition, actor=shop.manager, now=plan.planned_start)
        assert sorted(caught.value.allowed) == ["back_out", "fail", "succeed"]


class TestSelfService:
    """Where an environment is not change-controlled, a plan starts from draft."""

    @pytest.fixture
    def sandbox(self, shop: Shop) -> Environment:
        sandbox: Environment = EnvironmentFactory(key="sandbox", tier="development", change_controlled=False)
        shop.product.environments.add(sandbox)
        return sandbox

    @pytest.mark.parametrize(
        "role", ["contributor", "release_manager", "cab_member", "cab_chair", "deployer", "service"]
    )
    def test_any_member_of_the_team_starts(self, shop: Shop, sandbox: Environment, role: str, now: datetime) -> None:
        plan = shop.plan(shop.release("1.0", to="planned"), sandbox)
        assert start(plan, actor=someone(role, team=shop.product.team), now=now).state == "in_progress"

    @pytest.mark.parametrize("role", ["auditor", "administrator"])
    def test_those_who_change_nothing_do_not(self, shop: Shop, sandbox: Environment, role: str, now: datetime) -> None:
        plan = shop.plan(shop.release("1.0"), sandbox)
        with refused(NotPermitted, plan):
            start(plan, actor=someone(role, team=shop.product.team), now=now)

    def test_strangers_do_not(self, shop: Shop, sandbox: Environment, now: datetime) -> None:
        plan = shop.plan(shop.release("1.0"), sandbox)
        with refused(NotPermitted, plan):
            start(plan, actor=someone("deployer", team=ProductFactory().team), now=now)

    def test_in_a_controlled_environment_a_draft_does_not_start(self, shop: Shop) -> None:
        plan = shop.plan(shop.release("1.0"))
        with refused(Blocked, plan) as caught:
            start(plan, actor=shop.deployer, now=plan.planned_start)
        assert codes(caught) == ["not_scheduled"]
        with refused(NotPermitted, plan):
            start(plan, actor=shop.author, now=plan.planned_start)

    def test_the_environment_is_still_locked(self, shop: Shop, sandbox: Environment, now: datetime) -> None:
        start(shop.plan(shop.release("1.0"), sandbox), actor=shop.author, now=now)
        second = shop.plan(shop.release("2.0"), sandbox)
        with refused(Blocked, second) as caught:
            start(second, actor=shop.author, now=now)
        assert codes(caught) == ["environment_busy"]


def test_a_task_list_names_its_assignees(shop: Shop) -> None:
    lists = [TaskDraft("Mine", assignee=shop.author), TaskDraft("Ours", assignee=shop.product.team)]
    plan = shop.plan(shop.release("1.0"), tasks=lists)
    assert (task(plan, "Mine").assignee, task(plan, "Ours").assignee) == (shop.author, shop.product.team)
