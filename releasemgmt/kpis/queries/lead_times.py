"""How long commits take to production, and how many wait for it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any

from django.db.models import Min, Q

from releasemgmt.kpis.definitions import Span, seconds_between
from releasemgmt.kpis.queries.commits import BASELINE, SKEW, arrivals, formerly_counted, known, owned
from releasemgmt.kpis.queries.figure import OPEN, Figure, Open, Row, durations
from releasemgmt.kpis.queries.gathered import Gathered, Number, Place, gathered, instant
from releasemgmt.kpis.queries.scope import Scope
from releasemgmt.releases.models import FormerOwner


class Delivered:
    """Commits that reached production, parted at the instants between which figures are asked for."""

    def __init__(self, scope: Scope, spans: Sequence[Span]) -> None:
        self.marks = sorted({mark for span in spans for mark in (*span, *scope.seen(span))})
        #: How long they took that came before the first instant, between it and the second, and so on.
        self.took: list[list[int]] = [[] for _ in range(len(self.marks) + 1)]
        #: Since when the oldest waited at each instant, of those that came later.
        self.oldest = [scope.now] * len(self.marks)
        more, known = [0] * (len(self.marks) + 1), 0
        for made, reached, took, oldest in sorted(_delivered(scope, self.marks), key=itemgetter(3)):
            self.took[reached].extend(took)
            if made < reached:
                more[made] += len(took)
                more[reached] -= len(took)
                self.oldest[max(made, known) : reached] = [oldest] * (reached - max(made, known))
                known = max(known, reached)
        #: How many waited at each instant.
        self.waited = list(accumulate(more))
        for part in self.took:
            part.sort()
        self.left = [at for at, _pk in waiting(scope)]

    def within(self, span: Span) -> list[int]:
        """The seconds that it took those of an interval, in order."""
        first, last = (bisect_right(self.marks, mark) for mark in span)
        return sorted(chain.from_iterable(self.took[first:last]))

    def waiting(self, at: datetime) -> Open:
        """How many waited then, and for how long the oldest had."""
        n, left = bisect_left(self.marks, at), bisect_left(self.left, at)
        count = self.waited[n] + left
        oldest = min([self.oldest[n], *self.left[:left][:1]])
        return Open(count, seconds_between(oldest, at) if count else None)


def _delivered(scope: Scope, marks: Sequence[datetime]) -> Iterator[tuple[int, int, list[int], datetime]]:
    """After how many of these instants commits were made and reached production, how long it took, the oldest."""
    rows: Any = owned(scope).timed().order_by().values_list(Place("committed_at", marks), Place("released_at", marks))
    yield from rows.annotate(took=Gathered("lead_seconds"), oldest=Min("committed_at"))
    former: Any = formerly_counted(scope).filter(in_baseline=False)
    for made, reached, took in former.values_list("commit__committed_at", "released_at", "lead_seconds"):
        yield bisect_right(marks, made), bisect_right(marks, reached), [took], made


def waiting(scope: Scope) -> list[tuple[datetime, int]]:
    """Commits of the population that had not reached production at the end, the oldest first; none of the baseline."""
    return scope.once("waiting", _waiting)


def _waiting(scope: Scope) -> list[tuple[datetime, int]]:
    end = scope.observed.end
    made = known(scope).counted().filter(committed_at__lt=end)
    left = [made.filter(released_at=None), made.timed().filter(released_at__gte=end)]  # either is in an index
    if scope.looks_back:
        then = FormerOwner.objects.filter(owned_since__lte=scope.as_of, owned_until__gt=scope.as_of)
        then = then.filter(Q(released_at__lt=end) | Q(in_baseline=True))
        left = [
            rows.exclude(pk__in=then.values("commit")) for rows in (*left, made.filter(owned_since__gt=scope.as_of))
        ]
    found: set[Any] = set(chain.from_iterable(rows.values_list(Number("committed_at"), "pk") for rows in left))
    return [(instant(at), pk) for at, pk in sorted(found)]


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
    facts = (Number("released_at"), "lead_seconds", "in_baseline")
    known: Any = (gathered(owned(scope).counted(), "pk", *facts), gathered(formerly_counted(scope), "commit", *facts))
    for pk, at, seconds, in_baseline in chain.from_iterable(zip(*columns, strict=True) for columns in known):
        yield Row(instant(at), "commit", pk, max(0, seconds), BASELINE if in_baseline else "")
    for at, pk in waiting(scope):
        yield Row(at, "commit", pk, seconds_between(at, scope.observed.end), OPEN)
