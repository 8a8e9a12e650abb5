"""Charts as shapes for SVG: across in percent of the width, so that text keeps its size, and up in pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.utils.formats import date_format

from releasemgmt.kpis.definitions import Span, begin_of
from releasemgmt.portal.figures.words import DAY, HOUR, MINUTE, SECONDS, SHARE, amount

HEIGHT = 200
#: About so many days are named below a chart, and at most so many values beside it.
NAMED, STEPS = 6, 4
YEAR = 365 * DAY
#: Durations that people think in: where a scale of them is marked, from the shortest on.
TIMES = (
    *(MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY),
    *(14 * DAY, 30 * DAY, 60 * DAY, 120 * DAY, YEAR, 3 * YEAR, 10 * YEAR, 50 * YEAR),
)
#: How far apart the marks of a scale from 0 on may be.
SPACES = (
    *(1, 5, 15, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY),
    *(14 * DAY, 30 * DAY, 90 * DAY, 180 * DAY, YEAR, 3 * YEAR, 10 * YEAR, 50 * YEAR),
)


class Tick(NamedTuple):
    """A mark on a scale."""

    place: str
    text: str


class Box(NamedTuple):
    """A bar, or an interval."""

    tone: str
    left: str
    top: str
    width: str
    height: str
    title: str = ""


class Dot(NamedTuple):
    """A value at its time."""

    left: str
    top: str
    title: str = ""


class Stroke(NamedTuple):
    """From one value to the next."""

    left: str
    top: str
    right: str
    bottom: str


class Key(NamedTuple):
    """What a tone stands for."""

    tone: str
    text: str


class Table(NamedTuple):
    """What a chart says, line by line."""

    head: Sequence[str]
    lines: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Chart:
    """A picture with the table that says the same."""

    name: str
    title: str
    says: str
    table: Table
    note: str = ""
    height: int = HEIGHT
    up: Sequence[Tick] = ()
    across: Sequence[Tick] = ()
    boxes: Sequence[Box] = ()
    dots: Sequence[Dot] = ()
    strokes: Sequence[Stroke] = ()
    medians: Sequence[Dot] = ()
    keys: Sequence[Key] = field(default=())

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not (self.dots or self.medians or any(box.tone != "gap" for box in self.boxes))

    @property
    def below(self) -> int:
        """Where the names of the days stand."""
        return self.height + 18


def percent(value: float) -> str:
    """A place across."""
    return f"{value:.3f}%"


def pixels(value: float) -> str:
    """A place from the top."""
    return f"{value:.1f}"


class Scale(NamedTuple):
    """How high a value stands, and what is marked."""

    height: Callable[[float], float]
    up: list[Tick]


def from_nothing(most: float, unit: str) -> Scale:
    """A scale that begins at 0."""
    space = 0.25 if unit == SHARE else _space(most, unit)
    steps = max(1, math.ceil(most / space - 1e-9))
    top = 1.0 if unit == SHARE else steps * space

    def height(value: float) -> float:
        return HEIGHT * (1 - value / top)

    marks = [n * space for n in range(round(top / space) + 1)]
    return Scale(height, [Tick(pixels(height(mark)), amount(mark, unit)) for mark in marks])


def _space(most: float, unit: str) -> float:
    if unit == SECONDS:
        return next((space for space in SPACES if space * STEPS >= most), most)
    size: float = 10 ** math.floor(math.log10(max(most, 1) / STEPS))
    space = next(size * n for n in (1, 2, 5, 10) if size * n * STEPS >= most)
    return space if most < 1 else max(space, 1)


def by_magnitude(values: Iterable[float]) -> Scale:
    """A logarithmic scale of durations, from minutes to years: short ones stay visible beside long ones."""
    found = [max(value, MINUTE) for value in values] or [MINUTE]
    low = max(n for n, time in enumerate(TIMES) if time <= min(found))
    high = next((n for n, time in enumerate(TIMES) if time >= max(found)), len(TIMES) - 1)
    if high - low < STEPS - 1:  # a single case stands in the middle
        low, high = max(0, low - 1), min(len(TIMES) - 1, high + 1)
    bottom, top = TIMES[low], TIMES[high]
    length = math.log(top / bottom)

    def height(value: float) -> float:
        return HEIGHT * (1 - math.log(min(max(value, bottom), top) / bottom) / length)

    marks = TIMES[low : high + 1 : 1 + (high - low) // (STEPS + 2)]
    return Scale(height, [Tick(pixels(height(mark)), amount(mark, SECONDS)) for mark in marks])


@dataclass(frozen=True)
class Across:
    """The time that a chart shows, and how far along an instant is."""

    span: Span
    zone: ZoneInfo

    def at(self, instant: datetime) -> float:
        """In percent."""
        begin, end = self.span
        return (min(max(instant, begin), end) - begin) / (end - begin) * 100

    def middle(self, span: Span) -> str:
        """Where the value of a bucket stands."""
        return percent((self.at(span.begin) + self.at(span.end)) / 2)

    def bar(self, span: Span) -> tuple[str, str]:
        """From where on, and how wide, with some air to the next."""
        left, right = self.at(span.begin), self.at(span.end)
        return percent(left + (right - left) * 0.1), percent((right - left) * 0.8)

    def ticks(self) -> list[Tick]:
        """Some days by their name."""
        first, last = (at.astimezone(self.zone).date() for at in self.span)
        length = (last - first).days
        every = max(1, math.ceil(length / NAMED))
        style = "M Y" if length > 300 else "j M"
        days = [first + timedelta(days=n) for n in range(0, max(length, 1), every)]
        return [Tick(percent(self.at(begin_of(day, self.zone))), date_format(day, style)) for day in days]
