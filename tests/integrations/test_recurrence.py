"""Recurrence rules: what is refused, and where meetings fall on the days on which clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest

from releasemgmt.integrations.recurrence import BadRule, instants, parsed, words
from tests.work import work

MONDAY = date(2026, 3, 2)


def falls(rule: str, *, start: time, zone: str, begin: date, end: date, first_on: date = MONDAY) -> list[str]:
    whole = [datetime.combine(day, time(), UTC) for day in (begin, end)]
    found = instants(rule, first_on=first_on, start=start, zone=zone, begin=whole[0], end=whole[1])
    return [f"{at:%m-%d %H:%M}" for at in found]


@pytest.mark.parametrize(
    ("rule", "starts"),
    [
        ("FREQ=WEEKLY;BYDAY=TU", ["03-03", "03-10", "03-17", "03-24", "03-31"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", ["03-03", "03-17", "03-31"]),
        ("FREQ=MONTHLY;BYDAY=2WE", ["03-11"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["03-31"]),
        ("FREQ=DAILY;COUNT=2", ["03-02", "03-03"]),
        ("FREQ=WEEKLY;UNTIL=20260312", ["03-02", "03-09"]),
    ],
)
def test_it_comes_on_the_days_of_the_rule(rule: str, starts: list[str]) -> None:
    found = falls(rule, start=time(14), zone="UTC", begin=date(2026, 3, 1), end=date(2026, 4, 1))
    assert found == [f"{day} 14:00" for day in starts]


def test_the_local_time_stays_when_the_clocks_change() -> None:
    spring = falls("FREQ=WEEKLY", start=time(14), zone="Europe/Zurich", begin=date(2026, 3, 23), end=date(2026, 4, 1))
    assert spring == ["03-23 13:00", "03-30 12:00"]


def test_a_time_that_does_not_exist_moves_forward_by_the_gap() -> None:
    # On 29 March 2026 Zürich has no 02:30: 03:30 summer time it is.
    found = falls("FREQ=DAILY", start=time(2, 30), zone="Europe/Zurich", begin=date(2026, 3, 28), end=date(2026, 3, 31))
    assert found == ["03-28 01:30", "03-29 01:30", "03-30 00:30"]


def test_of_a_time_that_comes_twice_the_first_counts() -> None:
    # On 25 October 2026 Zürich has two 02:30: the first is still summer time.
    days = {"begin": date(2026, 10, 24), "end": date(2026, 10, 27)}
    found = falls("FREQ=DAILY", start=time(2, 30), zone="Europe/Zurich", **days)
    assert found == ["10-24 00:30", "10-25 00:30", "10-26 01:30"]


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("FREQ=HOURLY", "at most once a day"),
        ("FREQ=MINUTELY;INTERVAL=5", "at most once a day"),
        ("FREQ=SECONDLY", "at most once a day"),
        ("FREQ=DAILY;BYHOUR=9,15", "no BYHOUR"),
        ("FREQ=WEEKLY;BYMINUTE=0,30", "no BYMINUTE"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "no day"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=7", "no day"),
        ("FREQ=WEEKLY;UNTIL=20250101", "no day"),
        ("FREQ=MONTHLY;BYMONTH=4;BYMONTHDAY=31", "no day"),
        ("FREQ=YEARLY;BYMONTH=4;BYDAY=6MO", "no day"),
        ("FREQ=YEARLY;BYDAY=60MO", "no rule"),
        ("FREQ=WEEKLY;BYMONTH=13", "from 1 to 12"),
        ("FREQ=WEEKLY;UNTIL=20270101T000000Z", "UNTIL is a day"),
        ("FREQ=WEEKLY;UNTIL=20279901", "no rule"),
        ("FREQ=WEEKLY;INTERVAL=0", "INTERVAL"),
        ("FREQ=WEEKLY;COUNT=-1", "COUNT"),
        ("FREQ=WEEKLY;BYDAY=XX", "no rule"),
        ("FREQ=WEEKLY;BYDAY=", "Write it like"),
        ("FREQ=WEEKLY;FREQ=DAILY", "each once"),
        ("FREQ=WEEKLY\nEXDATE:20260303", "Write it like"),
        ("every Tuesday", "Write it like"),
        ("INTERVAL=2", "FREQ is one of"),
    ],
)
def test_what_is_no_rule_for_meetings_is_refused_with_the_reason(rule: str, why: str) -> None:
    with pytest.raises(BadRule, match=why), work() as done:
        parsed(rule, first_on=MONDAY, start=time(9))
    assert done.calls < 40_000  # a search for a day until the calendar ends takes up to 600,000


def test_a_day_that_comes_only_in_decades_is_one() -> None:
    times = parsed("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", first_on=MONDAY, start=time(9))
    assert times[0].date() == date(2044, 2, 29)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("FREQ=WEEKLY;BYDAY=TH", "every week on Thursday"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE", "every 2 weeks on Monday, Wednesday"),
        ("FREQ=MONTHLY;BYDAY=2TU", "every month on the second Tuesday"),
        ("FREQ=MONTHLY;BYDAY=-1FR", "every month on the last Friday"),
        ("FREQ=DAILY", "every day"),
        ("FREQ=MONTHLY;BYMONTHDAY=15", "FREQ=MONTHLY;BYMONTHDAY=15"),
    ],
)
def test_a_rule_is_told_in_words(rule: str, said: str) -> None:
    assert words(rule) == said
