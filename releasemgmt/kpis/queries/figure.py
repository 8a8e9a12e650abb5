"""A figure: what is answered, of how many facts, and which were left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from releasemgmt.kpis.definitions import VERSION, Span, kaplan_meier_median, spread, usual
from releasemgmt.kpis.queries.scope import Scope

MEDIAN, MEAN, KAPLAN_MEIER = "median", "mean", "kaplan_meier_median"
RATIO, RATE, COUNT = "ratio", "rate", "count"

#: Why a fact is among a figure's rows and does not count in its value.
OPEN = "open"


class Row(NamedTuple):
    """A fact behind a figure: what record, when, with which value; `left_out` says why where it does not count."""

    at: datetime
    kind: str
    pk: int
    value: float | None = None
    left_out: str = ""


@dataclass(frozen=True)
class Open:
    """Cases that have not ended: how many, and for how long the oldest has been open."""

    count: int
    oldest_seconds: int | None


@dataclass(frozen=True)
class Figure:
    """A value of n facts; None where there is none, which is not 0."""

    value: float | None
    n: int
    estimator: str
    excluded: Mapping[str, int] = field(default_factory=dict)
    open: Open | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self, scope: Scope, span: Span) -> dict[str, Any]:
        """What the API answers."""
        return {
            "value": self.value,
            "n": self.n,
            "excluded": dict(self.excluded),
            "open": dict(vars(self.open)) if self.open else None,
            "estimator": self.estimator,
            "time_zone": scope.zone.key,
            "from": span.begin,
            "to": span.end,
            "as_of": scope.as_of,
            "definition": VERSION,
            **self.more,
        }


def durations(ended: Sequence[int], excluded: Mapping[str, int], *, waiting: Open | None = None) -> Figure:
    """The median of what has ended; mean, p90 and what is open beside it."""
    found = spread(ended)
    more = {"median": found.median, "mean": found.mean, "p90": found.p90}
    return Figure(found.median, found.n, MEDIAN, excluded, waiting, more)


def survival(ended: Sequence[int], censored: Sequence[int], excluded: Mapping[str, int]) -> Figure:
    """The median of what has ended, or where cases are open the Kaplan-Meier one, which lets these count too.

    `at_least` is the longest time that was observed where that median is not reached.
    """
    waiting = Open(len(censored), max(censored, default=None))
    plain = durations(ended, excluded, waiting=waiting)
    if not censored:
        return plain
    value = kaplan_meier_median(ended, censored)
    at_least = max([*ended, *censored]) if value is None else None
    more = {**plain.more, "kaplan_meier_median": value, "at_least": at_least}
    return Figure(value, plain.n, KAPLAN_MEIER, excluded, waiting, more)


def ratio(part: int, whole: int, excluded: Mapping[str, int] | None = None, **more: Any) -> Figure:
    """A share from 0 to 1; of nothing there is none."""
    return Figure(part / whole if whole else None, whole, RATIO, excluded or {}, None, more)


def tally(reasons: Iterable[str]) -> dict[str, int]:
    """How many were left out, by reason."""
    return dict(sorted(Counter(filter(None, reasons)).items()))


def trend(figures: Sequence[Figure]) -> dict[str, float | None] | None:
    """The last value beside what is usual: the median of those before it. The buckets are whole ones."""
    values = [figure.value for figure in figures]
    return {"last": values[-1], "usual": usual(values)} if values else None
