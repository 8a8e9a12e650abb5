"""When windows are on where clocks change: each zone's own transitions, for every kind of rule; no database."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from deployments.models import Window

#: zone, the day of a transition, a local time in its gap or fold (or none there), and when that is in UTC.
SPRING = [
    ("Europe/Berlin", date(2026, 3, 29), time(2, 30), "2026-03-29 01:30"),  # 02:00 → 03:00
    ("America/New_York", date(2026, 3, 8), time(2, 30), "2026-03-08 07:30"),  # 02:00 → 03:00
    ("Australia/Lord_Howe", date(2026, 10, 4), time(2, 15), "2026-10-03 15:45"),  # 02:00 → 02:30
    ("America/Sao_Paulo", date(2018, 11, 4), time(0, 30), "2018-11-04 03:30"),  # 00:00 → 01:00
    ("Pacific/Apia", date(2011, 12, 30), time(10), "2011-12-30 20:00"),  # the day was left out
    ("Asia/Kathmandu", date(1986, 1, 1), time(0, 10), "1985-12-31 18:40"),  # 00:00 → 00:15, the last of its kind
    ("UTC", date(2026, 3, 29), time(2, 30), "2026-03-29 02:30"),
]
AUTUMN = [
    ("Europe/Berlin", date(2026, 10, 25), time(2, 30), "2026-10-25 00:30"),  # 03:00 → 02:00
    ("America/New_York", date(2026, 11, 1), time(1, 30), "2026-11-01 05:30"),  # 02:00 → 01:00
    ("Australia/Lord_Howe", date(2026, 4, 5), time(1, 45), "2026-04-04 14:45"),  # 02:00 → 01:30
    ("America/Sao_Paulo", date(2019, 2, 16), time(23, 30), "2019-02-17 01:30"),  # 00:00 → 23:00
    ("Pacific/Apia", date(2012, 4, 1), time(3, 30), "2012-03-31 13:30"),  # 04:00 → 03:00
    ("Asia/Kathmandu", date(2026, 10, 25), time(2, 30), "2026-10-24 20:45"),
    ("UTC", date(2026, 10, 25), time(2, 30), "2026-10-25 02:30"),
]
#: rule → how long before the day it begins, so that the day is its third time.
RULES = {
    "FREQ=DAILY": lambda day: day - timedelta(days=2),
    "FREQ=WEEKLY": lambda day: day - timedelta(weeks=2),
    "FREQ=MONTHLY;BYMONTHDAY={day}": lambda day: day.replace(year=day.year - 1),
    "FREQ=YEARLY": lambda day: day.replace(year=day.year - 2),
}
CASES = [(*case, rule) for case in SPRING + AUTUMN for rule in RULES]


def window(zone: str, first_on: date, start: time, rule: str = "", minutes: int = 8 * 60) -> Window:
    return Window(time_zone=zone, first_on=first_on, start_time=start, rule=rule, duration_minutes=minutes)


def times(zone: str, day: date, start: time, rule: str) -> list[tuple[datetime, datetime]]:
    """From the first time to some weeks after the day."""
    midnight = datetime.combine(day, time(), UTC)
    around = (midnight - timedelta(days=800), midnight + timedelta(days=40))
    return window(zone, RULES[rule](day), start, rule.format(day=day.day)).times(*around)


@pytest.mark.parametrize(("zone", "day", "start", "expected", "rule"), CASES)
def test_a_window_begins_where_the_clock_says(zone: str, day: date, start: time, expected: str, rule: str) -> None:
    begins = [f"{begin:%Y-%m-%d %H:%M}" for begin, _end in times(zone, day, start, rule)]
    assert begins.count(expected) == 1


@pytest.mark.parametrize(("zone", "day", "start", "expected", "rule"), CASES)
def test_a_window_lasts_exactly_as_long_as_it_says(zone: str, day: date, start: time, expected: str, rule: str) -> None:
    assert {end - begin for begin, end in times(zone, day, start, rule)} == {timedelta(hours=8)}


@pytest.mark.parametrize(("zone", "day", "start", "expected", "rule"), CASES)
def test_it_begins_once_each_time_and_at_its_hour_unless_the_clock_leaves_that_out(
    zone: str, day: date, start: time, expected: str, rule: str
) -> None:
    begins = [begin for begin, _end in times(zone, day, start, rule)]
    assert begins == sorted(set(begins)) and len(begins) > 2
    moved = {begin for begin in begins if begin.astimezone(ZoneInfo(zone)).time() != start}
    assert {f"{begin:%Y-%m-%d %H:%M}" for begin in moved} <= {expected}


def test_the_peers_bug_is_not_ours() -> None:
    """An eight-hour window over the night on which Berlin's clocks go forward ends at seven, not at six."""
    ((begin, end),) = window("Europe/Berlin", date(2026, 3, 28), time(22)).times(
        datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 30, tzinfo=UTC)
    )
    local = [at.astimezone(ZoneInfo("Europe/Berlin")) for at in (begin, end)]
    assert [f"{at:%H:%M}" for at in local] == ["22:00", "07:00"]


@pytest.mark.parametrize(
    ("minutes", "found"), [(0, ["03-02 10:00"]), (59, ["03-02 10:00"]), (60, []), (-1, ["03-02 10:00"]), (-120, [])]
)
def test_an_interval_finds_what_overlaps_it(minutes: int, found: list[str]) -> None:
    """The window is on from ten to eleven; the interval of an hour begins so long after ten."""
    begin = datetime(2026, 3, 2, 10, tzinfo=UTC) + timedelta(minutes=minutes)
    once = window("UTC", date(2026, 3, 2), time(10), minutes=60).times(begin, begin + timedelta(hours=1))
    weekly = window("UTC", date(2026, 3, 2), time(10), "FREQ=WEEKLY", 60).times(begin, begin + timedelta(hours=1))
    assert [f"{at:%m-%d %H:%M}" for at, _end in once] == found == [f"{at:%m-%d %H:%M}" for at, _end in weekly]
