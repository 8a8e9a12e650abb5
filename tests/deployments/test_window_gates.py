"""Windows at the start of a deployment: judged for the planned start when it is scheduled, and again for now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals.commands import create_change
from deployments import gates
from deployments.commands import start, start_due_plans
from deployments.commands.windows import end_window
from deployments.models import DeploymentPlan, Occurrence
from deployments.queries import window_verdict
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Blocked
from tests.conftest import NOW
from tests.deployments.windows import NIGHTLY, chair, freeze, left_alone, on_from, window
from tests.deployments.world import HOUR, Shop, codes, kinds
from tests.factories import ProductFactory, someone

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def prepared(shop: Shop, **fields: Any) -> DeploymentPlan:
    """Planned for an hour from now, to start within an hour."""
    return fire(shop.plan(shop.release("1.0"), **fields), "prepare", actor=shop.manager, now=NOW)


def fresh(plan: DeploymentPlan) -> DeploymentPlan:
    return DeploymentPlan.objects.select_related("release__product", "environment").get(pk=plan.pk)


def test_without_windows_everything_is_open(shop: Shop) -> None:
    assert shop.started(shop.release("1.0")).state == "in_progress"


@pytest.mark.parametrize("begin", [0.5, 1])
def test_a_plan_is_scheduled_into_a_window(shop: Shop, begin: float, now: datetime) -> None:
    window(shop, **on_from(now + begin * HOUR, 1))
    assert fire(prepared(shop), "schedule", actor=shop.manager, now=now).state == "scheduled"


@pytest.mark.parametrize("begin", [0, 1.5])
def test_a_plan_is_not_scheduled_outside_of_every_window(shop: Shop, begin: float, now: datetime) -> None:
    window(shop, **on_from(now + begin * HOUR, 1))
    plan = prepared(shop)
    with left_alone(Blocked, plan) as caught:
        fire(plan, "schedule", actor=shop.manager, now=now)
    assert codes(caught) == ["outside_window"]
    assert caught.value.blockers[0].who_can_clear == ("cab_chair",)


@pytest.mark.parametrize(("begin", "is_open"), [(0, True), (0.5, False), (1, False), (1.5, True)])
def test_a_plan_is_not_scheduled_into_a_freeze(shop: Shop, begin: float, is_open: bool, now: datetime) -> None:
    freeze(shop, begin)
    plan = prepared(shop)
    if is_open:
        assert fire(plan, "schedule", actor=shop.manager, now=now).state == "scheduled"
        return
    with left_alone(Blocked, plan) as caught:
        fire(plan, "schedule", actor=shop.manager, now=now)
    assert codes(caught) == ["frozen"]
    assert caught.value.extra()["next_open"] == now + (begin + 1) * HOUR


def test_the_start_judges_again_now(shop: Shop, now: datetime) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    freeze(shop, 0, 1.5)
    with left_alone(Blocked, plan) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert codes(caught) == ["frozen"]
    opens = now + 1.5 * HOUR
    assert (caught.value.blockers[0].next_open, caught.value.extra()["next_open"]) == (opens, opens)
    assert "The freeze “Year end” (WIN-" in str(caught.value) and "until 2026-03-02 10:30 UTC" in str(caught.value)
    assert start(plan, actor=shop.deployer, now=opens).state == "in_progress"


def test_what_waits_for_a_window_starts_by_itself_when_it_opens(shop: Shop, now: datetime) -> None:
    plan = shop.scheduled(shop.release("1.0"), autostart=True)
    freeze(shop, 0, 1.5)
    assert [start_due_plans(now + hours * HOUR) for hours in (1, 1.25, 1.5)] == [0, 0, 1]
    assert fresh(plan).state == "in_progress"
    assert kinds(plan)[:2] == ["start", "hold_up"]


def test_a_freeze_that_ends_early_lets_it_go(shop: Shop, now: datetime) -> None:
    shop.scheduled(shop.release("1.0"), autostart=True)
    frozen = freeze(shop, 0, 9)
    assert start_due_plans(now + HOUR) == 0
    end_window(frozen, actor=chair(shop), now=now + HOUR, reason="All is well.")
    assert start_due_plans(now + HOUR + MINUTE) == 1


def test_what_waits_too_long_is_missed_and_never_run_late(shop: Shop, now: datetime) -> None:
    plan = shop.scheduled(shop.release("1.0"), autostart=True)
    freeze(shop, 0, 9)
    assert [start_due_plans(now + hours * HOUR) for hours in (1, 2, 2.01, 9)] == [0, 0, 1, 0]
    assert fresh(plan).state == "missed"


@pytest.mark.parametrize(
    ("minutes", "fits"), [(None, True), (60, True), (61, False)], ids=["not estimated", "just", "too long"]
)
def test_the_way_back_fits_into_the_rest_of_the_window(
    shop: Shop, minutes: int | None, fits: bool, now: datetime
) -> None:
    window(shop, **on_from(now, 2))
    plan = prepared(shop, backout_minutes=minutes)
    if not fits:
        with left_alone(Blocked, plan) as caught:
            fire(plan, "schedule", actor=shop.manager, now=now)
        assert codes(caught) == ["backout_does_not_fit"]
        return
    plan = fire(plan, "schedule", actor=shop.manager, now=now)
    late = plan.planned_start + MINUTE
    if minutes:
        with left_alone(Blocked, plan) as caught:
            start(plan, actor=shop.deployer, now=late)
        assert codes(caught) == ["backout_does_not_fit"]
    assert start(plan, actor=shop.deployer, now=plan.planned_start).state == "in_progress"


def test_the_way_back_ends_before_a_freeze_begins(shop: Shop, now: datetime) -> None:
    freeze(shop, 1.5, 5)
    plan = prepared(shop, backout_minutes=45)
    with left_alone(Blocked, plan) as caught:
        fire(plan, "schedule", actor=shop.manager, now=now)
    assert codes(caught) == ["backout_does_not_fit"]


# --- scopes ---


@pytest.mark.parametrize(
    ("scope", "counts"),
    [
        ({}, True),
        ({"environment": None}, True),
        ({"environment": None, "tier": "production"}, True),
        ({"environment": None, "tier": "test"}, False),
        ({"environment": "test"}, False),
        ({"product": None}, True),
        ({"product": None, "environment": None}, True),
        ({"product": "other"}, False),
        ({"product": "other", "environment": None}, False),
    ],
)
def test_a_freeze_counts_in_its_scope(shop: Shop, scope: dict[str, Any], counts: bool, now: datetime) -> None:
    given = dict(scope)
    if given.get("environment"):
        given["environment"] = shop.test
    if given.get("product"):
        given["product"] = ProductFactory(environments=[shop.production])
    freeze(shop, actor=someone("cab_chair"), **given)
    assert window_verdict(shop.production, shop.product, at=now).is_open is not counts


def test_only_what_is_in_force_counts(shop: Shop, now: datetime) -> None:
    asked = freeze(shop, actor=shop.manager)
    assert window_verdict(shop.production, shop.product, at=now).is_open
    fire(asked, "decline", actor=chair(shop), now=now, reason="No.")
    ended = window(shop, **on_from(now + HOUR, 1))
    assert not window_verdict(shop.production, shop.product, at=now).is_open
    end_window(ended, actor=chair(shop), now=now, reason="Not needed.")
    assert window_verdict(shop.production, shop.product, at=now).is_open


def test_a_window_that_does_not_come_again_leaves_it_closed(shop: Shop, now: datetime) -> None:
    window(shop)
    found = window_verdict(shop.production, shop.product, at=now + DAY)
    assert (found.is_open, found.next_open, found.known_until) == (False, None, None)


def test_where_changes_are_not_controlled_windows_do_not_count(shop: Shop, now: datetime) -> None:
    shop.production.change_controlled = False
    shop.production.save()
    freeze(shop, 0, 9)
    assert shop.started(shop.release("1.0")).state == "in_progress"


def test_beyond_what_is_laid_out_nothing_is_promised(shop: Shop, now: datetime) -> None:
    nightly = window(shop, **NIGHTLY)
    found = window_verdict(shop.production, shop.product, at=now + 400 * DAY)
    assert ([code for code, _ in found.closed_by], found.known_until) == (["not_laid_out"], nightly.laid_out_until)
    assert window_verdict(shop.test, shop.product, at=now + 4000 * DAY).is_open


def test_a_far_turn_is_found_too(shop: Shop, now: datetime) -> None:
    freeze(shop, 24 * 100, 24)
    found = window_verdict(shop.production, shop.product, at=now)
    assert (found.next_close, found.next_open) == (now + 100 * DAY, now + 101 * DAY)
    ended = freeze(shop, 24 * 20, 24 * 90)
    assert window_verdict(shop.production, shop.product, at=now).next_open == now + 110 * DAY
    end_window(ended, actor=chair(shop), now=now, reason="No.")


def test_a_verdict_takes_three_statements_however_many_times_there_are(shop: Shop, now: datetime) -> None:
    """100,000 times: half of them around, in scope, half for other products."""
    frozen = [freeze(shop, -1, 2) for _ in range(5)]
    other = ProductFactory(environments=[shop.production])
    others = [freeze(shop, -1, 2, product=other, actor=someone("cab_chair")) for _ in range(5)]
    Occurrence.objects.bulk_create(
        Occurrence(window=each, starts_at=now + n * HOUR, ends_at=now + (n + 0.5) * HOUR)
        for each in [*frozen, *others]
        for n in range(1, 10_001)
    )
    with CaptureQueriesContext(connection) as captured:
        found = window_verdict(shop.production, shop.product, at=now)
    assert len(captured) <= 3
    assert (found.next_open, found.next_close) == (now + 1.5 * HOUR, now + 2 * HOUR)
    Occurrence.objects.filter(window__in=frozen, starts_at__gt=now).update(ends_at=now + 30_000 * HOUR)
    with CaptureQueriesContext(connection) as captured:
        found = window_verdict(shop.production, shop.product, at=now)
    assert len(captured) == 3
    assert (found.is_open, found.next_open) == (False, now + 30_000 * HOUR)


# --- changes that are carried out by themselves ---


def test_windows_hold_for_changes_by_themselves_and_not_for_emergencies(shop: Shop, now: datetime) -> None:
    frozen = freeze(shop, 0, 2)
    change = _change(shop)
    (blocker,) = gates.change_window_open(change, now=now)
    assert (blocker.code, blocker.next_open) == ("frozen", now + 2 * HOUR)
    assert frozen.number in blocker.reason
    assert gates.change_window_open(change, now=now + 2 * HOUR) == []
    change.releases.add(shop.release("1.0"))
    assert gates.change_window_open(change, now=now) == []
    assert gates.change_window_open(_change(shop, type="emergency"), now=now) == []
    assert gates.change_window_open(_change(shop, environments=[shop.test]), now=now) == []


def _change(shop: Shop, **fields: Any) -> Any:
    facts = {"title": "A change", "environments": [shop.production], **fields}
    return create_change(product=shop.product, actor=shop.author, now=NOW, **facts)
