"""What keeps a plan from its time: other plans, changes that collide; and a database that changes for good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from approvals.commands import create_change
from approvals.models import ChangeConflict, ChangeRequest
from deployments import policies
from deployments.commands import TaskDraft, finish_task, skip_task, start, start_due_plans
from deployments.models import DeploymentPlan
from deployments.queries import readiness
from releasemgmt.releases.commands import create_release, edit_release
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Blocked, Invalid
from tests.conftest import NOW
from tests.deployments.conftest import let_plans_overlap
from tests.deployments.world import BACK, HOUR, TASKS, Shop, at, codes, refused, task
from tests.factories import ProductFactory

LONG = (TaskDraft("Migrate", estimate_minutes=20), TaskDraft("Swap", estimate_minutes=10))


def ready(shop: Shop, version: str, begin: int, end: int, **fields: Any) -> DeploymentPlan:
    """A plan that would start between these minutes from now."""
    times = {"planned_start": at(begin), "latest_start": at(end)}
    plan = shop.plan(shop.release(version), **{**times, **fields})
    return fire(plan, "prepare", actor=shop.manager, now=NOW)


def schedule(shop: Shop, plan: DeploymentPlan) -> DeploymentPlan:
    return fire(plan, "schedule", actor=shop.manager, now=NOW)


@pytest.mark.parametrize(
    ("begin", "end", "minutes", "collides"),
    [
        (0, 60, None, False),
        (0, 30, 30, False),
        (0, 30, 31, True),
        (60, 60, None, True),
        (100, 100, None, True),
        (149, 200, None, True),
        (150, 200, 30, False),
    ],
)
def test_two_plans_of_a_product_do_not_share_a_time(
    shop: Shop, begin: int, end: int, minutes: int | None, collides: bool
) -> None:
    first = schedule(shop, ready(shop, "1.0", 60, 120, tasks=LONG))
    second = ready(shop, "2.0", begin, end, tasks=[TaskDraft("Swap", estimate_minutes=minutes)])
    if not collides:
        assert schedule(shop, second).state == "scheduled"
        return
    with refused(Blocked, second, first) as caught:
        schedule(shop, second)
    (blocker,) = caught.value.blockers
    assert (blocker.code, blocker.next_open) == ("schedule_conflict", at(150))
    assert f"{first} has that environment from 2026-03-02 10:00 UTC to 2026-03-02 11:30 UTC" in blocker.reason


def test_another_product_or_environment_or_a_plan_that_is_over_is_in_nobodys_way(shop: Shop) -> None:
    schedule(shop, ready(shop, "1.0", 60, 120))
    assert schedule(shop, ready(shop, "2.0", 60, 120, environment=shop.test)).state == "scheduled"
    mill = ProductFactory(key="mill", team=shop.product.team)
    release, _new = create_release(product=mill, version="1.0", actor=shop.author, now=NOW)
    assert shop.scheduled(release, shop.test).state == "scheduled"
    gone = schedule(shop, ready(shop, "3.0", 300, 360))
    fire(gone, "cancel", actor=shop.manager, now=NOW, reason="Not this week.")
    assert schedule(shop, ready(shop, "4.0", 300, 360)).state == "scheduled"


def test_of_two_that_overlap_the_earlier_one_starts_first(shop: Shop, settings: Any) -> None:
    """As it was possible before conflicts were looked for."""
    gates = settings.WORKFLOW_GATES
    let_plans_overlap(settings)
    first = schedule(shop, ready(shop, "1.0", 60, 120))
    second = schedule(shop, ready(shop, "2.0", 60, 180))
    settings.WORKFLOW_GATES = gates
    with refused(Blocked, second, first) as caught:
        start(second, actor=shop.deployer, now=at(90))
    assert codes(caught) == ["schedule_conflict"]
    assert start(first, actor=shop.deployer, now=at(90)).state == "in_progress"
    with refused(Blocked, second) as caught:
        start(second, actor=shop.deployer, now=at(91))
    assert codes(caught) == ["environment_busy"]


def test_what_was_missed_is_in_nobodys_way(shop: Shop) -> None:
    schedule(shop, ready(shop, "1.0", 60, 120))
    start_due_plans(at(121))
    assert schedule(shop, ready(shop, "2.0", 110, 150)).state == "scheduled"


def test_readiness_names_what_is_scheduled_then_but_not_the_release_itself(shop: Shop) -> None:
    first = schedule(shop, ready(shop, "1.0", 60, 120))
    found = {
        version: [blocker.code for verdict in readiness(release, shop.production, at=at(90)).verdicts
                  if verdict.gate == "no_conflict" for blocker in verdict.blockers]
        for version, release in (("1.0", first.release), ("2.0", shop.release("2.0")))
    }  # fmt: skip
    assert found == {"1.0": [], "2.0": ["schedule_conflict"]}


# --- the earliest start ---


def earliest(shop: Shop, release: Release, minute: int) -> Any:
    return readiness(release, shop.production, at=at(minute)).earliest_start


@pytest.mark.parametrize(("minute", "starts"), [(59, 59), (60, 150), (149, 150), (150, 150), (210, 270)])
def test_another_plan_puts_the_earliest_start_off_until_it_is_over(shop: Shop, minute: int, starts: int) -> None:
    schedule(shop, ready(shop, "1.0", 60, 120, tasks=LONG))
    schedule(shop, ready(shop, "1.1", 200, 270))
    assert earliest(shop, shop.release("2.0"), minute) == at(starts)


def test_what_a_plan_takes_itself_has_to_fit_before_the_other_one(shop: Shop) -> None:
    schedule(shop, ready(shop, "1.0", 60, 120))
    plan = ready(shop, "2.0", 500, 600, tasks=LONG)
    assert [earliest(shop, plan.release, minute) for minute in (29, 30, 31)] == [at(29), at(30), at(120)]
    schedule(shop, plan)
    assert earliest(shop, plan.release, 500) == at(500), "it is not in its own way"


def test_what_runs_puts_it_off_as_long_as_it_is_estimated(shop: Shop) -> None:
    running = schedule(shop, ready(shop, "1.0", 60, 120, tasks=LONG))
    start(running, actor=shop.deployer, now=at(60))
    found = readiness(shop.release("2.0"), shop.production, at=at(61))
    assert (found.earliest_start, found.is_ready) == (at(150), False)
    assert {"schedule_conflict", "environment_busy"} <= {
        blocker.code for verdict in found.verdicts for blocker in verdict.blockers
    }


def change(shop: Shop, begin: int, end: int, **fields: Any) -> ChangeRequest:
    """A change of the shop's api in production, begun, with these minutes for its interval."""
    facts = {"title": "Resize", "components": [shop.product.components.get(key="api")], **fields}
    facts = {"environments": [shop.production], "planned_start": at(begin), "planned_end": at(end), **facts}
    made = create_change(product=shop.product, actor=shop.author, now=NOW, **facts)
    ChangeRequest.objects.filter(pk=made.pk).update(state="implementation")
    return ChangeRequest.objects.get(pk=made.pk)


