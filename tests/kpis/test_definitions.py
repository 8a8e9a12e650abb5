"""The definitions of the figures as pure functions: the fixtures of their specification that need no records."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from releasemgmt.kpis.definitions import (
    Span,
    begin_of,
    buckets,
    clipped,
    days,
    kaplan_meier_median,
    merged,
    percentile,
    seconds_of,
    spread,
    union,
    usual,
    without,
)

RIGA, UTC_ZONE = ZoneInfo("Europe/Riga"), ZoneInfo("UTC")
HOUR = 3600
PATIENT = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def spans(*pairs: tuple[str, str]) -> list[Span]:
    return [Span(at(f"2024-05-01T{begin}"), at(f"2024-05-01T{end}")) for begin, end in pairs]


def test_percentiles_lie_between_two_values() -> None:  # fixtures 1 and 2
    assert (percentile([1, 2, 3, 4], 50), percentile([1, 2, 3, 4], 90)) == (2.5, 3.7)
    assert spread([670, 315]).median == 492.5
    assert (spread([]).n, spread([]).median, spread([7]).p90) == (0, None, 7)


@PATIENT
@given(st.lists(st.integers(0, 10**9), min_size=1), st.sampled_from([50, 90]))
def test_so_many_values_lie_below_a_percentile(values: list[int], percent: int) -> None:
    found = percentile(sorted(values), percent)
    assert min(values) <= found <= max(values)
    assert sum(value < found for value in values) <= (len(values) - 1) * percent / 100 + 1
    assert sum(value > found for value in values) <= (len(values) - 1) * (100 - percent) / 100 + 1


def test_a_commit_belongs_to_the_day_of_the_zone() -> None:  # fixtures 3 and 4
    year = Span(at("2024-01-01T00:00"), at("2025-01-01T00:00"))
    commit = at("2024-03-31T22:30")
    day, month = (next(span for span in buckets(year, bucket, RIGA) if commit in span) for bucket in ("day", "month"))
    assert day.begin.astimezone(RIGA).date() == date(2024, 4, 1)
    assert month.begin.astimezone(RIGA).date() == date(2024, 4, 1)
    short = Span(begin_of(date(2024, 3, 31), RIGA), begin_of(date(2024, 4, 1), RIGA))
    assert short == (at("2024-03-30T22:00"), at("2024-03-31T21:00"))
    assert (short.end - short.begin, days(short, RIGA)) == (timedelta(hours=23), 1)


@pytest.mark.parametrize("bucket", ["day", "week", "month"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Riga", "Pacific/Apia", "America/Sao_Paulo", "Australia/Lord_Howe"])
def test_buckets_cover_the_time_without_gap_or_overlap(bucket: str, zone: str) -> None:
    whole = Span(at("2011-11-16T07:31"), at("2012-03-02T22:10"))
    found = list(buckets(whole, bucket, ZoneInfo(zone)))
    assert (found[0].begin, found[-1].end) == whole
    assert all(one.end == other.begin and one.begin < one.end for one, other in zip(found, found[1:], strict=False))
    firsts = [span.begin.astimezone(ZoneInfo(zone)) for span in found[1:]]
    assert all(first.weekday() == 0 for first in firsts if bucket == "week")
    assert all(first.day == 1 for first in firsts if bucket == "month")
    # From 16 November to 2 March are 108 days, in some zones the first or last is another; Apia had no 30 December.
    local = {(whole.begin + n * timedelta(hours=1)).astimezone(ZoneInfo(zone)).date() for n in range(2584)}
    assert bucket != "day" or len(found) == len(local)


def test_overlapping_outages_are_one() -> None:  # fixture 5
    outages = spans(("10:00", "11:00"), ("10:30", "12:00"), ("12:00", "12:10"), ("12:20", "12:30"))
    assert (len(outages), sum((span.end - span.begin).seconds for span in outages)) == (4, 10_200)
    assert (len(union(outages)), seconds_of(outages)) == (2, 8_400)
    near = merged(outages, gap=timedelta(minutes=15))
    assert (len(near), seconds_of(outages)) == (1, 8_400)


def test_an_outage_of_59_minutes_is_not_none() -> None:  # fixture 12
    assert seconds_of(spans(("10:00", "10:59"))) == 3_540


def test_intervals_are_cut() -> None:
    outages = spans(("10:00", "12:00"), ("13:00", "14:00"))
    assert clipped(outages, spans(("11:00", "13:00"))[0]) == spans(("11:00", "12:00"))
    assert without(outages, spans(("09:00", "10:30"), ("11:00", "11:30"), ("13:30", "15:00"))) == spans(
        ("10:30", "11:00"), ("11:30", "12:00"), ("13:00", "13:30")
    )
    assert without(outages, []) == outages
    assert without(outages, spans(("10:00", "14:00"))) == []


def test_open_cases_count_in_the_median() -> None:  # fixture 6
    assert kaplan_meier_median([1 * HOUR, 2 * HOUR, 3 * HOUR], [4 * HOUR]) == 2 * HOUR
    assert kaplan_meier_median([1 * HOUR], [4 * HOUR, 5 * HOUR]) is None
    assert kaplan_meier_median([], []) is None
    # The textbook's remission times: half had relapsed after 23 weeks.
    relapsed, well = [6, 6, 6, 7, 10, 13, 16, 22, 23], [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    assert kaplan_meier_median(relapsed, well) == 23


@PATIENT
@given(st.lists(st.integers(0, 1000), min_size=1))
def test_without_open_cases_it_is_the_lower_median(ended: list[int]) -> None:
    assert kaplan_meier_median(ended, []) == sorted(ended)[(len(ended) - 1) // 2]


def test_part_of_a_day_is_part_of_a_day() -> None:
    assert days(Span(at("2024-05-01T12:00"), at("2024-05-03T06:00")), UTC_ZONE) == 1.75
    assert days(Span(at("2024-05-01T12:00"), at("2024-05-01T12:00")), UTC_ZONE) == 0


def test_the_last_value_is_held_against_those_before() -> None:
    assert usual([1.0, None, 3.0, 9.0]) == 2.0
    assert usual([9.0]) is None
