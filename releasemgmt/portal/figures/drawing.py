"""What a chart is, as plain data: the browser's chart library draws it, and says nothing that does not stand here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.utils.formats import date_format

from releasemgmt.kpis.definitions import Span, begin_of
from releasemgmt.portal.figures.words import DAY, HOUR, MINUTE, SECONDS, SHARE, duration, share

#: About so many days are named below a chart, and at most so many durations beside it.
NAMED, STEPS = 6, 4
YEAR = 365 * DAY
#: Durations that people think in: where a scale of them is marked, and how far apart marks from 0 on may be.
TIMES = (
    *(1, 5, 15, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY),
    *(14 * DAY, 30 * DAY, 60 * DAY, 120 * DAY, YEAR, 3 * YEAR, 10 * YEAR, 50 * YEAR),
)
SHORTEST = TIMES.index(MINUTE)


class Axis(NamedTuple):
    """A scale, as options of the library, and the values that are named on it; one without is marked by the library."""

    options: dict[str, Any]
    marks: Sequence[tuple[float, str]] = ()


NUMBERS = Axis({"min": 0, "ticks": {"maxTicksLimit": 6}})
COUNTS = Axis({"min": 0, "ticks": {"maxTicksLimit": 6, "precision": 0}})


class Value(NamedTuple):
    """What is drawn at a place or over an interval; None is a gap."""

    at: float | tuple[float, float]
    value: float | str | None
    title: str = ""


class Series(NamedTuple):
    """What is drawn in one tone, and what that stands for."""

    tone: str
    text: str
    values: Sequence[Value]

    @property
    def is_drawn(self) -> bool:
        return any(each.value is not None for each in self.values)


class Table(NamedTuple):
    """What a chart says, line by line."""

    head: Sequence[str]
    lines: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Chart:
    """A picture with the table that says the same; of its series the first is drawn on top."""

    kind: str
    name: str
    title: str
    says: str
    table: Table
    across: Axis
    series: Sequence[Series]
    up: Axis = Axis({})
    note: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(series.is_drawn for series in self.series if series.tone != "gap")

    @property
    def drawn(self) -> dict[str, Any]:
        """What the script needs."""
        series = [each._asdict() for each in self.series if each.is_drawn]
        return {"kind": self.kind, "across": self.across._asdict(), "up": self.up._asdict(), "series": series}


def from_nothing(most: float, unit: str) -> Axis:
    """A scale that begins at 0."""
    if unit == SHARE:
        return Axis({"min": 0, "max": 1}, [(n / STEPS, share(n / STEPS)) for n in range(STEPS + 1)])
    if unit != SECONDS:
        return COUNTS if most >= 1 else NUMBERS
    space = next((time for time in TIMES if time * STEPS >= most), most)
    marks = [(n * space, duration(n * space)) for n in range(math.ceil(most / space - 1e-9) + 1)]
    return Axis({"min": 0, "max": marks[-1][0]}, marks)


def by_magnitude(values: Iterable[float]) -> Axis:
    """A logarithmic scale of durations, from minutes to years: short ones stay visible beside long ones."""
    found = [visible(value) for value in values] or [MINUTE]
    low = max(n for n, time in enumerate(TIMES) if time <= min(found))
    high = next((n for n, time in enumerate(TIMES) if time >= max(found)), len(TIMES) - 1)
    if high - low < STEPS - 1:  # a single case stands in the middle
        low, high = max(SHORTEST, low - 1), min(len(TIMES) - 1, high + 1)
    named = [low, *range(high, low, -1 - (high - low) // (STEPS + 2))[::-1]]
    marks = [(TIMES[n], duration(TIMES[n])) for n in named]
    if low == SHORTEST:
        marks[0] = (MINUTE, f"≤ {duration(MINUTE)}")
    return Axis({"type": "logarithmic", "min": TIMES[low], "max": TIMES[high]}, marks)


def visible(value: float) -> float:
    """Where a duration stands on a logarithmic scale, which has no place for 0."""
    return min(max(value, MINUTE), TIMES[-1])


def stamp(at: datetime) -> int:
    """An instant in milliseconds, as browsers count it."""
    return round(at.timestamp() * 1_000)


def over_time(span: Span, zone: ZoneInfo) -> Axis:
    """The time that a chart shows, with some days by their name."""
    first, last = (at.astimezone(zone).date() for at in span)
    length = (last - first).days
    style = "M Y" if length > 300 else "j M"
    days = [first + timedelta(days=n) for n in range(0, max(length, 1), max(1, math.ceil(length / NAMED)))]
    marks = [(stamp(begin_of(day, zone)), date_format(day, style)) for day in days]
    return Axis({"min": stamp(span.begin), "max": stamp(span.end)}, marks)