@pytest.mark.parametrize(
    ("kind", "about", "collides"),
    [
        ("component", {}, True),
        ("environment", {}, True),
        ("environment", {"state": "scheduled"}, False),
        ("implementer", {}, False),
        ("component", {"planned_start": at(121)}, False),
        ("component", {"planned_end": at(60)}, False),
    ],
)
def test_a_change_that_collides_and_is_carried_out_then_is_in_the_way(
    shop: Shop, kind: str, about: dict[str, Any], collides: bool
) -> None:
    plan = ready(shop, "1.0", 60, 120)
    own, other = change(shop, 0, 300, releases=[plan.release]), change(shop, 30, 200)
    ChangeConflict.objects.create(change=own, other=other, kind=kind, found_at=NOW)
    ChangeRequest.objects.filter(pk=other.pk).update(**about)
    if not collides:
        assert schedule(shop, plan).state == "scheduled"
        return
    with refused(Blocked, plan, own, other) as caught:
        schedule(shop, plan)
    assert codes(caught) == ["schedule_conflict"]
    assert str(other) in str(caught.value)


def test_a_change_of_another_release_goes_with_that_ones_plan(shop: Shop) -> None:
    plan = ready(shop, "1.0", 60, 120)
    own = change(shop, 0, 300, releases=[plan.release])
    other = change(shop, 0, 300, releases=[shop.release("2.0")])
    elsewhere = change(shop, 0, 300, environments=[shop.test])
    for each in (other, elsewhere):
        ChangeConflict.objects.create(change=own, other=each, kind="component", found_at=NOW)
    assert schedule(shop, plan).state == "scheduled"


# --- a database that changes for good ---

SAVED = (
    TaskDraft("Dump", purpose="backup"),
    TaskDraft("Migrate", purpose="database", depends_on=(0,)),
    TaskDraft("Swap", depends_on=(1,)),
)
LOADED = (TaskDraft("Load the dump", purpose="restore"),)


