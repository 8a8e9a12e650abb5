"""How long commits take to production, and how many wait for it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from math import ceil, floor
from typing import Any, NamedTuple

from django.db.models import F, Q

from releasemgmt.kpis.definitions import Span, seconds_between
from releasemgmt.kpis.queries.commits import BASELINE, SKEW, arrivals, formerly, known, owned
from releasemgmt.kpis.queries.figure import OPEN, Figure, Open, Row, durations
from releasemgmt.kpis.queries.gathered import Gathered, Number, Place, Second, instant
from releasemgmt.kpis.queries.scope import Scope
from releasemgmt.releases.models import FormerOwner


class Part(NamedTuple):
    """What reached production between two instants: how long each commit took, and when each was made, in order."""

    took: list[int]
    begun: list[int]


class Delivered:
    """Commits that reached production, parted at the instants between which figures are asked for."""

    def __init__(self, scope: Scope, spans: Sequence[Span]) -> None:
        self.scope = scope
        self.marks = sorted({mark for span in spans for mark in (*span, *scope.seen(span))})
        self.parts = [Part([], []) for _ in range(len(self.marks) + 1)]
        for place, took, begun in _delivered(scope, self.marks):
            self.parts[place].took.extend(took)
            self.parts[place].begun.extend(begun)
        for values in chain.from_iterable(self.parts):
            values.sort()
        self.left = [floor(at.timestamp()) for at, _pk in waiting(scope)]

    def within(self, span: Span) -> list[int]:
        """The seconds that it took those of an interval, in order."""
        first, last = (bisect_right(self.marks, mark) for mark in span)
        return sorted(chain.from_iterable(part.took for part in self.parts[first:last]))

    def waiting(self, at: datetime) -> Open:
        """How many waited then, and for how long the oldest had."""
        later = [self.left, *(part.begun for part in self.parts[bisect_right(self.marks, at) :])]
        count = sum(bisect_left(begun, ceil(at.timestamp())) for begun in later)
        oldest = floor(at.timestamp()) - min(begun[0] for begun in later if begun) if count else None
        return Open(count, oldest)


def _delivered(scope: Scope, marks: Sequence[datetime]) -> Iterator[tuple[int, Sequence[int], Sequence[int]]]:
    """Between which of these instants commits reached production, how long each took, and when each was made."""
    begun = Second("released_at") - F("lead_seconds")
    rows: Any = owned(scope).timed().order_by().values_list(Place("released_at", marks))
    yield from rows.annotate(took=Gathered("lead_seconds"), begun=Gathered(begun))
    former: Any = formerly(scope).filter(in_baseline=False)
    for at, since, took in former.values_list("released_at", begun, "lead_seconds"):
        yield bisect_right(marks, at), [took], [since]


def waiting(scope: Scope) -> list[tuple[datetime, int]]:
    """Commits of the population that had not reached production at the end, the oldest first."""
    return scope.once("waiting", _waiting)


def _waiting(scope: Scope) -> list[tuple[datetime, int]]:
    end = scope.observed.end
    left = Q(released_at=None) | Q(released_at__gte=end)
    rows = known(scope).counted()
    if scope.looks_back:
        left |= Q(owned_since__gt=scope.as_of)
        then = FormerOwner.objects.filter(
            owned_since__lte=scope.as_of, owned_until__gt=scope.as_of, released_at__lt=end
        )
        rows = rows.exclude(pk__in=then.values("commit"))
    rows = rows.filter(left, committed_at__lt=end).order_by("committed_at", "pk")
    found: Any = rows.values_list(Number("committed_at"), "pk")
    return [(instant(number), pk) for number, pk in found]


def change_lead_time(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    delivered = Delivered(scope, spans)
    for span in spans:
        took = delivered.within(span)
        skewed = bisect_left(took, 0)
        took[:skewed] = [0] * skewed
        first = sum(arrivals(scope).within(span).in_baseline)
        excluded = {BASELINE: first} if first else {}
        excluded |= {SKEW: skewed} if skewed else {}
        yield durations(took, excluded, waiting=delivered.waiting(scope.seen(span).end))


def lead_time_rows(scope: Scope) -> Iterator[Row]:
    facts = ("released_at", "lead_seconds", "in_baseline")
    rows: Any = owned(scope).counted().values_list("pk", *facts)
    former: Any = formerly(scope).values_list("commit", *facts)
    for pk, at, seconds, in_baseline in chain(rows, former):
        yield Row(at, "commit", pk, max(0, seconds), BASELINE if in_baseline else "")
    for at, pk in waiting(scope):
        yield Row(at, "commit", pk, seconds_between(at, scope.observed.end), OPEN)
