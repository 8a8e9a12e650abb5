"""Backing out: the environment gets back what ran there before, by tasks of its own, and keeps its lock meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.commands import (
    TaskDraft,
    back_out,
    create_window,
    edit_plan,
    fail,
    fail_task,
    finish_plans,
    finish_task,
    observe,
    reschedule,
    retry_task,
    skip_task,
    start,
    stop_line,
)
from deployments.models import DeploymentPlan
from deployments.queries import risk_facts, running_in, what_is_where
from releasemgmt.accounts.commands import system
from releasemgmt.releases.commands import edit_release
from releasemgmt.releases.models import Release
from releasemgmt.workflow import queries
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Blocked, Invalid, NotPermitted, WrongState
from tests.deployments.world import TASKS, Shop, at, codes, kinds, picture, refused, task
from tests.factories import EnvironmentFactory, ProductFactory, someone

#: Plans share a time here, so that the lock of the environment decides.
pytestmark = pytest.mark.usefixtures("crowded")
WAY_BACK = "Swap it back"


def state(record: Release | DeploymentPlan) -> str:
    return str(type(record)._default_manager.get(pk=record.pk).state)


def runs(shop: Shop, **when: Any) -> dict[str, str]:
    """What runs in production: component → version of its release."""
    rows = running_in(shop.production, shop.product, **when)
    return {each.component.key: each.release.version if each.release else "" for each in rows}


def plan_of(release: Release) -> DeploymentPlan:
    return DeploymentPlan.objects.filter(release=release).latest("pk")


@pytest.fixture
def first(shop: Shop) -> Release:
    return shop.deployed(shop.release("1.0"))


@pytest.fixture
def second(shop: Shop, first: Release) -> DeploymentPlan:
    """The plan of 2.0, which runs in production."""
    return plan_of(shop.deployed(shop.release("2.0"), planned_start=at(200), latest_start=at(300)))


@pytest.fixture
def smoking(shop: Shop, first: Release) -> DeploymentPlan:
    """The plan of 2.0, on its way into production."""
    return shop.started(shop.release("2.0"), planned_start=at(200), latest_start=at(300))


def test_from_in_progress_the_attempt_fails_and_its_rollback_holds_the_environment(
    shop: Shop, first: Release, smoking: DeploymentPlan
) -> None:
    plan = back_out(smoking, reason="It smokes.", actor=shop.deployer, now=at(210))
    attempt, rollback = plan.deployments.order_by("pk")
    assert (plan.state, attempt.status, attempt.finished_at) == ("backing_out", "failed", at(210))
    assert (rollback.kind, rollback.origin, rollback.status) == ("rollback", "engine", "running")
    assert (rollback.remediates, rollback.release, rollback.unauthorised) == (attempt, first, False)
    assert set(rollback.builds.all()) == set(first.builds.all())
    other = shop.scheduled(shop.release("3.0"), planned_start=at(200), latest_start=at(300))
    with refused(Blocked, other) as caught:
        start(other, actor=shop.deployer, now=at(211))
    assert codes(caught) == ["environment_busy"]


def test_the_way_back_is_worked_off_in_its_order_and_the_tick_ends_it(shop: Shop, first: Release) -> None:
    steps = [TaskDraft("Stop"), TaskDraft("Restore", depends_on=(0,)), TaskDraft("Tell", depends_on=(0,))]
    plan = shop.started(shop.release("2.0"), planned_start=at(200), latest_start=at(300), backout_tasks=steps)
    plan = back_out(plan, reason="It smokes.", actor=shop.deployer, now=at(210))
    assert [each.state for each in plan.tasks.filter(is_backout=True)] == ["in_progress", "pending", "pending"]
    finish_task(task(plan, "Stop"), actor=shop.deployer, now=at(211))
    assert [task(plan, title).state for title in ("Restore", "Tell")] == ["in_progress", "in_progress"]
    fail_task(task(plan, "Restore"), reason="no space", actor=shop.deployer, now=at(212))
    retry_task(task(plan, "Restore"), actor=shop.deployer, now=at(213))
    finish_task(task(plan, "Restore"), actor=shop.deployer, now=at(214))
    assert finish_plans(at(215)) == 0
    skip_task(task(plan, "Tell"), reason="they know", actor=shop.deployer, now=at(216))
    assert finish_plans(at(217)) == 1
    assert (state(plan), plan.deployments.latest("pk").finished_at) == ("rolled_back", at(217))
    ended = queries.timeline(plan)[0]
    assert (ended.kind, ended.actor, ended.on_behalf_of) == (
        "deployments.deploymentplan.roll_back",
        system(),
        shop.deployer,
    )
    assert finish_plans(at(218)) == 0
    assert list(queries.breaks()) == []


def test_while_it_goes_back_the_way_there_rests(shop: Shop, smoking: DeploymentPlan) -> None:
    plan = back_out(smoking, reason="It smokes.", actor=shop.deployer, now=at(210))
    for act, fields in ((finish_task, {}), (skip_task, {"reason": "no"})):
        with refused(WrongState, plan):
            act(task(plan, TASKS[0].title), actor=shop.deployer, now=at(211), **fields)
    with refused(WrongState, plan) as caught:
        fail(plan, reason="no way", actor=shop.deployer, now=at(211))
    assert caught.value.allowed == ["roll_back"]


def test_from_in_progress_the_release_stays_accepted_and_what_ran_runs(
    shop: Shop, first: Release, smoking: DeploymentPlan
) -> None:
    plan = shop.rolled_back(smoking, minute=210)
    assert (state(plan.release), state(first), runs(shop)) == ("accepted", "deployed", {"api": "1.0", "web": "1.0"})
    assert kinds(plan.release).count("roll_back") == 0


def test_from_succeeded_the_release_is_rolled_back_and_withdrawn(
    shop: Shop, first: Release, second: DeploymentPlan
) -> None:
    assert runs(shop) == {"api": "2.0", "web": "2.0"}
    plan = shop.rolled_back(second, minute=400)
    assert (plan.state, state(plan.release), state(first)) == ("rolled_back", "rolled_back", "deployed")
    assert (runs(shop), runs(shop, at=at(390))) == ({"api": "1.0", "web": "1.0"}, {"api": "2.0", "web": "2.0"})
    assert [step.percent for step in plan.release.exposures.order_by("pk")] == [100, 0]
    assert fire(plan.release, "rework", reason="again", actor=shop.manager, now=at(410)).state == "planned"


def test_while_another_production_runs_it_the_release_stays_deployed(shop: Shop, second: DeploymentPlan) -> None:
    elsewhere = EnvironmentFactory(key="production-asia", tier="production")
    shop.product.environments.add(elsewhere)
    shop.report(release=second.release, environment=elsewhere, started_at=at(390), finished_at=at(395), now=at(395))
    assert (shop.rolled_back(second, minute=400).state, state(second.release)) == ("rolled_back", "deployed")


def test_from_failed_it_takes_the_environment_again(shop: Shop, first: Release, smoking: DeploymentPlan) -> None:
    plan = fail(smoking, reason="It smokes.", actor=shop.deployer, now=at(210))
    plan = shop.rolled_back(plan, minute=220)
    attempt, rollback = plan.deployments.order_by("pk")
    assert (plan.state, attempt.finished_at, rollback.remediates) == ("rolled_back", at(210), attempt)
    assert runs(shop) == {"api": "1.0", "web": "1.0"}


def test_component_by_component_what_ran_before_comes_back_with_its_release(shop: Shop, first: Release) -> None:
    patch = shop.release("1.1", builds=[shop.build("api", "1.1")])
    shop.deployed(patch, planned_start=at(130), latest_start=at(140))
    plan = plan_of(shop.deployed(shop.release("2.0"), planned_start=at(200), latest_start=at(300)))
    rollback = shop.rolled_back(plan, minute=400).deployments.latest("pk")
    assert (runs(shop), rollback.release) == ({"api": "1.1", "web": "1.0"}, None)
    assert [state(each) for each in (first, patch, plan.release)] == ["deployed", "deployed", "rolled_back"]
    assert {place.running.version for place in what_is_where() if place.running} == {
        "1.0",
        "1.1",
    }


def test_what_was_never_there_before_stays_out_and_is_gone(shop: Shop) -> None:
    shop.deployed(shop.release("1.0", builds=[shop.build("api", "1.0")]))
    plan = plan_of(shop.deployed(shop.release("2.0"), planned_start=at(200), latest_start=at(300)))
    rollback = shop.rolled_back(plan, minute=400).deployments.latest("pk")
    assert [build.component.key for build in rollback.builds.all()] == ["api"]
    assert (runs(shop), runs(shop, at=at(390))) == ({"api": "1.0"}, {"api": "2.0", "web": "2.0"})
    assert [place.component.key for place in what_is_where()] == ["api"]


def test_the_first_of_all_deployments_leaves_nothing_behind(shop: Shop) -> None:
    plan = plan_of(shop.deployed(shop.release("1.0")))
    rollback = shop.rolled_back(plan, minute=400).deployments.latest("pk")
    assert (rollback.status, rollback.release, rollback.builds.count(), runs(shop)) == ("succeeded", None, 0, {})
    assert state(plan.release) == "rolled_back"


def test_where_something_newer_runs_it_is_refused(shop: Shop, second: DeploymentPlan) -> None:
    shop.deployed(shop.release("3.0"), planned_start=at(500), latest_start=at(600))
    with refused(Blocked, second) as caught:
        back_out(second, reason="It smokes.", actor=shop.deployer, now=at(700))
    assert codes(caught) == ["newer_there"]
    assert "runs in Production since" in caught.value.blockers[0].reason


def test_after_a_failure_too_something_newer_is_left_alone(shop: Shop, smoking: DeploymentPlan) -> None:
    plan = fail(smoking, reason="It smokes.", actor=shop.deployer, now=at(210))
    shop.report(release=shop.release("2.1"), started_at=at(220), finished_at=at(230), now=at(230))
    with refused(Blocked, plan) as caught:
        back_out(plan, reason="It smokes.", actor=shop.deployer, now=at(240))
    assert codes(caught) == ["newer_there"]


def test_while_another_deployment_runs_there_it_is_refused(shop: Shop, second: DeploymentPlan) -> None:
    shop.started(shop.release("3.0"), planned_start=at(500), latest_start=at(600))
    with refused(Blocked, second) as caught:
        back_out(second, reason="It smokes.", actor=shop.deployer, now=at(510))
    assert codes(caught) == ["environment_busy"]


def test_neither_hold_nor_freeze_nor_a_stopped_line_is_in_its_way(shop: Shop, smoking: DeploymentPlan) -> None:
    hold = {"on_hold": True, "hold_reason": "audit"}
    edit_release(smoking.release, changes=hold, actor=shop.manager, now=at(205))
    chair = someone("cab_chair", team=shop.product.team)
    terms: dict[str, Any] = {"first_on": at(0).date(), "start_time": at(0).time(), "duration_minutes": 3000}
    create_window(kind="deny", name="All", reason="So.", product=shop.product, **terms, actor=chair, now=at(205))
    stop_line(product=shop.product, environment=shop.production, reason="Smoke.", actor=shop.manager, now=at(205))
    assert shop.rolled_back(smoking, minute=210).state == "rolled_back"


def test_it_needs_a_reason_and_a_deployer(shop: Shop, smoking: DeploymentPlan) -> None:
    with refused(Invalid, smoking):
        back_out(smoking, reason=" ", actor=shop.deployer, now=at(210))
    stranger = someone("deployer", team=ProductFactory().team)
    for actor in (shop.manager, shop.author, stranger, someone(is_superuser=True), system()):
        with refused(NotPermitted, smoking):
            back_out(smoking, reason="It smokes.", actor=actor, now=at(210))
    assert back_out(smoking, reason="It smokes.", actor=shop.ci, now=at(210)).state == "backing_out"


def test_a_token_without_the_scope_backs_nothing_out(shop: Shop, smoking: DeploymentPlan) -> None:
    shop.ci.scopes = frozenset({"write"})
    with refused(NotPermitted, smoking):
        back_out(smoking, reason="It smokes.", actor=shop.ci, now=at(210))


def test_who_requested_the_release_may_still_back_it_out(shop: Shop, smoking: DeploymentPlan) -> None:
    Release.objects.filter(pk=smoking.release_id).update(created_by=shop.deployer)
    assert back_out(smoking, reason="It smokes.", actor=shop.deployer, now=at(210)).state == "backing_out"


def test_again_changes_nothing(shop: Shop, smoking: DeploymentPlan) -> None:
    plan = back_out(smoking, reason="It smokes.", actor=shop.deployer, now=at(210))
    before = picture(plan)
    assert back_out(plan, reason="Again.", actor=shop.deployer, now=at(211)).state == "backing_out"
    assert picture(plan) == before


def test_what_has_not_started_is_not_backed_out(shop: Shop) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    with refused(WrongState, plan):
        back_out(plan, reason="It smokes.", actor=shop.deployer, now=at(10))


def test_without_a_way_back_there_is_none(shop: Shop) -> None:
    sandbox = EnvironmentFactory(key="sandbox", tier="development", change_controlled=False)
    shop.product.environments.add(sandbox)
    plan = start(shop.plan(shop.release("1.0"), sandbox, backout_tasks=[]), actor=shop.author, now=at(10))
    with refused(Blocked, plan) as caught:
        back_out(plan, reason="It smokes.", actor=shop.deployer, now=at(20))
    assert codes(caught) == ["no_backout_task"]


def test_a_release_on_its_way_back_is_neither_reworked_nor_cancelled(shop: Shop, smoking: DeploymentPlan) -> None:
    plan = back_out(smoking, reason="It smokes.", actor=shop.deployer, now=at(210))
    for transition in ("rework", "cancel"):
        with refused(Blocked, plan, plan.release):
            fire(plan.release, transition, reason="no", actor=shop.manager, now=at(211))


def test_a_plan_that_was_rolled_back_is_tried_again(shop: Shop, smoking: DeploymentPlan) -> None:
    plan = reschedule(shop.rolled_back(smoking, minute=210), actor=shop.manager, now=at(220))
    assert (plan.state, {each.state for each in plan.tasks.all()}) == ("draft", {"pending"})
    plan = edit_plan(plan, changes={"latest_start": at(900)}, actor=shop.manager, now=at(220))
    for transition in ("prepare", "schedule"):
        plan = fire(plan, transition, actor=shop.manager, now=at(220))
    plan = start(plan, actor=shop.deployer, now=at(300))
    for each in plan.tasks.filter(is_backout=False):
        finish_task(each, actor=shop.deployer, now=at(310))
    finish_plans(at(320))
    assert runs(shop) == {"api": "2.0", "web": "2.0"}
    last = shop.rolled_back(plan, minute=400).deployments.latest("pk")
    assert (last.remediates and last.remediates.started_at, runs(shop)) == (at(300), {"api": "1.0", "web": "1.0"})


def test_the_last_attempt_failed_though_what_ran_before_came_back(shop: Shop, smoking: DeploymentPlan) -> None:
    shop.rolled_back(smoking, minute=210)
    assert len(risk_facts(shop.release("3.0"))) == 2


def test_on_the_way_back_both_are_seen_without_surprise(shop: Shop, first: Release, smoking: DeploymentPlan) -> None:
    plan = back_out(smoking, reason="It smokes.", actor=shop.deployer, now=at(210))
    for release in (plan.release, first):
        digests = {build.component.key: build.digest for build in release.builds.select_related("component")}
        observe(
            shop.product, environment=shop.production, digests=digests, observed_at=at(211), actor=shop.ci, now=at(211)
        )
    assert "find" not in kinds(shop.product)


def test_elsewhere_it_leaves_the_release_alone(shop: Shop) -> None:
    release = shop.deployed(shop.release("1.0"), shop.test)
    assert (shop.rolled_back(plan_of(release), minute=400).state, state(release)) == ("rolled_back", "accepted")


def test_it_costs_the_same_however_long_the_plan(
    shop: Shop, first: Release, django_assert_max_num_queries: Any
) -> None:
    steps = [TaskDraft(f"Step {n}", depends_on=(n - 1,) if n else ()) for n in range(40)]
    plan = shop.started(shop.release("2.0"), planned_start=at(200), latest_start=at(300), backout_tasks=steps)
    with django_assert_max_num_queries(20):
        back_out(plan, reason="It smokes.", actor=shop.deployer, now=at(210))