def irreversible(shop: Shop, version: str = "1.0") -> Release:
    changes = {"database_change": "irreversible"}
    return edit_release(shop.release(version), changes=changes, actor=shop.author, now=NOW)


@pytest.mark.parametrize(
    ("tasks", "backout_tasks", "expected"),
    [
        (SAVED, LOADED, []),
        (SAVED, BACK, ["no_restore_task"]),
        (TASKS, LOADED, ["no_backup_task"]),
        ((SAVED[0], TaskDraft("Migrate", purpose="database"), TaskDraft("Swap")), LOADED, ["backup_not_first"] * 2),
        ((SAVED[0], TaskDraft("Tell", purpose="communicate")), LOADED, []),
    ],
)
def test_an_irreversible_change_needs_a_backup_first_and_a_restore(
    shop: Shop, tasks: Any, backout_tasks: Any, expected: list[str]
) -> None:
    plan = shop.plan(irreversible(shop), tasks=tasks, backout_tasks=backout_tasks)
    if not expected:
        assert fire(plan, "prepare", actor=shop.manager, now=NOW).state == "ready"
        return
    with refused(Blocked, plan) as caught:
        fire(plan, "prepare", actor=shop.manager, now=NOW)
    assert codes(caught) == expected


def test_a_reversible_change_or_another_environment_needs_none(shop: Shop) -> None:
    assert fire(shop.plan(irreversible(shop), shop.test), "prepare", actor=shop.manager, now=NOW).state == "ready"


def test_a_change_that_turned_out_irreversible_closes_schedule_and_start(shop: Shop) -> None:
    release = shop.release("1.0")
    plan, other = shop.scheduled(release), ready(shop, "2.0", 300, 360)
    for each in (release, other.release):
        edit_release(each, changes={"database_change": "irreversible"}, actor=shop.author, now=NOW)
    with refused(Blocked, other) as caught:
        schedule(shop, DeploymentPlan.objects.get(pk=other.pk))
    assert codes(caught) == ["no_backup_task", "no_restore_task"]
    with refused(Blocked, plan) as caught:
        start(DeploymentPlan.objects.get(pk=plan.pk), actor=shop.deployer, now=plan.planned_start)
    assert codes(caught) == ["no_backup_task", "no_restore_task"]


def test_a_pipeline_needs_a_plan_that_is_prepared_for_it(shop: Shop) -> None:
    release = irreversible(shop)
    begins: dict[str, Any] = {"release": release, "status": "running", "started_at": NOW, "finished_at": None}
    with refused(Blocked, release) as caught:
        shop.report(**begins)
    assert codes(caught) == ["needs_plan"]
    plan = shop.plan(release, tasks=SAVED, backout_tasks=LOADED)
    fire(plan, "prepare", actor=shop.manager, now=NOW)
    assert shop.report(**begins)[0].status == "running"


def test_a_backup_is_shown_and_never_skipped(shop: Shop) -> None:
    plan = shop.started(irreversible(shop), tasks=SAVED, backout_tasks=LOADED)
    dump, when = task(plan, "Dump"), plan.planned_start + HOUR / 4
    with refused(Invalid, plan) as caught:
        finish_task(dump, actor=shop.deployer, now=when, evidence=" ")
    assert list(caught.value.errors) == ["evidence"]
    with refused(Blocked, plan) as blocked:
        skip_task(dump, actor=shop.deployer, now=when, reason="It takes long.")
    assert codes(blocked) == ["backup_needed"]
    finish_task(dump, actor=shop.deployer, now=when, evidence="s3://dumps/1, restored on a copy")
    assert task(plan, "Migrate").state == "in_progress"


def test_a_backup_that_is_not_needed_may_be_skipped(shop: Shop) -> None:
    plan = shop.started(shop.release("1.0"), tasks=SAVED, backout_tasks=LOADED)
    later = plan.planned_start + timedelta(minutes=1)
    assert skip_task(task(plan, "Dump"), actor=shop.deployer, now=later, reason="No data yet.").state == "skipped"


def test_what_comes_after_a_task_is_found_through_others() -> None:
    waits: dict[int, set[int]] = {0: set(), 1: {0}, 2: {1, 3}, 3: set(), 4: {3}}
    assert (policies.come_after({0}, waits), policies.come_after({3}, waits)) == ({1, 2}, {2, 4})
