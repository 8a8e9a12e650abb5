"""The change schedule: what is planned, in order, for those who may see it, at a cost that does not grow."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals.commands import assess, create_change, submit
from approvals.models import ChangeRequest
from deployments.commands import WINDOW_TRANSITIONS
from deployments.models import DeploymentPlan
from releasemgmt.workflow.commands import fire
from tests.conftest import NOW
from tests.deployments.test_api import Caller
from tests.deployments.windows import NIGHTLY, chair, freeze, window
from tests.deployments.world import HOUR, Shop
from tests.factories import ProductFactory, someone

SCHEDULE = "/api/v1/schedule/"
DAY = timedelta(days=1)
MOST = 7


@pytest.fixture(autouse=True)
def at_nine() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def api(shop: Shop) -> Caller:
    return Caller(shop.author)


def change(shop: Shop, begin: float = 0, hours: float = 1, **fields: Any) -> ChangeRequest:
    """A change in assessment, planned to begin so many hours from now."""
    plans = dict.fromkeys(("implementation_plan", "test_plan", "backout_plan"), "As usual.")
    interval = {"planned_start": NOW + begin * HOUR, "planned_end": NOW + (begin + hours) * HOUR}
    facts: dict[str, Any] = {"title": "Larger disk", "environments": [shop.production], **plans, **interval, **fields}
    return submit(create_change(product=shop.product, actor=shop.author, now=NOW, **facts), actor=shop.author, now=NOW)


def utc(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def between(begin: float, end: float) -> dict[str, Any]:
    """An interval in hours from now."""
    return {"from": utc(NOW + begin * HOUR), "to": utc(NOW + end * HOUR)}


def told(api: Caller, **query: Any) -> list[tuple[str, str]]:
    return [(each["kind"], each["number"]) for each in api.get(SCHEDULE, **query)["results"]]


def test_everything_stands_in_the_order_in_which_it_begins(shop: Shop, api: Caller) -> None:
    late, frozen = change(shop, 5), freeze(shop, 4)
    plan = shop.plan(shop.release("1.0"), planned_start=NOW + 3 * HOUR, latest_start=NOW + 4 * HOUR)
    night, early = window(shop, **NIGHTLY), change(shop, 1)
    assert told(api, **between(0, 20)) == [
        ("change", early.number),
        ("plan", plan.number),
        ("freeze", frozen.number),
        ("change", late.number),
        ("window", night.number),
    ]


def test_an_entry_says_what_where_and_when(shop: Shop, api: Caller) -> None:
    planned = change(shop, 1, 2)
    plan = shop.plan(shop.release("1.0"), shop.test, planned_start=NOW + HOUR, latest_start=NOW + 2 * HOUR)
    frozen = freeze(shop, 1, 1, environment=None, tier="test", product=None, actor=someone("cab_chair"))
    assert api.get(SCHEDULE)["results"] == [
        {
            "kind": "freeze",
            "number": frozen.number,
            "title": "Year end",
            "state": "in_force",
            "tentative": False,
            "product": None,
            "environments": ["test"],
            "starts_at": utc(NOW + HOUR),
            "ends_at": utc(NOW + 2 * HOUR),
            "url": f"/api/v1/windows/{frozen.number}/",
        },
        {
            "kind": "change",
            "number": planned.number,
            "title": "Larger disk",
            "state": "assessment",
            "tentative": True,
            "product": "shop",
            "environments": ["production"],
            "starts_at": utc(NOW + HOUR),
            "ends_at": utc(NOW + 3 * HOUR),
            "url": f"/api/v1/changes/{planned.number}/",
        },
        {
            "kind": "plan",
            "number": plan.number,
            "title": "Shop 1.0 to Test",
            "state": "draft",
            "tentative": True,
            "product": "shop",
            "environments": ["test"],
            "starts_at": utc(NOW + HOUR),
            "ends_at": utc(NOW + 2 * HOUR),
            "url": f"/api/v1/deployment-plans/{plan.number}/",
        },
    ]


def test_intervals_are_half_open(shop: Shop, api: Caller) -> None:
    planned, frozen = change(shop, 2, 2), freeze(shop, 2, 2)
    both = [("freeze", frozen.number), ("change", planned.number)]
    assert told(api, **between(0, 2)) == told(api, **between(4, 6)) == []
    assert told(api, **between(0, 3)) == told(api, **between(3, 4)) == told(api, **between(1, 9)) == both


def test_a_plan_stands_while_it_may_start_and_then_where_it_was_to_start(shop: Shop, api: Caller) -> None:
    plan = shop.scheduled(shop.release("1.0"))  # from one hour on to two
    assert told(api, **between(1.5, 9)) == [("plan", plan.number)]
    with time_machine.travel(NOW + 3 * HOUR):
        fire(plan, "reopen", actor=shop.manager, now=NOW)
        DeploymentPlan.objects.filter(pk=plan.pk).update(state="missed")
        assert told(api, **between(1.5, 9)) == []
        assert told(api, **between(1, 9)) == [("plan", plan.number)]


def test_what_is_not_asked_for_or_called_off_is_not_in_it(shop: Shop, api: Caller) -> None:
    interval: dict[str, Any] = {"planned_start": NOW, "planned_end": NOW + HOUR}
    create_change(product=shop.product, title="A draft", actor=shop.author, now=NOW, **interval)
    fire(change(shop), "cancel", actor=shop.author, now=NOW, reason="No.")
    fire(shop.plan(shop.release("1.0")), "cancel", actor=shop.manager, now=NOW, reason="No.")
    WINDOW_TRANSITIONS["end"](freeze(shop, 4), actor=chair(shop), now=NOW, reason="No.")
    assert told(api) == []


def test_what_is_over_of_an_ended_window_stays(shop: Shop, api: Caller) -> None:
    frozen = freeze(shop, 0, 4)
    with time_machine.travel(NOW + HOUR):
        WINDOW_TRANSITIONS["end"](frozen, actor=chair(shop), now=NOW + HOUR, reason="All is well.")
    (entry,) = api.get(SCHEDULE, **between(0, 4))["results"]
    assert (entry["state"], entry["ends_at"]) == ("ended", utc(NOW + HOUR))


def test_approval_makes_it_firm(shop: Shop, api: Caller) -> None:
    planned = assess(change(shop), actor=shop.manager, now=NOW)
    assert [each["tentative"] for each in api.get(SCHEDULE)["results"]] == [True]
    ChangeRequest.objects.filter(pk=planned.pk).update(state="scheduled")
    assert [each["tentative"] for each in api.get(SCHEDULE)["results"]] == [False]


def test_an_environment_keeps_what_counts_there(shop: Shop, api: Caller) -> None:
    release = shop.release("1.0")
    here = [freeze(shop), window(shop, "deny", tier="production", environment=None), change(shop), shop.plan(release)]
    window(shop, "deny", environment=shop.test), change(shop, environments=[shop.test]), shop.plan(release, shop.test)
    everywhere = window(shop, "deny", environment=None)
    found = told(api, environment="production")
    assert sorted(number for _kind, number in found) == sorted(each.number for each in (*here, everywhere))
    assert len(told(api)) == 8


def test_others_see_nothing_of_it_but_windows_of_every_product(shop: Shop, api: Caller) -> None:
    change(shop), freeze(shop), shop.plan(shop.release("1.0"))
    general = freeze(shop, product=None, actor=someone("cab_chair"))
    stranger = Caller(someone("contributor", team=ProductFactory().team))
    assert told(stranger) == [("freeze", general.number)]
    assert len(told(api)) == len(told(Caller(someone("auditor")))) == 4


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_pages_go_on_and_back_and_leave_nothing_out(shop: Shop, api: Caller, size: int) -> None:
    for n in range(2):  # several begin at the same instant
        change(shop, 1), freeze(shop, 1), window(shop, **NIGHTLY)
        shop.plan(shop.release(f"1.{n}"))
    whole = api.get(SCHEDULE, **between(0, 40))["results"]
    assert len(whole) == 10
    page = api.get(SCHEDULE, page_size=str(size), **between(0, 40))
    assert page["previous"] is None
    onwards: list[Any] = list(page["results"])
    backwards: list[Any] = []
    while page["next"]:
        page = api.get(page["next"])
        onwards += page["results"]
    assert onwards == whole
    while page["previous"]:
        page = api.get(page["previous"])
        backwards = page["results"] + backwards
    assert backwards == whole[: len(backwards)] and len(backwards) >= len(whole) - size


def test_the_next_page_is_of_the_same_interval_though_none_was_named(shop: Shop, api: Caller) -> None:
    change(shop, 1), change(shop, 2)
    page = api.get(SCHEDULE, page_size="1")
    with time_machine.travel(NOW + 40 * DAY):
        assert len(api.get(page["next"])["results"]) == 1


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"from": "2026-03-02", "to": "2026-03-03T00:00:00Z"}, "from"),
        ({"from": "2026-03-02T00:00:00"}, "from"),
        ({"from": "2026-03-02T00:00:00Z", "to": "2026-03-02T00:00:00Z"}, "to"),
        ({"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"}, "to"),
        ({"from": "2026-03-01T00:00:00Z", "to": "2026-06-02T00:00:00Z"}, "to"),
        ({"from": "1970-01-01T00:00:00Z", "to": "1970-01-02T00:00:00Z"}, "from"),
        ({"from": "0001-01-01T00:00:00Z", "to": "0001-01-02T00:00:00Z"}, "from to"),
        ({"from": "9999-12-31T23:00:00Z"}, "from"),
        ({"from": "9999-12-30T00:00:00Z", "to": "9999-12-31T00:00:00Z"}, "from to"),
        ({"environment": "nowhere"}, "environment"),
        ({"page_size": "0"}, "page_size"),
        ({"page_size": "201"}, "page_size"),
        ({"cursor": "f"}, "cursor"),
        ({"cursor": "f.1.2"}, "cursor"),
        ({"cursor": "x.1.1.1"}, "cursor"),
        ({"cursor": "f.999999999999999999.1.1"}, "cursor"),
        ({"cursor": "f.-1.1.1"}, "cursor"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_a_question_that_makes_no_sense_is_400(api: Caller, query: dict[str, Any], fields: str) -> None:
    problem = api.get(SCHEDULE, 400, **query)
    assert [error["pointer"] for error in problem["errors"]] == [f"/{field}" for field in fields.split()]


def test_too_much_at_once_says_how_much_is_answered(api: Caller) -> None:
    problem = api.get(SCHEDULE, 400, **between(0, 24 * 93))
    assert problem["errors"][0]["detail"] == "Ask for at most 92 days at once."
    assert api.get(SCHEDULE, **between(0, 24 * 92))["results"] == []


def test_its_cost_does_not_grow(shop: Shop, api: Caller) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as seen:
            api.get(SCHEDULE, page_size="200", environment="production")
        return len(seen)

    change(shop), freeze(shop), window(shop, **NIGHTLY), shop.plan(shop.release("0.1"))
    few = cost()
    for n in range(4):
        change(shop, n), freeze(shop, n), window(shop, **NIGHTLY), shop.plan(shop.release(f"1.{n}"))
    assert few == cost() <= MOST + 1  # and the environment
