"""Overrides: asked for by one person, approved by another, used by starts, until they are used up or expired."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from deployments.commands import (
    approve_override,
    decline_override,
    edit_override,
    fail,
    reschedule,
    start,
    start_due_plans,
    withdraw_override,
)
from deployments.commands.windows import end_window
from deployments.models import DeploymentPlan, Window, WindowOverride
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Blocked, Conflict, Invalid, NotPermitted
from releasemgmt.workflow.models import Event
from tests.conftest import NOW
from tests.deployments.windows import approved, chair, freeze, left_alone, on_from, override, window
from tests.deployments.world import HOUR, Shop, codes, kinds
from tests.factories import someone

DAY = timedelta(days=1)


def again(row: WindowOverride) -> WindowOverride:
    return WindowOverride.objects.get(pk=row.pk)


def frozen_plan(shop: Shop, **fields: Any) -> DeploymentPlan:
    """Scheduled for an hour from now; then a freeze came that lasts nine."""
    plan = shop.scheduled(shop.release("1.0"), **fields)
    freeze(shop, 0, 9)
    return plan


def the_freeze() -> Window:
    return Window.objects.get()


# --- who ---


def test_one_person_asks_and_another_approves(shop: Shop, now: datetime) -> None:
    release, frozen = shop.release("1.0"), freeze(shop)
    asked = override(shop, release, frozen)
    assert (asked.state, asked.requested_by, asked.decided_by) == ("requested", shop.manager, None)
    given = approve_override(asked, actor=chair(shop), now=now)
    assert (given.state, given.decided_by, given.decided_at) == ("approved", chair(shop), now)
    assert kinds(release)[:2] == ["approve", "request"]
    facts = Event.objects.filter(stream=release.stream).latest("seq").data
    assert (facts["windows"], facts["environment"], facts["uses"]) == ([frozen.number], "production", 1)


@pytest.mark.parametrize("role", ["contributor", "cab_member", "cab_chair", "auditor", "administrator", "service"])
def test_only_release_managers_and_deployers_ask(shop: Shop, role: str) -> None:
    release, frozen, somebody = shop.release("1.0"), freeze(shop), someone(role, team=shop.product.team)
    with left_alone(NotPermitted, release):
        override(shop, release, frozen, actor=somebody)


@pytest.mark.parametrize("decide", [approve_override, decline_override])
def test_nobody_decides_about_their_own(shop: Shop, decide: Callable[..., Any], now: datetime) -> None:
    both = someone("cab_chair", "deployer", team=shop.product.team)
    release = shop.release("1.0")
    asked = override(shop, release, freeze(shop), actor=both)
    with left_alone(NotPermitted, release):
        decide(asked, actor=both, now=now)
    with pytest.raises(IntegrityError), transaction.atomic():
        WindowOverride.objects.update(state="approved", decided_by=both, decided_at=now)


@pytest.mark.parametrize("role", ["release_manager", "deployer", "contributor", "administrator", "cab_member"])
def test_only_chairs_decide(shop: Shop, role: str, now: datetime) -> None:
    release = shop.release("1.0")
    asked, somebody = override(shop, release, freeze(shop)), someone(role, team=shop.product.team)
    for decide in (approve_override, decline_override, withdraw_override):
        with left_alone(NotPermitted, release):
            decide(asked, actor=somebody, now=now)


def test_a_freeze_of_every_product_is_lifted_by_those_who_can_make_one(shop: Shop, now: datetime) -> None:
    everywhere, release = someone("cab_chair"), shop.release("1.0")
    asked = override(shop, release, freeze(shop, product=None, actor=everywhere))
    with left_alone(NotPermitted, release):
        approve_override(asked, actor=chair(shop), now=now)
    assert approve_override(asked, actor=everywhere, now=now).state == "approved"


# --- what is refused ---


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reason", ""),
        ("uses", 0),
        ("uses", 101),
        ("expires_at", NOW),
        ("expires_at", NOW + timedelta(days=32)),
        ("windows", []),
    ],
)
def test_what_is_no_exception_is_refused(shop: Shop, field: str, value: Any, now: datetime) -> None:
    release, frozen = shop.release("1.0"), freeze(shop)
    asked = override(shop, release, frozen)
    with left_alone(Invalid, release) as caught:
        override(shop, release, frozen, **{field: value})
    assert list(caught.value.errors) == [field]
    with left_alone(Invalid, release):
        edit_override(asked, changes={field: value}, actor=shop.manager, now=now)


def test_only_windows_that_count_there_are_named(shop: Shop, now: datetime) -> None:
    release = shop.release("1.0")
    elsewhere, asked = freeze(shop, environment=shop.test), freeze(shop, actor=shop.manager)
    for wrong in (elsewhere, asked):
        with left_alone(Invalid, release) as caught:
            override(shop, release, wrong)
        assert list(caught.value.errors) == ["windows"]


def test_who_asked_edits_it_until_somebody_decides(shop: Shop, now: datetime) -> None:
    release = shop.release("1.0")
    asked = override(shop, release, freeze(shop))
    assert edit_override(asked, changes={"uses": 2}, actor=shop.manager, now=now).uses == 2
    with left_alone(NotPermitted, release):
        edit_override(asked, changes={"uses": 3}, actor=shop.deployer, now=now)
    approve_override(asked, actor=chair(shop), now=now)
    with left_alone(Conflict, release):
        edit_override(asked, changes={"uses": 3}, actor=shop.manager, now=now)


def test_a_decision_stands(shop: Shop, now: datetime) -> None:
    release, frozen = shop.release("1.0"), freeze(shop)
    declined = decline_override(override(shop, release, frozen), actor=chair(shop), now=now, reason="It can wait.")
    given = approved(shop, release, frozen)
    with left_alone(Conflict, release):
        approve_override(declined, actor=chair(shop), now=now)
    with left_alone(Conflict, release):
        decline_override(given, actor=chair(shop), now=now, reason="No.")
    seq = Release.objects.get(pk=release.pk).event_seq
    assert approve_override(given, actor=chair(shop), now=now).state == "approved"
    assert Release.objects.get(pk=release.pk).event_seq == seq


def test_to_decline_takes_a_reason(shop: Shop, now: datetime) -> None:
    release = shop.release("1.0")
    asked = override(shop, release, freeze(shop))
    with left_alone(Invalid, release) as caught:
        decline_override(asked, actor=chair(shop), now=now)
    assert list(caught.value.errors) == ["reason"]


def test_what_has_expired_is_not_approved(shop: Shop, now: datetime) -> None:
    release = shop.release("1.0")
    asked = override(shop, release, freeze(shop))
    with left_alone(Conflict, release) as caught:
        approve_override(asked, actor=chair(shop), now=now + DAY)
    assert caught.value.code == "expired"


# --- its use ---


def test_a_start_in_a_freeze_uses_it_up(shop: Shop, now: datetime) -> None:
    plan = frozen_plan(shop)
    given = approved(shop, plan.release, the_freeze())
    plan = start(plan, actor=shop.deployer, now=plan.planned_start)
    assert (plan.state, again(given).used, again(given).standing(now)) == ("in_progress", 1, "used_up")
    used = Event.objects.get(kind="deployments.override.use")
    assert (used.stream, used.actor, used.data["use"]) == (plan.release.stream, shop.deployer, 1)
    assert used.data["plan"] == plan.number


def test_used_up_it_lets_nothing_through(shop: Shop, now: datetime) -> None:
    plan = frozen_plan(shop)
    given = approved(shop, plan.release, the_freeze())
    plan = start(plan, actor=shop.deployer, now=plan.planned_start)
    plan = fail(plan, actor=shop.deployer, now=plan.planned_start, reason="A typo.")
    plan = fire(reschedule(plan, actor=shop.manager, now=now), "prepare", actor=shop.manager, now=now)
    with left_alone(Blocked, plan, plan.release) as caught:
        fire(plan, "schedule", actor=shop.manager, now=now)
    assert codes(caught) == ["frozen", "override_used_up"]
    assert again(given).used == 1


def test_it_serves_as_often_as_it_says(shop: Shop, now: datetime) -> None:
    plan = frozen_plan(shop)
    given = approved(shop, plan.release, the_freeze(), uses=2)
    for used in (1, 2):
        plan = start(plan, actor=shop.deployer, now=plan.planned_start)
        assert again(given).used == used
        plan = fail(plan, actor=shop.deployer, now=plan.planned_start, reason="A typo.")
        plan = fire(reschedule(plan, actor=shop.manager, now=now), "prepare", actor=shop.manager, now=now)
        if used == 1:
            plan = fire(plan, "schedule", actor=shop.manager, now=now)


def test_expired_it_lets_nothing_through(shop: Shop, now: datetime) -> None:
    plan = frozen_plan(shop)
    approved(shop, plan.release, the_freeze(), expires_at=plan.planned_start)
    with left_alone(Blocked, plan, plan.release) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert codes(caught) == ["frozen", "override_expired"]


@pytest.mark.parametrize("state", ["requested", "declined", "withdrawn"])
def test_only_an_approved_one_counts(shop: Shop, state: str, now: datetime) -> None:
    plan = frozen_plan(shop)
    asked = override(shop, plan.release, the_freeze())
    if state == "declined":
        decline_override(asked, actor=chair(shop), now=now, reason="No.")
    elif state == "withdrawn":
        withdraw_override(approve_override(asked, actor=chair(shop), now=now), actor=shop.manager, now=now)
    with left_alone(Blocked, plan, plan.release) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert codes(caught) == ["frozen"]


def test_it_counts_for_its_release_and_environment_only(crowded: Shop, now: datetime) -> None:
    first, second = crowded.scheduled(crowded.release("1.0")), crowded.scheduled(crowded.release("2.0"))
    frozen = freeze(crowded, 0, 9, environment=None, tier="production")
    approved(crowded, first.release, frozen)
    with left_alone(Blocked, second, second.release):
        start(second, actor=crowded.deployer, now=second.planned_start)


def test_it_counts_for_the_windows_it_names_only(shop: Shop, now: datetime) -> None:
    plan = frozen_plan(shop)
    approved(shop, plan.release, the_freeze())
    freeze(shop, 0, 2, name="Another")
    with left_alone(Blocked, plan, plan.release) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert codes(caught) == ["frozen", "frozen"]


def test_it_lets_a_release_out_of_a_maintenance_window(shop: Shop, now: datetime) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    nights = window(shop, **on_from(now + 9 * HOUR, 2))
    given = approved(shop, plan.release, nights)
    assert start(plan, actor=shop.deployer, now=plan.planned_start).state == "in_progress"
    assert again(given).used == 1


def test_where_it_is_open_anyway_none_is_used(shop: Shop, now: datetime) -> None:
    plan = frozen_plan(shop)
    given = approved(shop, plan.release, the_freeze())
    end_window(the_freeze(), actor=chair(shop), now=now, reason="All is well.")
    start(plan, actor=shop.deployer, now=plan.planned_start)
    assert again(given).used == 0


def test_the_system_starts_by_it_too(shop: Shop, now: datetime) -> None:
    plan = frozen_plan(shop, autostart=True)
    given = approved(shop, plan.release, the_freeze())
    assert start_due_plans(plan.planned_start) == 1
    used = Event.objects.get(kind="deployments.override.use")
    assert (used.actor.kind, used.on_behalf_of, again(given).used) == ("system", shop.manager, 1)


def test_a_start_that_fails_otherwise_uses_none(shop: Shop, now: datetime) -> None:
    plan = frozen_plan(shop)
    approved(shop, plan.release, the_freeze())
    with left_alone(Blocked, plan, plan.release):
        start(plan, actor=shop.deployer, now=plan.latest_start + HOUR)
