"""Stopping the line: one person stops every start, two others agree to go on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from deployments.commands import agree_to_resume, start, start_due_plans, stop_line
from deployments.models import LineStop
from releasemgmt.accounts.models import User
from releasemgmt.workflow.errors import Blocked, Conflict, Invalid, NotPermitted
from tests.conftest import NOW
from tests.deployments.windows import chair, left_alone
from tests.deployments.world import Shop, codes, kinds
from tests.factories import someone


def stopped(shop: Shop, **given: Any) -> LineStop:
    facts = {"product": shop.product, "environment": None, "reason": "Smoke.", "actor": shop.deployer, "now": NOW}
    return stop_line(**{**facts, **given})[0]


def another(shop: Shop, role: str = "deployer") -> User:
    return someone(role, team=shop.product.team)


@pytest.mark.parametrize("role", ["deployer", "release_manager", "cab_chair"])
def test_one_person_stops_the_line_at_once(shop: Shop, role: str) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    stop = stopped(shop, actor=another(shop, role))
    with left_alone(Blocked, plan) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert codes(caught) == ["line_stopped"]
    assert "Smoke." in str(caught.value) and str(stop.stopped_by) in str(caught.value)
    assert kinds(shop.product)[0] == "stop"


def test_two_others_let_it_go_on(shop: Shop, now: datetime) -> None:
    plan = shop.scheduled(shop.release("1.0"), autostart=True)
    stop = stopped(shop)
    stop = agree_to_resume(stop, actor=shop.manager, now=now)
    assert (stop.resumed_at, start_due_plans(plan.planned_start)) == (None, 0)
    stop = agree_to_resume(stop, actor=chair(shop), now=now)
    assert (stop.resumed_at, start_due_plans(plan.planned_start)) == (now, 1)
    assert kinds(shop.product)[:3] == ["resume", "agree", "stop"]


def test_who_stopped_it_does_not_count_and_nobody_counts_twice(shop: Shop, now: datetime) -> None:
    stop = stopped(shop)
    with left_alone(NotPermitted, shop.product):
        agree_to_resume(stop, actor=shop.deployer, now=now)
    agree_to_resume(stop, actor=shop.manager, now=now)
    assert agree_to_resume(stop, actor=shop.manager, now=now).resumed_at is None
    assert (stop.resumptions.count(), kinds(shop.product)[:2]) == (1, ["agree", "stop"])


def test_what_goes_on_is_not_resumed_again(shop: Shop, now: datetime) -> None:
    stop = stopped(shop)
    for actor in (shop.manager, chair(shop)):
        agree_to_resume(stop, actor=actor, now=now)
    with left_alone(Conflict, shop.product):
        agree_to_resume(stop, actor=another(shop), now=now)


@pytest.mark.parametrize("role", ["contributor", "cab_member", "auditor", "administrator", "service"])
def test_others_neither_stop_nor_resume_it(shop: Shop, role: str, now: datetime) -> None:
    stop, somebody = stopped(shop), another(shop, role)
    with left_alone(NotPermitted, shop.product):
        stopped(shop, actor=somebody, environment=shop.production)
    with left_alone(NotPermitted, shop.product):
        agree_to_resume(stop, actor=somebody, now=now)


def test_an_environment_of_every_product_is_stopped_by_those_who_deploy_every_product(shop: Shop) -> None:
    with left_alone(NotPermitted, shop.product, shop.production):
        stopped(shop, product=None, environment=shop.production)
    plan = shop.scheduled(shop.release("1.0"))
    stopped(shop, product=None, environment=shop.production, actor=someone("deployer"))
    with left_alone(Blocked, plan) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert codes(caught) == ["line_stopped"]
    assert kinds(shop.production) == ["stop"]


def test_elsewhere_it_goes_on(shop: Shop) -> None:
    stopped(shop, environment=shop.production)
    assert shop.started(shop.release("1.0"), shop.test).state == "in_progress"


@pytest.mark.parametrize(("given", "field"), [({"reason": " "}, "reason"), ({"product": None}, "product")])
def test_a_stop_has_a_scope_and_a_reason(shop: Shop, given: dict[str, Any], field: str) -> None:
    with left_alone(Invalid, shop.product) as caught:
        stopped(shop, **given)
    assert list(caught.value.errors) == [field]


def test_a_line_is_stopped_once(shop: Shop, now: datetime) -> None:
    first = stopped(shop)
    again, is_new = stop_line(product=shop.product, environment=None, reason="Fire.", actor=shop.manager, now=now)
    assert (again, is_new, kinds(shop.product).count("stop")) == (first, False, 1)
    for actor in (shop.manager, chair(shop)):
        agree_to_resume(first, actor=actor, now=now)
    assert stopped(shop) != first


def test_a_stop_lets_a_plan_be_scheduled(shop: Shop) -> None:
    stopped(shop)
    assert shop.scheduled(shop.release("1.0")).state == "scheduled"
