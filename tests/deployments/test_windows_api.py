"""Windows, the verdict, overrides and stops over REST."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine

from deployments.models import Window, WindowOverride
from tests.conftest import NOW
from tests.deployments.test_api import Caller
from tests.deployments.windows import NIGHTLY, approved, chair, freeze, override, rows, window
from tests.deployments.world import HOUR, Shop, picture
from tests.factories import someone

WINDOWS, STATUS = "/api/v1/windows/", "/api/v1/windows/status/"
OVERRIDES, STOPS = "/api/v1/window-overrides/", "/api/v1/line-stops/"
NIGHTS = {
    "kind": "allow",
    "name": "Nights",
    "reason": "Few people shop at night.",
    "product": "shop",
    "environment": "production",
    "first_on": "2026-03-02",
    "start_time": "22:00",
    "duration_minutes": 480,
    "time_zone": "Europe/Berlin",
    "rule": "FREQ=WEEKLY;BYDAY=TH",
}


@pytest.fixture(autouse=True)
def at_nine() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def api(shop: Shop) -> Caller:
    return Caller(chair(shop))


def utc(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


# --- windows ---


def test_a_chair_makes_a_window_and_reads_when_it_is_on(api: Caller) -> None:
    made = api.post(WINDOWS, NIGHTS, 201)
    assert {name: made[name] for name in NIGHTS} == {**NIGHTS, "start_time": "22:00:00"}
    assert (made["state"], made["owner"], made["permissions"]) == ("in_force", "chair", ["end"])
    assert made["next_times"][:2] == [
        {"starts_at": "2026-03-05T21:00:00Z", "ends_at": "2026-03-06T05:00:00Z"},
        {"starts_at": "2026-03-12T21:00:00Z", "ends_at": "2026-03-13T05:00:00Z"},
    ]
    assert api.get(made["url"]) == made


def test_a_deployer_asks_for_a_freeze_and_a_chair_approves_it(shop: Shop, api: Caller) -> None:
    body = {**NIGHTS, "kind": "deny", "rule": ""}
    asked = Caller(shop.deployer).post(WINDOWS, body, 201)
    assert (asked["state"], asked["permissions"]) == ("requested", ["withdraw"])
    Caller(shop.deployer).post(f"{asked['url']}transitions/approve/", expect=403)
    assert api.post(f"{asked['url']}transitions/approve/")["state"] == "in_force"
    ended = api.post(f"{asked['url']}transitions/end/", {"reason": "All is well."})
    assert ended["state"] == "ended"


def test_an_edit_needs_the_revision_that_one_read(api: Caller) -> None:
    made = api.post(WINDOWS, NIGHTS, 201)
    api.patch(made["url"], {"name": "Thursdays"}, 428)
    api.patch(made["url"], {"name": "Thursdays"}, 412, **{"If-Match": '"WIN-1.77"'})
    tag = f'"{made["number"]}.{made["revision"]}"'
    edited = api.patch(made["url"], {"name": "Thursdays", "start_time": "23:00"}, 200, **{"If-Match": tag})
    assert (edited["name"], edited["revision"]) == ("Thursdays", 2)
    assert edited["next_times"][0]["starts_at"] == "2026-03-05T22:00:00Z"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time_zone", "Europe/Atlantis"),
        ("rule", "FREQ=HOURLY"),
        ("rule", "FREQ=MINUTELY;INTERVAL=30"),
        ("rule", "FREQ=DAILY;BYHOUR=1,2,3"),
        ("rule", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"),
        ("rule", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=7"),
        ("rule", "RRULE:FREQ=DAILY\nEXDATE:20260303"),
        ("kind", "sometimes"),
        ("environment", "nowhere"),
        ("product", "nothing"),
        ("tier", "production"),
        ("first_on", "2026-02-30"),
        ("start_time", "25:00"),
        ("duration_minutes", 0),
        ("duration_minutes", 10**9),
        ("color", "blue"),
    ],
)
def test_bad_input_is_400_and_names_the_field(api: Caller, field: str, value: Any) -> None:
    before = rows()
    problem = api.post(WINDOWS, {**NIGHTS, field: value}, 400)
    assert f"/{field}" in [error["pointer"] for error in problem["errors"]]
    assert rows() == before


def test_a_rule_that_never_ends_is_400(api: Caller) -> None:
    problem = api.post(WINDOWS, {**NIGHTS, "kind": "deny", "rule": "FREQ=DAILY", "duration_minutes": 1440}, 400)
    assert problem["errors"][0]["pointer"] == "/duration_minutes"


def test_windows_are_filtered(shop: Shop, api: Caller) -> None:
    nights, frozen = window(shop, **NIGHTLY), freeze(shop, environment=None, tier="test")

    def found(**query: str) -> list[str]:
        return [each["number"] for each in api.get(WINDOWS, 200, **query)["results"]]

    assert found() == [frozen.number, nights.number]
    assert found(kind="deny") == found(tier="test") == found(search="Year") == [frozen.number]
    assert found(environment="production") == [nights.number]
    assert found(state="requested") == found(product="other") == []


# --- the verdict ---


def test_the_status_says_whether_why_and_until_when(shop: Shop, api: Caller) -> None:
    frozen = freeze(shop, 0, 2)
    found = api.get(STATUS, environment="production", product="shop")
    assert found == {
        "environment": "production",
        "product": "shop",
        "at": utc(NOW),
        "open": False,
        "reason": f"The freeze “Year end” ({frozen.number}) is on until 2026-03-02 11:00 UTC.",
        "causes": [
            {
                "code": "frozen",
                "reason": f"The freeze “Year end” ({frozen.number}) is on until 2026-03-02 11:00 UTC.",
            }
        ],
        "next_open": utc(NOW + 2 * HOUR),
        "next_close": None,
        "known_until": None,
        "windows": [frozen.number],
    }
    later = api.get(STATUS, environment="production", product="shop", at=utc(NOW + 2 * HOUR))
    assert (later["open"], later["reason"], later["next_close"]) == (True, "", None)


def test_without_a_product_the_windows_of_every_product_speak(shop: Shop, api: Caller) -> None:
    freeze(shop, 0, 2)
    assert api.get(STATUS, environment="production")["open"]
    freeze(shop, 0, 2, product=None, actor=someone("cab_chair"))
    assert not api.get(STATUS, environment="production")["open"]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"environment": "nowhere"},
        {"environment": "production", "at": "2026-03-02T10:00"},
        {"environment": "production", "product": "x"},
    ],
)
def test_a_question_that_makes_no_sense_is_400(api: Caller, query: dict[str, str]) -> None:
    api.get(STATUS, 400, **query)


def test_a_start_outside_a_window_is_409_with_the_next_opening(shop: Shop) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    freeze(shop, 0.5, 1)
    before = picture(plan)
    deployer = Caller(shop.deployer)
    with time_machine.travel(plan.planned_start, tick=False):
        problem = deployer.post(f"/api/v1/deployment-plans/{plan}/transitions/start/", expect=409)
    assert (problem["code"], problem["next_open"]) == ("blocked", utc(NOW + 1.5 * HOUR))
    (blocker,) = problem["blockers"]
    assert (blocker["code"], blocker["next_open"], blocker["who_can_clear"]) == (
        "frozen",
        utc(NOW + 1.5 * HOUR),
        ["cab_chair"],
    )
    assert picture(plan) == before


# --- overrides ---


def body(shop: Shop, *windows: Window, **fields: Any) -> dict[str, Any]:
    terms = {"reason": "It has to.", "expires_at": utc(NOW + timedelta(days=1)), "uses": 1}
    numbers = [each.number for each in windows]
    return {"release": "shop@1.0", "environment": "production", "windows": numbers, **terms, **fields}


def test_an_override_is_asked_for_approved_and_used(shop: Shop, api: Caller) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    frozen = freeze(shop, 0, 9)
    asked = Caller(shop.deployer).post(OVERRIDES, body(shop, frozen), 201)
    assert (asked["state"], asked["windows"], asked["requested_by"]) == ("requested", [frozen.number], "deployer")
    given = api.post(f"{asked['url']}transitions/approve/")
    assert (given["state"], given["standing"], given["decided_by"]) == ("approved", "approved", "chair")
    with time_machine.travel(plan.planned_start, tick=False):
        Caller(shop.deployer).post(f"/api/v1/deployment-plans/{plan}/transitions/start/")
    used = api.get(asked["url"])
    assert (used["used"], used["standing"]) == (1, "used_up")


def test_its_requester_does_not_approve_it(shop: Shop) -> None:
    both = someone("cab_chair", "deployer", team=shop.product.team)
    release = shop.release("1.0")
    asked = Caller(both).post(OVERRIDES, body(shop, freeze(shop)), 201)
    before = rows()
    assert Caller(both).post(f"{asked['url']}transitions/approve/", expect=403)["code"] == "not_permitted"
    assert (rows(), WindowOverride.objects.get().release) == (before, release)


def test_used_up_and_expired_are_409(shop: Shop, api: Caller) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    frozen = freeze(shop, 0, 9)
    approved(shop, plan.release, frozen, expires_at=plan.planned_start)
    late = override(shop, plan.release, frozen, expires_at=plan.planned_start)
    with time_machine.travel(plan.planned_start, tick=False):
        start = f"/api/v1/deployment-plans/{plan}/transitions/start/"
        problem = Caller(shop.deployer).post(start, expect=409)
        assert [each["code"] for each in problem["blockers"]] == ["frozen", "override_expired"]
        approve = f"{OVERRIDES}{late.pk}/transitions/approve/"
        assert api.post(approve, expect=409)["code"] == "expired"


def test_an_override_is_edited_declined_and_withdrawn(shop: Shop, api: Caller) -> None:
    release, frozen = shop.release("1.0"), freeze(shop)
    asked = override(shop, release, frozen)
    where = f"{OVERRIDES}{asked.pk}/"
    manager = Caller(shop.manager)
    manager.patch(where, {"uses": 2}, 428)
    assert manager.patch(where, {"uses": 2}, 200, **{"If-Match": "*"})["uses"] == 2
    assert api.post(f"{where}transitions/decline/", {"reason": "It can wait."})["state"] == "declined"
    api.post(f"{where}transitions/approve/", expect=409)
    other = override(shop, release, frozen)
    assert manager.post(f"{OVERRIDES}{other.pk}/transitions/withdraw/")["state"] == "withdrawn"
    assert [each["id"] for each in api.get(OVERRIDES, state="declined")["results"]] == [asked.pk]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("windows", []),
        ("windows", ["WIN-777"]),
        ("uses", 0),
        ("expires_at", "2026-03-01T00:00:00Z"),
        ("reason", ""),
        ("environment", "nowhere"),
    ],
)
def test_an_override_that_makes_no_sense_is_400(shop: Shop, field: str, value: Any) -> None:
    release, frozen = shop.release("1.0"), freeze(shop)
    before = rows(), picture(release)
    Caller(shop.deployer).post(OVERRIDES, {**body(shop, frozen), field: value}, 400)
    assert (rows(), picture(release)) == before


# --- stops ---


def test_the_line_is_stopped_by_one_and_resumed_by_two_others(shop: Shop, api: Caller) -> None:
    deployer, manager = Caller(shop.deployer), Caller(shop.manager)
    stop = {"product": "shop", "reason": "Smoke."}
    made = deployer.post(STOPS, stop, 201)
    assert (made["agreed"], made["needed"], made["resumed_at"]) == ([], 2, None)
    assert deployer.post(STOPS, stop, 200)["id"] == made["id"]
    resume = f"{made['url']}transitions/resume/"
    deployer.post(resume, expect=403)
    assert manager.post(resume)["agreed"] == ["manager"]
    assert api.post(resume)["resumed_at"] == utc(NOW)
    Caller(someone("deployer", team=shop.product.team)).post(resume, expect=409)
    assert api.get(STOPS, standing="true")["results"] == []


def test_a_stop_without_a_scope_is_400(shop: Shop) -> None:
    before = rows()
    Caller(shop.deployer).post(STOPS, {"reason": "Smoke."}, 400)
    assert rows() == before
