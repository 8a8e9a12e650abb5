"""Days and weeks as a calendar shows them, in the reader's time zone: what stands on which day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from deployments.queries import Entry

DAY, WEEK = timedelta(days=1), timedelta(days=7)
#: Days that people can turn to; there are windows on each of them.
FIRST, LAST = date(2000, 3, 1), date(2199, 10, 31)
#: On a day, what says when others may start stands first.
ABOVE = ("freeze", "window")


@dataclass(frozen=True)
class Shown:
    """An entry as it stands on one day."""

    entry: Entry
    begins: bool
    ends: bool


@dataclass
class Day:
    """A day, what stands on it, and whether a freeze holds on some of it."""

    day: date
    is_today: bool = False
    is_aside: bool = False
    is_frozen: bool = False
    shown: list[Shown] = field(default_factory=list)


def monday(day: date) -> date:
    """The Monday of its week."""
    return day - timedelta(days=day.weekday())


def month_of(day: date) -> tuple[date, date]:
    """The first of its month, and of the next one."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def weeks_of(day: date) -> tuple[date, date]:
    """The Monday with which the calendar of its month begins, and the one at which it has ended."""
    first, following = month_of(day)
    return monday(first), monday(following - DAY) + WEEK


def midnight(day: date, zone: tzinfo) -> datetime:
    """The instant at which the day begins there."""
    return datetime.combine(day, datetime.min.time(), tzinfo=zone)


def days(begin: date, end: date, entries: Sequence[Entry], *, zone: tzinfo, today: date) -> list[Day]:
    """The days of a half-open interval with what stands on each.

    A freeze stands on every day on which it holds. Of the rest, plans and what lasts less than a day stand where they
    begin, so that a night's window is not shown twice; what lasts longer also today and where it ends.
    """
    found = {day: Day(day, is_today=day == today) for day in _each(begin, end)}
    for entry in entries:
        first, last = span(entry.starts_at, entry.ends_at, zone)
        if entry.is_freeze:
            for day in _each(max(first, begin), min(last + DAY, end)):
                found[day].is_frozen = True
        for day in sorted(_stands_on(entry, max(first, begin), last, today)):
            if day < end:
                found[day].shown.append(Shown(entry, begins=day == first, ends=day == last))
    for each in found.values():
        each.shown.sort(key=_in_order)
    return list(found.values())


def _in_order(shown: Shown) -> tuple[int, Any]:
    kind = shown.entry.kind
    return ABOVE.index(kind) if kind in ABOVE else len(ABOVE), shown.entry.place


def _stands_on(entry: Entry, first: date, last: date, today: date) -> set[date]:
    """The days of these on which an entry is shown."""
    if entry.is_freeze:
        return set(_each(first, last + DAY)) or {first}
    if entry.kind == "plan" or entry.ends_at - entry.starts_at < DAY:
        return {first}
    return {first, last} | ({today} if first < today < last else set())


def span(starts_at: datetime, ends_at: datetime, zone: tzinfo) -> tuple[date, date]:
    """The first and the last day on which it is on; an end at midnight belongs to the day before."""
    first = starts_at.astimezone(zone).date()
    last = (ends_at.astimezone(zone) - timedelta(microseconds=1)).date()
    return first, max(first, last)


def months(times: Iterable[tuple[datetime, datetime]], *, zone: tzinfo, today: date, most: int) -> list[list[Day]]:
    """The month of today and those after it, in whole weeks; days on which one of the times is on are frozen."""
    on: set[date] = set()
    for starts_at, ends_at in times:
        first, last = span(starts_at, ends_at, zone)
        on.update(_each(first, first + DAY if ends_at - starts_at < DAY else last + DAY))
    found, day = [], today
    for _ in range(most):
        first, following = month_of(day)
        begin, end = weeks_of(day)
        found.append(
            [
                Day(each, is_today=each == today, is_aside=not first <= each < following, is_frozen=each in on)
                for each in _each(begin, end)
            ]
        )
        day = following
    return found


def _each(begin: date, end: date) -> Iterator[date]:
    for n in range((end - begin).days):
        yield begin + n * DAY
