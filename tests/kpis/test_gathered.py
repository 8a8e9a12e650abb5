"""What the database says of instants, as numbers, days and places, is what Python says of them, on both engines."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from releasemgmt.kpis.definitions import Span, offsets
from releasemgmt.kpis.queries.gathered import (
    Columns,
    Number,
    OneOf,
    Place,
    Second,
    begin_of_day,
    day_of,
    gathered,
    instant,
    number,
)
from releasemgmt.releases.models import Commit
from tests.deployments.world import Shop
from tests.kpis.world import commits, figures

TIME = Span(datetime(2011, 6, 1, 0, 0, 0, 5, tzinfo=UTC), datetime(2012, 6, 1, tzinfo=UTC))
#: With summer time, of half an hour too; without; one that left out a day; one that stops its summer time for Ramadan.
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Asia/Kathmandu",
]
MICROSECOND, SECOND = timedelta(microseconds=1), timedelta(seconds=1)


def around(marks: list[datetime]) -> list[datetime]:
    """Instants at these, just before and just after, all of them in the time."""
    near = {mark + step for mark in marks for step in (-SECOND, -MICROSECOND, 0 * SECOND, MICROSECOND, SECOND)}
    return sorted(each for each in near if TIME.begin <= each < TIME.end)


@pytest.mark.parametrize("name", ZONES)
def test_clocks_are_known_to_the_second(name: str) -> None:
    zone = ZoneInfo(name)
    marks, ahead = zip(*offsets(TIME, zone), strict=True)
    hours = [TIME.begin + n * timedelta(hours=1) for n in range(366 * 24)]
    for at in [*hours, *around(list(marks))]:
        expected = at.astimezone(zone).utcoffset()
        assert timedelta(seconds=ahead[bisect_right(marks, at) - 1]) == expected, at


def test_summer_time_that_lasts_a_week_is_seen() -> None:
    autumn = Span(datetime(2000, 9, 1, tzinfo=UTC), datetime(2000, 12, 1, tzinfo=UTC))
    (_at, usual), (begin, summer), (end, again) = offsets(autumn, ZoneInfo("America/Noronha"))
    assert (usual, summer, again) == (-7200, -3600, -7200)
    assert end - begin == timedelta(days=7, hours=-1)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ZONES)
def test_days_are_those_of_the_zone(shop: Shop, name: str) -> None:
    zone = ZoneInfo(name)
    midnights = [datetime(2011, 12, day, tzinfo=zone).astimezone(UTC) for day in (29, 30, 31)]
    instants = around([TIME.begin, TIME.end, *midnights, *(at for at, _ahead in offsets(TIME, zone))])
    commits(shop, list(enumerate(instants, 1)))
    days, at = gathered(Commit.objects.all(), day_of("committed_at", TIME, zone), Number("committed_at"))
    assert sorted(at) == list(map(number, instants))
    for day, each in zip(days, at, strict=True):
        local = instant(each).astimezone(zone)
        assert day == local.toordinal() - datetime(1970, 1, 1, tzinfo=UTC).toordinal()
        assert begin_of_day(day, zone) <= each


@pytest.mark.django_db
@pytest.mark.parametrize("n", [0, 1, 2, 7, 400])
def test_instants_are_between_others(shop: Shop, n: int) -> None:
    marks = [TIME.begin + k * timedelta(hours=21, microseconds=1) for k in range(n)]
    instants = around([TIME.begin + timedelta(days=40), *marks[:3], *marks[-2:]])
    commits(shop, list(enumerate(instants, 1)))
    rows: Any = Commit.objects.values_list("committed_at", Place("committed_at", marks), Second("committed_at"))
    assert rows.count() == len(instants)
    for at, place, second in rows:
        assert (place, second) == (bisect_right(marks, at), int(at.timestamp()))


@pytest.mark.django_db
def test_one_of_many_keys(shop: Shop) -> None:
    commits(shop, [(n, TIME.begin + n * SECOND) for n in range(1, 4)])
    first, _second, third = Commit.objects.order_by("committed_at").values_list("pk", flat=True)
    found = Commit.objects.filter(OneOf("pk", [third, first, 0])).values_list("pk", flat=True)
    assert set(found) == {first, third}
    assert not Commit.objects.filter(OneOf("product", [])).exists()


def test_columns_are_in_the_order_of_time() -> None:
    at = [number(TIME.begin) + 10 * n for n in range(4)]
    found = Columns.in_order([[at[2], at[0], at[3], at[1]]])
    assert found.at == at
    assert found.within(Span(instant(at[1]), instant(at[3]))).at == at[1:3]
    assert found.where([True, False, False, True]).at == [at[0], at[3]]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite keeps no plans")
def test_a_question_about_all_products_is_planned_for_its_values_one_about_a_product_is_not(shop: Shop) -> None:
    def runs_of_kept_plans() -> int:
        with connection.cursor() as cursor:
            plans = "FROM pg_prepared_statements WHERE strpos(statement, %s) > 0"
            cursor.execute(f"SELECT coalesce(sum(generic_plans + custom_plans), 0) {plans}", ["JSON_AGG"])
            return int(cursor.fetchone()[0])

    for product, is_kept in ((None, False), (shop.product, True)):
        before = runs_of_kept_plans()
        for _ in range(5):
            figures(shop.ci, product=product)
        assert (runs_of_kept_plans() > before) is is_kept
