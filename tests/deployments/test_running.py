"""An attempt from its start to its end, and the ticks that start and end plans by themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from deployments.commands import (
    TaskDraft,
    create_plan,
    fail,
    fail_task,
    finish_plans,
    finish_task,
    skip_task,
    start,
    start_due_plans,
)
from deployments.models import DeployedBuild, Deployment, DeploymentPlan
from releasemgmt.accounts.commands import system
from releasemgmt.releases.commands import edit_release
from releasemgmt.releases.models import Commit, Release
from releasemgmt.workflow import queries
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Invalid, NotPermitted
from tests.deployments.world import Shop, at, kinds, picture, refused, task
from tests.factories import ProductFactory, someone

MINUTE = timedelta(minutes=1)


def test_a_start_takes_the_environment_with_the_releases_builds(shop: Shop) -> None:
    release = shop.release("1.0")
    plan = shop.started(release)
    deployment = Deployment.objects.get()
    assert (deployment.plan, deployment.status, deployment.origin) == (plan, "running", "engine")
    assert (deployment.release, deployment.environment) == (release, shop.production)
    assert set(deployment.builds.all()) == set(release.builds.all())
    assert not DeployedBuild.objects.exclude(succeeded_at=None).exists()


def test_a_start_again_changes_nothing(shop: Shop) -> None:
    plan = shop.started(shop.release("1.0"))
    before = picture(plan)
    assert start(plan, actor=shop.deployer, now=plan.planned_start).state == "in_progress"
    assert picture(plan) == before


@pytest.mark.parametrize(
    "role", ["contributor", "release_manager", "cab_member", "cab_chair", "auditor", "administrator"]
)
def test_others_start_nothing(shop: Shop, role: str) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    with refused(NotPermitted, plan):
        start(plan, actor=someone(role, team=shop.product.team), now=plan.planned_start)


@pytest.mark.parametrize("role", ["deployer", "service"])
def test_deployers_and_services_start(shop: Shop, role: str) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    assert start(plan, actor=someone(role, team=shop.product.team), now=plan.planned_start).state == "in_progress"


def test_a_token_without_the_scope_starts_nothing(shop: Shop) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    shop.ci.scopes = frozenset({"write"})
    with refused(NotPermitted, plan):
        start(plan, actor=shop.ci, now=plan.planned_start)


def test_after_the_last_task_the_tick_ends_the_plan_and_the_release_is_deployed(shop: Shop) -> None:
    release = shop.release("1.0")
    plan = shop.worked_off(release)
    assert plan.state == "in_progress"
    assert finish_plans(at(100)) == 1
    plan.refresh_from_db()
    release.refresh_from_db()
    assert (plan.state, release.state, release.released_at) == ("succeeded", "deployed", at(100))
    deployment = Deployment.objects.get()
    assert (deployment.status, deployment.finished_at) == ("succeeded", at(100))
    ended = queries.timeline(plan)[0]
    assert (ended.actor, ended.on_behalf_of) == (system(), shop.deployer)
    assert kinds(release)[:2] == ["step", "deploy"]
    assert list(queries.breaks()) == []


def test_a_production_success_shows_the_release_to_everyone(shop: Shop) -> None:
    release = shop.deployed(shop.release("1.0"))
    step = release.exposures.get()
    assert (step.percent, step.environment) == (100, shop.production)


def test_where_the_model_separates_exposure_nobody_sees_it_yet(shop: Shop) -> None:
    model = shop.product.default_model
    type(model).objects.filter(pk=model.pk).update(exposure="separate")
    release = shop.deployed(shop.release("1.0"))
    assert (release.state, release.exposures.exists()) == ("deployed", False)


def test_a_success_elsewhere_leaves_the_release_alone(shop: Shop) -> None:
    release = shop.deployed(shop.release("1.0"), shop.test)
    assert (release.state, release.released_at, release.exposures.exists()) == ("accepted", None, False)


def test_a_second_production_environment_leaves_the_release_alone(shop: Shop) -> None:
    release = shop.deployed(shop.release("1.0"))
    before = kinds(release)
    release = shop.deployed(release, planned_start=at(200), latest_start=at(300))
    assert (kinds(release), release.released_at) == (before, at(120))


def test_a_release_on_hold_is_still_evidence_once_it_is_deployed(shop: Shop) -> None:
    release = shop.release("1.0")
    shop.worked_off(release)
    edit_release(release, changes={"on_hold": True, "hold_reason": "audit"}, actor=shop.manager, now=at(95))
    finish_plans(at(100))
    assert Release.objects.get(pk=release.pk).state == "deployed"


def test_the_release_owns_its_commits_once_it_is_deployed(shop: Shop) -> None:
    release = shop.release("1.0")
    sha = release.builds.first().commit_sha  # type: ignore[union-attr]
    commit = Commit.objects.create(product=shop.product, sha=sha, authored_at=at(0), committed_at=at(0))
    release = shop.deployed(release)
    commit.refresh_from_db()
    assert commit.first_release == release


def test_a_plan_with_a_task_left_goes_on(shop: Shop) -> None:
    plan = shop.started(shop.release("1.0"))
    finish_task(task(plan, "Swap the image"), actor=shop.deployer, now=at(70))
    before = picture(plan)
    assert finish_plans(at(100)) == 0
    fail_task(task(plan, "Look at the graphs"), reason="red", actor=shop.deployer, now=at(80))
    assert finish_plans(at(100)) == 0
    assert picture(plan)[0] != before[0]
    skip_task(task(plan, "Look at the graphs"), reason="false alarm", actor=shop.deployer, now=at(90))
    assert finish_plans(at(100)) == 1


def test_the_second_tick_finds_nothing_to_end(shop: Shop) -> None:
    plan = shop.worked_off(shop.release("1.0"))
    assert finish_plans(at(100)) == 1
    before = picture(plan)
    assert finish_plans(at(101)) == 0
    assert picture(plan) == before


def test_a_failed_attempt_frees_the_environment_and_leaves_the_release(shop: Shop) -> None:
    release = shop.release("1.0")
    plan = fail(shop.started(release), reason="smoke", actor=shop.deployer, now=at(80))
    deployment = Deployment.objects.get()
    assert (plan.state, deployment.status, deployment.finished_at) == ("failed", "failed", at(80))
    assert Release.objects.get(pk=release.pk).state == "accepted"
    assert shop.started(shop.release("2.0")).state == "in_progress"


def test_giving_up_needs_a_reason_and_a_deployer(shop: Shop) -> None:
    plan = shop.started(shop.release("1.0"))
    with refused(Invalid, plan):
        fail(plan, reason="", actor=shop.deployer, now=at(80))
    for actor in (shop.manager, shop.author, someone("deployer", team=ProductFactory().team)):
        with refused(NotPermitted, plan):
            fail(plan, reason="smoke", actor=actor, now=at(80))


def test_nobody_ends_a_plan_by_a_button(shop: Shop) -> None:
    plan = shop.worked_off(shop.release("1.0"))
    for actor in (shop.manager, shop.deployer, shop.ci, someone("deployer", is_superuser=True)):
        with refused(NotPermitted, plan):
            fire(plan, "succeed", actor=actor, now=at(80))


class TestDuePlans:
    """The tick that starts what is due."""

    @pytest.fixture
    def plan(self, shop: Shop) -> DeploymentPlan:
        return shop.scheduled(shop.release("1.0"), autostart=True)

    def test_before_its_time_nothing_happens(self, plan: DeploymentPlan) -> None:
        before = picture(plan)
        assert start_due_plans(plan.planned_start - MINUTE) == 0
        assert picture(plan) == before

    def test_when_due_it_starts_on_behalf_of_who_scheduled_it(self, shop: Shop, plan: DeploymentPlan) -> None:
        assert start_due_plans(plan.planned_start) == 1
        event = queries.timeline(plan)[0]
        assert (event.kind, event.actor) == ("deployments.deploymentplan.start", system())
        assert event.on_behalf_of == shop.manager
        assert Deployment.objects.running().get().started_at == plan.planned_start

    def test_the_second_tick_starts_nothing(self, plan: DeploymentPlan) -> None:
        start_due_plans(plan.planned_start)
        before = picture(plan)
        assert start_due_plans(plan.planned_start) == 0
        assert picture(plan) == before

    def test_too_late_is_missed_and_never_run(self, plan: DeploymentPlan) -> None:
        assert start_due_plans(plan.latest_start + MINUTE) == 1
        plan.refresh_from_db()
        assert (plan.state, Deployment.objects.count(), kinds(plan)[0]) == ("missed", 0, "miss")

    def test_at_the_last_moment_it_still_starts(self, plan: DeploymentPlan) -> None:
        start_due_plans(plan.latest_start)
        assert DeploymentPlan.objects.get(pk=plan.pk).state == "in_progress"

    def test_what_holds_it_up_is_said_once_and_again_when_it_changes(self, crowded: Shop, plan: DeploymentPlan) -> None:
        hold = {"on_hold": True, "hold_reason": "audit"}
        edit_release(plan.release, changes=hold, actor=crowded.manager, now=at(10))
        for minute in (60, 61, 62):
            assert start_due_plans(at(minute)) == 0
        notice = queries.timeline(plan)[0]
        assert (kinds(plan)[0], kinds(plan).count("hold_up")) == ("hold_up", 1)
        assert [blocker["code"] for blocker in notice.data["blockers"]] == ["on_hold"]
        crowded.started(crowded.release("2.0"))
        start_due_plans(at(63))
        assert kinds(plan).count("hold_up") == 2
        assert DeploymentPlan.objects.get(pk=plan.pk).held_up_by == "environment_busy on_hold"

    def test_it_starts_once_nothing_holds_it_up(self, crowded: Shop, plan: DeploymentPlan) -> None:
        busy = crowded.started(crowded.release("2.0"))
        start_due_plans(at(60))
        fail(busy, reason="gave up", actor=crowded.deployer, now=at(61))
        assert start_due_plans(at(62)) == 1
        plan.refresh_from_db()
        assert (plan.state, plan.held_up_by) == ("in_progress", "")

    def test_held_up_until_too_late_it_is_missed(self, crowded: Shop, plan: DeploymentPlan) -> None:
        crowded.started(crowded.release("2.0"))
        start_due_plans(at(60))
        start_due_plans(plan.latest_start + MINUTE)
        assert kinds(plan)[:2] == ["miss", "hold_up"]

    def test_one_that_does_not_start_by_itself_asks_for_a_deployer_once(self, shop: Shop) -> None:
        plan = shop.scheduled(shop.release("1.0"))
        for minute in (60, 61):
            assert start_due_plans(at(minute)) == 0
        plan.refresh_from_db()
        assert (plan.state, plan.held_up_by, kinds(plan).count("hold_up")) == ("scheduled", "waits_for_deployer", 1)
        assert start(plan, actor=shop.deployer, now=at(62)).held_up_by == ""

    def test_one_that_breaks_does_not_keep_the_others_waiting(self, shop: Shop, settings: Any) -> None:
        broken = shop.scheduled(shop.release("1.0"), shop.test, autostart=True)
        sound = shop.scheduled(shop.release("2.0"), autostart=True)
        settings.WORKFLOW_GATES["deployments.DeploymentPlan.start"] = [f"{__name__}.breaks_in_test"]
        assert start_due_plans(at(60)) == 1
        assert DeploymentPlan.objects.get(pk=sound.pk).state == "in_progress"
        assert DeploymentPlan.objects.get(pk=broken.pk).state == "scheduled"


def breaks_in_test(plan: DeploymentPlan, *, now: Any) -> list[Any]:
    """A gate whose answer can't be read, so that the command itself fails."""
    return ["not a blocker"] if plan.environment.key == "test" else []


