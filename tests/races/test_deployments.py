"""Starts, ticks and reports at the same moment: one deployment runs, one plan starts once, one report is recorded."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from approvals.models import ChangeRequest
from deployments.commands import back_out, finish_plans, finish_task, start, start_due_plans
from deployments.models import Deployment, DeploymentPlan
from releasemgmt.releases.models import Release
from releasemgmt.workflow import queries
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Blocked, Refused
from tests.deployments.conftest import crowded as crowded
from tests.deployments.conftest import shop as shop
from tests.deployments.world import Shop, at, kinds, task
from tests.races.test_kernel import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_many_plans_for_one_environment_one_starts(crowded: Shop) -> None:
    plans = [crowded.scheduled(crowded.release(f"1.{n}")) for n in range(6)]
    results = at_once(*[partial(start, plan, actor=crowded.deployer, now=at(60)) for plan in plans])
    refused = [result for result in results if isinstance(result, Blocked)]
    assert [len(refused), Deployment.objects.running().count()] == [5, 1]
    assert {blocker.code for result in refused for blocker in result.blockers} == {"environment_busy"}
    assert DeploymentPlan.objects.filter(state="in_progress").count() == 1
    assert list(queries.breaks()) == []


def test_a_plan_that_many_start_at_once_starts_once(shop: Shop) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    results = at_once(*[partial(start, plan, actor=shop.deployer, now=at(60))] * 6)
    assert [result.state for result in results] == ["in_progress"] * 6
    assert (Deployment.objects.count(), kinds(plan).count("start")) == (1, 1)


def test_many_ticks_at_once_start_each_plan_once(crowded: Shop) -> None:
    plans = [crowded.scheduled(crowded.release(f"1.{n}"), crowded.test, autostart=True) for n in range(2)]
    plans += [crowded.scheduled(crowded.release("2.0"), autostart=True)]
    moved = at_once(*[partial(start_due_plans, at(60))] * 6)
    assert sum(moved) == Deployment.objects.count() == 2
    assert sorted(kinds(plan).count("start") for plan in plans) == [0, 1, 1]
    assert list(queries.breaks()) == []


def test_a_tick_and_a_deployer_start_it_once(shop: Shop) -> None:
    plan = shop.scheduled(shop.release("1.0"), autostart=True)
    at_once(*[partial(start_due_plans, at(60))] * 3, *[partial(start, plan, actor=shop.deployer, now=at(60))] * 3)
    assert (Deployment.objects.count(), kinds(plan).count("start")) == (1, 1)


def test_many_ticks_at_once_end_a_plan_once(shop: Shop) -> None:
    plan = shop.worked_off(shop.release("1.0"))
    moved = at_once(*[partial(finish_plans, at(100))] * 6)
    assert (sum(moved), kinds(plan).count("succeed"), kinds(plan.release).count("deploy")) == (1, 1, 1)
    assert list(queries.breaks()) == []


def test_a_way_back_keeps_its_lock_and_many_ticks_end_it_once(crowded: Shop) -> None:
    crowded.deployed(crowded.release("1.0"))
    plan = crowded.started(crowded.release("2.0"), planned_start=at(200), latest_start=at(300))
    other = crowded.scheduled(crowded.release("3.0"), planned_start=at(200), latest_start=at(300))
    backing_out = partial(back_out, plan, reason="It smokes.", actor=crowded.deployer, now=at(210))
    results = at_once(*[backing_out] * 3, *[partial(start, other, actor=crowded.deployer, now=at(210))] * 3)
    assert [isinstance(result, Blocked) for result in results] == [False] * 3 + [True] * 3
    assert (kinds(plan).count("back_out"), Deployment.objects.running().count()) == (1, 1)
    finish_task(task(plan, "Swap it back"), actor=crowded.deployer, now=at(211))
    moved = at_once(*[partial(finish_plans, at(212))] * 4)
    assert (sum(moved), kinds(plan).count("roll_back"), Deployment.objects.running().count()) == (1, 1, 0)
    assert list(queries.breaks()) == []


def test_a_start_and_a_rework_never_both_win(crowded: Shop) -> None:
    for n in range(8):
        release = crowded.release(f"1.{n}")
        plan = crowded.scheduled(release)
        results = at_once(
            partial(start, plan, actor=crowded.deployer, now=at(60)),
            partial(fire, release, "rework", actor=crowded.manager, now=at(60), reason="stop"),
        )
        assert sum(isinstance(result, Refused) for result in results) == 1
        sent_back = Release.objects.get(pk=release.pk).state == "planned"
        started = Deployment.objects.running().filter(release=release).exists()
        assert sent_back != started
        Deployment.objects.running().update(status="failed", finished_at=at(60))


def test_a_task_that_many_tick_is_ticked_once(shop: Shop) -> None:
    plan = shop.started(shop.release("1.0"))
    first = task(plan, "Swap the image")
    results: list[Any] = at_once(*[partial(finish_task, first, actor=shop.deployer, now=at(70))] * 6)
    assert [result.state for result in results] == ["done"] * 6
    assert kinds(plan).count("done") == 1


def test_a_report_that_is_sent_many_times_at_once_is_recorded_once(shop: Shop) -> None:
    release = shop.release("1.0")
    results = at_once(*[partial(shop.report, release=release, external_id="run-7")] * 6)
    assert sorted(new for _deployment, new in results) == [False] * 5 + [True]
    assert (Deployment.objects.count(), kinds(release).count("deploy")) == (1, 1)


def test_of_many_pipelines_that_begin_in_the_same_second_one_does(shop: Shop) -> None:
    releases = [shop.release(f"1.{n}") for n in range(3)]
    begins = {"status": "running", "started_at": at(0), "finished_at": None}
    results = at_once(*[partial(shop.report, release=each, **begins) for each in [*releases, *releases]])
    refused = [result for result in results if isinstance(result, Blocked)]
    assert [len(refused), Deployment.objects.running().count(), Deployment.objects.count()] == [5, 1, 1]
    assert {blocker.code for result in refused for blocker in result.blockers} == {"environment_busy"}
    assert sum(kinds(release).count("report") for release in releases) == 1
    assert list(queries.breaks()) == []


def test_an_unauthorised_report_that_is_sent_many_times_at_once_opens_one_change(shop: Shop) -> None:
    release = shop.release("1.0", to="built")
    results = at_once(*[partial(shop.report, release=release, external_id="run-7")] * 4)
    assert sorted(new for _deployment, new in results) == [False] * 3 + [True]
    assert ChangeRequest.objects.get().deployment == Deployment.objects.get()
    assert list(queries.breaks()) == []
