"""Whether a time is open, why not, and when that turns: windows as plain ranges on a line of hours."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.policies import Span, overlap_with_itself, verdict
from tests.conftest import NOW

HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)
Ranges = list[tuple[float, float]]


def at(hours: float) -> datetime:
    return NOW + hours * HOUR


def spans(ranges: Ranges) -> list[Span]:
    return [Span(at(begin), at(end), f"The window {begin}-{end}") for begin, end in ranges]


def hours(instant: datetime | None) -> float | None:
    return None if instant is None else (instant - NOW) / HOUR


@pytest.mark.parametrize(
    ("allow", "deny", "closed_by", "next_open", "next_close"),
    [
        (None, [], [], None, None),
        (None, [(1, 2)], [], 2, 1),
        (None, [(0, 2)], ["frozen"], 2, None),
        (None, [(-1, 0)], [], None, None),
        (None, [(-1, 1), (1, 2)], ["frozen"], 2, None),
        (None, [(-1, 3), (1, 2)], ["frozen"], 3, None),
        (None, [(-1, 1), (-1, 4)], ["frozen", "frozen"], 4, None),
        ([], [], ["outside_window"], None, None),
        ([(1, 2)], [], ["outside_window"], 1, 2),
        ([(0, 2)], [], [], None, 2),
        ([(-1, 0)], [], ["outside_window"], None, None),
        ([(-1, 0), (5, 6)], [], ["outside_window"], 5, 6),
        ([(0, 2), (2, 4)], [], [], None, 4),
        ([(0, 2), (1, 4), (9, 10)], [], [], 9, 4),
        ([(0, 4)], [(1, 2)], [], 2, 1),
        ([(0, 4)], [(0, 2)], ["frozen"], 2, 4),
        ([(1, 4)], [(0, 2)], ["frozen", "outside_window"], 2, 4),
        ([(1, 2), (5, 6)], [(0, 3)], ["frozen", "outside_window"], 5, 6),
        ([(1, 2)], [(0, 3)], ["frozen", "outside_window"], None, None),
        ([(0, 2)], [(2, 4)], [], None, 2),
    ],
)
def test_a_time_is_open_where_nothing_denies_it_and_something_allows_it(
    allow: Ranges | None, deny: Ranges, closed_by: list[str], next_open: float | None, next_close: float | None
) -> None:
    found = verdict(NOW, allow=None if allow is None else spans(allow), deny=spans(deny))
    assert [code for code, _sentence in found.closed_by] == closed_by
    assert (hours(found.next_open), hours(found.next_close)) == (next_open, next_close)
    assert found.is_open is not bool(closed_by)


@pytest.mark.parametrize(("off", "is_open"), [(-TICK, False), (0 * TICK, True), (HOUR - TICK, True), (HOUR, False)])
def test_ranges_are_half_open(off: timedelta, is_open: bool) -> None:
    assert verdict(NOW + off, allow=spans([(0, 1)]), deny=[]).is_open is is_open
    assert verdict(NOW + off, allow=None, deny=spans([(0, 1)])).is_open is not is_open


def test_the_reason_says_which_freeze_and_until_when() -> None:
    found = verdict(NOW, allow=[], deny=[Span(at(-1), at(2), "The freeze “Year end” (WIN-3)")])
    freeze = "The freeze “Year end” (WIN-3) is on until 2026-03-02 11:00 UTC."
    assert found.reason == f"{freeze} It is outside every maintenance window."


def test_what_is_not_laid_out_yet_is_closed_and_says_so() -> None:
    found = verdict(at(9), allow=None, deny=[], known_until=at(9))
    assert (found.is_open, found.closed_by[0][0], found.known_until) == (False, "not_laid_out", at(9))
    assert "until 2026-03-02 18:00 UTC" in found.reason


def test_a_turn_that_more_times_could_move_is_not_told() -> None:
    found = verdict(NOW, allow=None, deny=spans([(0, 9)]), known_until=at(9))
    assert (found.is_open, found.next_open) == (False, None)


RANGES = st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 9)).map(lambda pair: (pair[0], sum(pair))), max_size=6)


def plainly_open(hour: float, allow: Ranges | None, deny: Ranges) -> bool:
    """The definition, word for word."""
    denied = any(begin <= hour < end for begin, end in deny)
    return not denied and (allow is None or any(begin <= hour < end for begin, end in allow))


@given(allow=st.none() | RANGES, deny=RANGES, hour=st.integers(-9, 20))
def test_the_verdict_is_the_definition_at_every_hour(allow: Ranges | None, deny: Ranges, hour: int) -> None:
    now_open = plainly_open(hour, allow, deny)
    line = {later: plainly_open(later, allow, deny) for later in range(hour, 30)}
    turns = [later for later in range(hour + 1, 30) if line[later] != line[later - 1]]
    found = verdict(at(hour), allow=None if allow is None else spans(allow), deny=spans(deny))
    expected = {line[later]: float(later) for later in reversed(turns[:2])}
    assert found.is_open is now_open
    assert (hours(found.next_open), hours(found.next_close)) == (expected.get(True), expected.get(False))


@pytest.mark.parametrize(
    ("rule", "length", "meets_itself"),
    [
        ("FREQ=DAILY", 23 * HOUR, False),
        ("FREQ=DAILY", 24 * HOUR, True),
        ("FREQ=WEEKLY;BYDAY=MO,WE", 47 * HOUR, False),
        ("FREQ=WEEKLY;BYDAY=MO,WE", 49 * HOUR, True),
        ("FREQ=YEARLY", 364 * 24 * HOUR, False),
        ("FREQ=MONTHLY;BYMONTHDAY=1,31", 25 * HOUR, True),
    ],
)
def test_a_rule_whose_times_run_into_each_other_would_never_end(
    rule: str, length: timedelta, meets_itself: bool
) -> None:
    first = {"first_on": NOW.date(), "start": NOW.time()}
    assert overlap_with_itself(rule, **first, duration=length) is meets_itself  # type: ignore[arg-type]