def test_a_tick_that_finds_nothing_asks_once(shop: Shop, django_assert_num_queries: Any) -> None:
    shop.plan(shop.release("1.0"))
    with django_assert_num_queries(1):
        start_due_plans(at(0))
    with django_assert_num_queries(1):
        finish_plans(at(0))


def test_a_start_costs_the_same_however_long_the_plan(shop: Shop, django_assert_max_num_queries: Any) -> None:
    tasks = [TaskDraft(f"Step {n}", depends_on=(n - 1,) if n else ()) for n in range(40)]
    plan = shop.scheduled(shop.release("1.0"), tasks=tasks)
    with django_assert_max_num_queries(30):
        start(plan, actor=shop.deployer, now=plan.planned_start)
    with django_assert_max_num_queries(16):
        finish_task(task(plan, "Step 0"), actor=shop.deployer, now=at(70))


def test_creating_a_plan_costs_the_same_however_long_it_is(shop: Shop, django_assert_max_num_queries: Any) -> None:
    release = shop.release("1.0")
    tasks = [TaskDraft(f"Step {n}", depends_on=(n - 1,) if n else ()) for n in range(40)]
    facts: dict[str, Any] = {
        "release": release,
        "environment": shop.production,
        "planned_start": at(60),
        "latest_start": at(90),
    }
    with django_assert_max_num_queries(12):
        create_plan(**facts, tasks=tasks, actor=shop.manager, now=at(0))
