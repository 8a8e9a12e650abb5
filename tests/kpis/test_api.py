"""The figures over REST: who sees which, as tables, row by row, and what is refused."""

from __future__ import annotations

import csv
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from releasemgmt.kpis.definitions import MEANINGS
from releasemgmt.kpis.queries import FIGURES
from tests.conftest import NOW
from tests.deployments.world import Shop
from tests.factories import ProductFactory, someone
from tests.kpis.test_incidents import down
from tests.kpis.world import DAY, MINUTE, commits, ship
from tests.web.world import Caller

WEEK = {"from": (NOW - 3 * DAY).isoformat(), "to": (NOW + 4 * DAY).isoformat()}
ANSWER = {"value", "n", "excluded", "open", "estimator", "time_zone", "from", "to", "as_of", "definition"}


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """A shop in which something of everything has happened."""
    commits(shop, [(n, NOW - 2 * DAY + n * MINUTE) for n in range(1, 6)], subject="=1+1")
    ship(shop, "1", at=NOW - DAY, tip=2)
    cause = ship(shop, "2", at=NOW, tip=4)
    down(shop, NOW + 5 * MINUTE, NOW + 9 * MINUTE, caused_by=cause)
    return shop


def get(caller: Caller, path: str = "", **asked: Any) -> Any:
    answer = caller.get(f"/api/v1/kpis/{path}", {**WEEK, **asked})
    assert answer.status_code == 200, answer.content
    return answer


def test_every_figure_says_what_it_is(busy: Shop) -> None:
    caller = Caller(busy.manager)
    body = get(caller, product="shop", bucket="day").json()
    assert set(body["figures"]) == set(MEANINGS) == set(FIGURES)
    assert (body["product"], len(body["buckets"])) == ("shop", 8)
    for figures in (body["figures"], body["buckets"][3]["figures"]):
        assert all(set(figure) >= ANSWER for figure in figures.values())
    rate = body["figures"]["change_fail_rate"]
    assert (rate["value"], rate["n"], rate["time_zone"], rate["definition"]) == (0.5, 2, "UTC", "kpi/1")
    assert (rate["from"], rate["to"]) == ("2026-02-27T09:00:00Z", "2026-03-06T09:00:00Z")
    assert body["figures"]["deployment_frequency"]["trend"]["usual"] is not None
    for name, figure in get(caller, product="shop").json()["figures"].items():
        meaning = caller.get(f"/api/v1/kpis/{name}/").json()
        assert meaning["text"] and meaning["unit"] and meaning["definition"] == figure["definition"]


def test_a_deployment_counts_in_the_next_answer(busy: Shop) -> None:
    caller = Caller(busy.manager)
    before = get(caller, product="shop").json()["figures"]
    third = busy.release("3", builds=[busy.build(key, "3", commit=5) for key in ("api", "web")])
    over = {"status": "succeeded", "started_at": NOW.isoformat(), "finished_at": (NOW + MINUTE).isoformat()}
    body = {"release": third.number, "environment": "production", **over}
    assert Caller(busy.ci).post("/api/v1/deployments/", body).status_code == 201
    after = get(caller, product="shop").json()["figures"]
    for name, more in (("deployment_frequency", 1), ("change_lead_time", 1), ("commit_volume", 1)):
        assert after[name]["n"] == before[name]["n"] + more, name
    assert (before["change_lead_time"]["open"]["count"], after["change_lead_time"]["open"]["count"]) == (1, 0)


def test_a_product_out_of_sight_is_not_there(busy: Shop) -> None:
    stranger = Caller(someone("release_manager", team=ProductFactory().team))
    for path in ("", "change_lead_time/rows/"):
        assert stranger.refused("get", f"/api/v1/kpis/{path}?product=shop", status=404)["code"] == "not_found"
        assert stranger.refused("get", f"/api/v1/kpis/{path}?product=nothing", status=404)["code"] == "not_found"
    found = get(stranger).json()["figures"]
    assert (found["downtimes"]["n"], found["commits_per_active_day"]["n"], found["change_fail_rate"]["n"]) == (0, 0, 0)
    assert get(stranger, "change_lead_time/rows/").json()["results"] == []
    everybody = Caller(someone("auditor"))
    assert get(everybody).json()["figures"]["change_fail_rate"]["n"] == 2


def test_the_rows_of_a_figure_are_paged(busy: Shop) -> None:
    caller = Caller(busy.manager)
    for name in FIGURES:
        whole = get(caller, f"{name}/rows/", product="shop").json()["results"]
        assert whole == sorted(whole, key=lambda row: row["at"], reverse=True)
        for row in whole:
            assert row["product"] == "shop" and row["number"]
            assert not row["url"] or row["kind"] == "incident" or caller.get(row["url"]).status_code == 200
        page, walked = get(caller, f"{name}/rows/", product="shop", page_size=2).json(), []
        while page["results"]:
            walked += page["results"]
            last, page = page, caller.get(page["next"]).json() if page["next"] else {"results": []}
        assert walked == whole
        if len(whole) > 2:
            assert caller.get(last["previous"]).json()["results"] == whole[: len(whole) - len(last["results"])][-2:]


