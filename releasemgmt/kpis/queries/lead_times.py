"""How long commits take to production, and how many wait for it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import accumulate, chain
from math import ceil, floor
from operator import sub
from typing import Any

from django.db.models import Q

from releasemgmt.kpis.definitions import Span, seconds_between
from releasemgmt.kpis.queries.commits import BASELINE, SKEW, arrivals, formerly, known, owned, whole
from releasemgmt.kpis.queries.figure import OPEN, Figure, Open, Row, durations
from releasemgmt.kpis.queries.gathered import Gathered, instant, number_of, second_of
from releasemgmt.kpis.queries.scope import Scope
from releasemgmt.releases.models import FormerOwner


class Delivered:
    """Commits that reached production, parted at the instants between which figures are asked for."""

    def __init__(self, scope: Scope, spans: Sequence[Span]) -> None:
        self.scope = scope
        self.marks = sorted({mark for span in spans for mark in (*whole(span), *whole(scope.seen(span)))})
        self.seconds: list[list[int]] = [[] for _ in range(len(self.marks) + 1)]
        self.begun: list[list[int]] = [[] for _ in range(len(self.marks) + 1)]
        place_of = partial(bisect_right, self.marks)
        for instants, took in _delivered(scope):
            begun = map(sub, instants, took)
            for place, seconds, since in zip(map(place_of, instants), took, begun, strict=True):
                self.seconds[place].append(seconds)
                self.begun[place].append(since)
        for part in self.seconds:
            part.sort()
        self.left = [floor(at.timestamp()) for at, _pk in waiting(scope)]
        counts = Counter(map(place_of, chain(self.left, *self.begun)))
        self.begun_before = list(accumulate(counts[n] for n in range(len(self.marks))))

    def within(self, span: Span) -> list[int]:
        """The seconds that it took those of an interval, in order."""
        first, last = (bisect_right(self.marks, mark) for mark in whole(span))
        return sorted(chain.from_iterable(self.seconds[first:last]))

    def waiting(self, at: datetime) -> Open:
        """How many waited then, and for how long the oldest had."""
        since, count = self.left[:1], len(self.left)
        if at < self.scope.observed.end:
            place = bisect_left(self.marks, ceil(at.timestamp()))
            since = since + [min(part) for part in self.begun[place + 1 :] if part]
            count = self.begun_before[place] - sum(map(len, self.seconds[: place + 1]))
        age = floor(at.timestamp()) - min(since) if since else 0
        return Open(max(count, 0), age if count > 0 and age > 0 else None)


def _delivered(scope: Scope) -> Iterator[Sequence[Sequence[int]]]:
    """In which seconds commits reached production, and how long each took: below 0 by a clock."""
    rows: Any = owned(scope).timed().order_by().values_list("product")
    for _product, *facts in rows.annotate(at=Gathered(second_of("released_at")), took=Gathered("lead_seconds")):
        yield facts
    former: Any = formerly(scope).filter(in_baseline=False)
    if found := list(former.values_list(second_of("released_at"), "lead_seconds")):
        yield list(zip(*found, strict=True))


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
    found: Any = rows.values_list(number_of("committed_at"), "pk")
    return [(instant(number), pk) for number, pk in found]


def change_lead_time(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    delivered = Delivered(scope, spans)
    for span in spans:
        took = delivered.within(span)
        skewed = bisect_left(took, 0)
        took[:skewed] = [0] * skewed
        first = sum(each.in_baseline for each in arrivals(scope).within(span))
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
