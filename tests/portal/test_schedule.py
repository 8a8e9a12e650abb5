"""The schedule's page, the calendar of a window, what runs where on a page, and the history of an environment."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from deployments.queries import Entry
from deployments.queries.schedule import Place
from releasemgmt.catalog.models import Environment, Product
from releasemgmt.portal import calendar
from tests.conftest import NOW
from tests.deployments.conftest import shop as shop
from tests.deployments.test_observations import STRANGE, see
from tests.deployments.test_observations import large as large
from tests.deployments.test_schedule import change
from tests.deployments.test_what_is_where import ran
from tests.deployments.windows import NIGHTLY, freeze, on_from, window
from tests.deployments.world import HOUR, Shop, at
from tests.factories import ProductFactory, someone
from tests.portal.test_pages import signed_in

PAGE, MATRIX = "/admin/schedule/", "/admin/deployments/deployment/matrix/"
DAY = timedelta(days=1)
MOST = 20


@pytest.fixture(autouse=True)
def at_nine() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def desk(shop: Shop) -> Client:
    return signed_in(shop.author)


def text(client: Client, address: str, **query: str) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def days(html: str) -> dict[str, str]:
    """The text of each day of a calendar by its date, with its classes in front."""
    found = re.findall(
        r'<li class="rm-day([^"]*)">\s*<h2><time datetime="([^"]+)">(.*?)(?=<li class="rm-day|</ol>)', html, re.S
    )
    return {day: f"{classes} {' '.join(re.sub('<[^>]+>', ' ', rest).split())}" for classes, day, rest in found}


# --- layout ---


def entry(kind: str, begin: datetime, hours: float) -> Entry:
    return Entry(kind, None, begin, begin + hours * HOUR, [], Place(begin, 0, 1))


@pytest.mark.parametrize(
    ("kind", "begin", "hours", "stands"),
    [
        ("window", datetime(2026, 3, 3, 22, tzinfo=UTC), 8, [3]),
        ("change", datetime(2026, 3, 3, 9, tzinfo=UTC), 2, [3]),
        ("change", datetime(2026, 3, 3, 9, tzinfo=UTC), 72, [3, 4, 6]),
        ("change", datetime(2026, 2, 20, 9, tzinfo=UTC), 24 * 30, [2, 4]),
        ("plan", datetime(2026, 3, 3, 9, tzinfo=UTC), 72, [3]),
        ("plan", datetime(2026, 3, 3, 9, tzinfo=UTC), 0, [3]),
        ("freeze", datetime(2026, 3, 3, 9, tzinfo=UTC), 72, [3, 4, 5, 6]),
        ("freeze", datetime(2026, 3, 3, 0, tzinfo=UTC), 24, [3]),
        ("freeze", datetime(2026, 2, 1, 0, tzinfo=UTC), 24 * 90, [2, 3, 4, 5, 6, 7, 8]),
        ("window", datetime(2026, 3, 1, 22, tzinfo=UTC), 8, [2]),
    ],
)
def test_an_entry_stands_on_the_days_that_matter(kind: str, begin: datetime, hours: float, stands: list[int]) -> None:
    week = calendar.days(
        date(2026, 3, 2), date(2026, 3, 9), [entry(kind, begin, hours)], zone=UTC, today=date(2026, 3, 4)
    )
    assert [each.day.day for each in week if each.shown] == stands
    if kind == "freeze":
        assert [each.day.day for each in week if each.is_frozen] == stands


def test_days_are_the_readers_own() -> None:
    late = entry("change", datetime(2026, 3, 3, 23, 30, tzinfo=UTC), 1)
    week = calendar.days(
        date(2026, 3, 2), date(2026, 3, 9), [late], zone=ZoneInfo("Asia/Tokyo"), today=date(2026, 3, 2)
    )
    assert [each.day.day for each in week if each.shown] == [4]


@pytest.mark.parametrize(
    ("day", "weeks"),
    [
        (date(2026, 3, 15), (date(2026, 2, 23), date(2026, 4, 6))),
        (date(2027, 2, 1), (date(2027, 2, 1), date(2027, 3, 1))),
        (date(2026, 12, 31), (date(2026, 11, 30), date(2027, 1, 4))),
    ],
)
def test_a_month_is_whole_weeks(day: date, weeks: tuple[date, date]) -> None:
    assert calendar.weeks_of(day) == weeks


# --- the page ---


def test_a_month_shows_what_is_on_which_day(shop: Shop, desk: Client) -> None:
    planned, plan = change(shop, 24), shop.plan(shop.release("1.0"))
    freeze(shop, 72, 30)
    html = text(desk, PAGE)
    month = days(html)
    assert (len(month), "March 2026" in html) == (42, True)
    assert "is-today" in month["2026-03-02"] and "Shop 1.0 to Production" in month["2026-03-02"]
    assert "Larger disk" in month["2026-03-03"] and "is-tentative" in html
    frozen = [day for day, told in month.items() if "is-frozen" in told]
    assert frozen == ["2026-03-05", "2026-03-06"] and "Year end" in month["2026-03-06"]
    for row in (planned, plan):
        assert f"/{row.pk}/change/" in html


def test_weeks_and_lists_turn_to_what_comes_before_and_next(shop: Shop, desk: Client) -> None:
    change(shop, 24 * 8)
    assert "Larger disk" not in text(desk, PAGE, view="week")
    html = text(desk, PAGE, view="week", on="2026-03-09")
    assert "Larger disk" in html and "on=2026-03-02" in html and "on=2026-03-16" in html
    listed = text(desk, PAGE, view="list")
    assert "Tuesday 10 March" in listed and "on=2026-04-01" in listed and "on=2026-01-31" in listed


def test_a_list_goes_on_page_by_page(shop: Shop, desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("releasemgmt.portal.schedule.LISTED", 1)
    change(shop, 1, title="The first"), change(shop, 2, title="The second")
    html = text(desk, PAGE, view="list")
    assert "The first" in html and "The second" not in html
    onwards = re.search(r'href="(\?[^"]*after=[^"]*)"', html)
    assert onwards and "The second" in text(desk, PAGE + onwards[1].replace("&amp;", "&"))
    assert desk.get(PAGE, {"view": "list", "after": "nonsense"}).status_code == 400


def test_an_environment_is_kept_from_view_to_view(shop: Shop, desk: Client) -> None:
    change(shop, 1, title="In production"), change(shop, 1, title="In test", environments=[shop.test])
    html = text(desk, PAGE, environment="test")
    assert "In test" in html and "In production" not in html
    assert html.count("environment=test") >= 6  # three views, before, now and next


@pytest.mark.parametrize(
    "query",
    [
        {"view": "year"},
        {"on": "yesterday"},
        {"on": "0001-01-01"},
        {"on": "9999-12-31"},
        {"on": "9999-12-31", "view": "list"},
        {"on": "0001-01-01", "view": "week"},
        {"environment": "nowhere"},
        {"environment": "\x00"},
    ],
)
def test_what_makes_no_sense_shows_a_calendar(desk: Client, query: dict[str, str]) -> None:
    assert "Nothing is scheduled then" in text(desk, PAGE, **query)


def test_others_see_nothing_of_it(shop: Shop) -> None:
    change(shop), freeze(shop)
    assert "Nothing is scheduled then" in text(signed_in(someone("contributor", team=ProductFactory().team)), PAGE)


def test_it_is_led_to_from_the_home_page_and_the_side_bar(desk: Client) -> None:
    assert text(desk, "/admin/").count('href="/admin/schedule/"') >= 2


def test_a_page_costs_the_same_whatever_is_on_it(shop: Shop, desk: Client) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as seen:
            text(desk, PAGE)
        return len(seen)

    change(shop), freeze(shop), shop.plan(shop.release("0.1")), window(shop, **NIGHTLY)
    few = cost()
    for n in range(3):
        change(shop, n), freeze(shop, n), shop.plan(shop.release(f"1.{n}")), window(shop, **NIGHTLY)
    assert few == cost() <= MOST


# --- a window's own calendar ---


def test_a_window_shows_its_days_in_the_months_ahead(shop: Shop, desk: Client) -> None:
    made = window(shop, **{**NIGHTLY, "rule": "FREQ=WEEKLY;BYDAY=TH"})
    html = text(desk, f"/admin/deployments/window/{made.pk}/change/")
    assert re.findall(r"<caption>(.*?)</caption>", html) == ["March 2026", "April 2026", "May 2026"]
    marked = [int(day) for day in re.findall(r'<span class="is-on is-allow[^"]*" title="On">(\d+)', html)]
    assert marked == [5, 12, 19, 26, 2, 9, 16, 23, 30, 7, 14, 21, 28]


def test_a_freeze_that_is_asked_for_shows_when_it_would_be(shop: Shop, desk: Client) -> None:
    asked = freeze(shop, actor=shop.deployer, **{**on_from(NOW + DAY, 48), "time_zone": "UTC"})
    html = text(desk, f"/admin/deployments/window/{asked.pk}/change/")
    assert re.findall(r'<span class="is-on is-deny[^"]*" title="On">(\d+)', html) == ["3", "4", "5"]


# --- what runs where ---


def test_the_matrix_goes_back_in_time_and_marks_what_differs(shop: Shop, desk: Client) -> None:
    with time_machine.travel(at(60), tick=False):
        ran(shop, shop.release("1.0"), 0)
        ran(shop, shop.release("2.0"), 10)
        see(shop, 11, api=STRANGE)
        now = text(desk, MATRIX)
        assert ">2.0<" in now and ">1.0<" not in now
        assert "1 place runs something else" in now and "Something else runs" in now
        then = text(desk, MATRIX, at="2026-03-02T09:05")
        assert ">1.0<" in then and ">2.0<" not in then and "Something else runs" not in then
        assert "Nothing ran anywhere then" in text(desk, MATRIX, at="2026-03-01T09:05")
        assert "Enter a valid date" in text(desk, MATRIX, at="yesterday")


def test_the_matrix_of_200_components_costs_what_a_small_one_costs(shop: Shop, desk: Client, large: Product) -> None:
    text(desk, MATRIX)
    with CaptureQueriesContext(connection) as seen:
        html = text(desk, MATRIX)
    own = [each["sql"] for each in seen if re.search(r'FROM "(deployments|catalog)_', each["sql"])]
    assert html.count("Something else runs") == 1000
    assert len(own) <= 6, own


def test_an_environment_tells_its_history_to_those_who_may_see_it(shop: Shop, desk: Client) -> None:
    with time_machine.travel(at(60), tick=False):
        ran(shop, shop.release("1.0"), 0)
        see(shop, 1, api=STRANGE)
        address = f"/admin/catalog/environment/{Environment.objects.get(key='production').pk}/change/"
        html = text(desk, address)
        assert "Succeeded" in html and "Something else was seen to run" in html and STRANGE in html
        stranger = text(signed_in(someone("contributor", team=ProductFactory().team)), address)
        assert "Nothing was deployed here that you can see" in stranger and STRANGE not in stranger