def test_there_are_as_many_rows_as_a_figure_counts(busy: Shop) -> None:
    caller = Caller(busy.manager)
    figures = get(caller, product="shop").json()["figures"]
    for name, figure in figures.items():
        rows = get(caller, f"{name}/rows/", product="shop", page_size=200).json()["results"]
        counted = [row for row in rows if not row["left_out"]]
        assert len(counted) == figure["n"], name
        opened = [row for row in rows if row["left_out"] == "open"]
        assert name in ("downtimes",) or len(opened) == (figure["open"] or {"count": 0})["count"], name


def test_tables_hold_no_formula(busy: Shop) -> None:
    caller = Caller(busy.manager)
    asked = get(caller, product="shop", bucket="week", format="csv")
    preferred = caller.get(
        "/api/v1/kpis/", {**WEEK, "product": "shop", "bucket": "week"}, headers={"Accept": "text/csv"}
    )
    for answer in (asked, preferred):
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        lines = list(csv.DictReader(StringIO(answer.content.decode())))
        (rate,) = [
            each["value"]
            for each in lines
            if (each["figure"], each["measure"], each["from"]) == ("change_fail_rate", "value", lines[0]["from"])
            and each["to"] == lines[0]["to"]
        ]
        assert (rate, {each["product"] for each in lines}) == ("0.5", {"shop"})
    answer = get(caller, "commits_per_active_day/rows/", product="shop", format="csv")
    lines = list(csv.DictReader(StringIO(b"".join(answer.streaming_content).decode())))
    assert [line["title"] for line in lines] == ["'=1+1"] * 5


@pytest.mark.parametrize(
    ("asked", "pointer", "said"),
    [
        ({"time_zone": "Mars/Olympus"}, "/time_zone", "no time zone Mars/Olympus"),
        ({"time_zone": "localtime"}, "/time_zone", "no time zone localtime"),
        ({"bucket": "year"}, "/bucket", "not a valid choice"),
        ({"from": "2026-03-06T00:00:00Z", "to": "2026-03-05T00:00:00Z"}, "/to", "ends before it begins"),
        (
            {"from": "1026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z", "bucket": "day"},
            "/from",
            "since the year 1970",
        ),
        ({"to": "0001-06-01T00:00:00Z"}, "/to", "since the year 1970"),
        ({"to": "9999-12-31T23:59:59Z"}, "/to", "until 2200"),
        ({"from": "1996-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z", "bucket": "day"}, "/bucket", "at most 400"),
        ({"from": "2026-01-01T00:00:00"}, "/from", "offset"),
        ({"as_of": "yesterday"}, "/as_of", "format"),
        ({"as_of": "0001-01-01T00:00:00Z"}, "/as_of", "since the year 1970"),
        ({"format": "xlsx"}, "/format", "json, csv"),
        ({"median": "1"}, "/median", "no such field"),
        ({"product": "a\x00b"}, "", "NUL"),
    ],
)
def test_what_makes_no_sense_is_refused(busy: Shop, asked: dict[str, str], pointer: str, said: str) -> None:
    caller = Caller(busy.manager)
    for path in ("", "change_lead_time/rows/"):
        answer = caller.get(f"/api/v1/kpis/{path}", {**WEEK, **asked})
        assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json"), answer.content
        if pointer and not (path and "bucket" in asked):
            assert answer.json()["errors"][0]["pointer"] == pointer
            assert said in answer.json()["detail"]


def test_a_figure_that_is_none(busy: Shop) -> None:
    caller = Caller(busy.manager)
    for path in ("happiness/", "happiness/rows/"):
        assert caller.refused("get", f"/api/v1/kpis/{path}", status=404)
    for cursor in ("x", "f.x", "f.1.deployment.", "f.99999999999999999999.commit.1"):
        caller.refused("get", f"/api/v1/kpis/change_lead_time/rows/?cursor={cursor}", status=400)


def test_statements_do_not_grow(busy: Shop) -> None:
    caller = Caller(busy.manager)

    def statements(path: str = "", **asked: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            get(caller, path, product="shop", **asked)
        return len(captured)

    paths = ["", "change_fail_rate/rows/", "downtimes/rows/", "change_lead_time/rows/"]
    before = [statements(path) for path in paths] + [statements(bucket="day")]
    commits(busy, [(n, NOW - DAY + n * MINUTE) for n in range(11, 19)])
    for n in range(3, 6):
        cause = ship(busy, f"{n}", at=NOW + n * timedelta(hours=1), tip=10 + n)
        down(busy, NOW + n * timedelta(hours=1, minutes=1), caused_by=cause)
    assert [statements(path) for path in paths] + [statements(bucket="day")] == before
    assert before[0] <= 45
