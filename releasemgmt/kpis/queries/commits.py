"""Figures of commits and of the releases that brought them: how much, how often, and how long until users had it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import chain, compress
from math import ceil, floor
from typing import Any, NamedTuple

from django.db.models import BooleanField, Count, ExpressionWrapper, F, Max, Min, Q, QuerySet

from releasemgmt.kpis.definitions import SECOND, Span, days_between, spread
from releasemgmt.kpis.queries.figure import RATE, Figure, Row, durations, ratio, tally
from releasemgmt.kpis.queries.gathered import EPOCH, Gathered, by_columns, instant, number_of, second_of
from releasemgmt.kpis.queries.scope import Scope, Timeline
from releasemgmt.releases.commands.containment import WholeSeconds
from releasemgmt.releases.models import Commit, FormerOwner, Release
from releasemgmt.releases.models.commit import COUNTED, CommitQuerySet

#: Why something does not count: the first release brought what was there before the service was; a clock ran ahead.
BASELINE, SKEW, NO_COMMITS = "baseline", "skew", "no_commits"
HAS_NONE = ExpressionWrapper(Q(work_items=[]), output_field=BooleanField())


class Day(NamedTuple):
    """What was committed on a day, to how many products, and how many people committed to each."""

    begin: datetime
    commits: int
    without_item: int
    products: int
    people: int


class Arrival(NamedTuple):
    """What a release was the first to bring to production in a second; `took` is its cycle time, below 0 by a clock."""

    at: int
    commits: int = 0
    merges: int = 0
    bots: int = 0
    in_baseline: int = 0
    took: int | None = None

    def and_later(self, other: Arrival) -> Arrival:
        """Together with what the release brought when it was deployed once more, from when on it is counted here."""
        took = [each.took + self.at - each.at for each in (self, other) if each.took is not None]
        counts = (one + more for one, more in zip(self[1:5], other[1:5], strict=True))
        return Arrival._make([self.at, *counts, max(took, default=None)])


class Shipped(NamedTuple):
    """A release that reached production, and what it brought."""

    at: datetime
    pk: int
    brought: Arrival
    left_out: str


def known(scope: Scope) -> CommitQuerySet:
    """Every commit in the scope that was known then."""
    rows = scope.of(Commit.objects.all())
    return rows.filter(recorded_at__lte=scope.as_of) if scope.looks_back else rows


def owned(scope: Scope) -> CommitQuerySet:
    """Those of which it is known, and was then, with which release they reached production in that time."""
    begin, end = scope.observed
    rows = known(scope).filter(released_at__gte=begin, released_at__lt=end)
    return rows.filter(owned_since__lte=scope.as_of) if scope.looks_back else rows


def formerly(scope: Scope) -> QuerySet[FormerOwner]:
    """What was held for true then of commits that other releases have taken over since."""
    if not scope.looks_back:
        return FormerOwner.objects.none()
    begin, end = scope.observed
    rows = scope.of(FormerOwner.objects.filter(released_at__gte=begin, released_at__lt=end), "commit__product")
    rows = rows.filter(owned_since__lte=scope.as_of, owned_until__gt=scope.as_of, commit__is_merge=False)
    return rows.filter(commit__is_bot=False)


def made(scope: Scope, column: str = "committed_at") -> CommitQuerySet:
    """Those of the population that were made in that time, by commit dates or by author dates."""
    begin, end = scope.observed
    return known(scope).counted().filter(**{f"{column}__gte": begin, f"{column}__lt": end})


def days(scope: Scope) -> list[Day]:
    """The days of the zone on which something was committed."""
    return scope.once("days", lambda each: _days(each, "committed_at", author=F("author"), without_item=HAS_NONE))


def days_written(scope: Scope) -> list[Day]:
    """The same by author dates, without what they don't count."""
    return scope.once("days written", lambda each: _days(each, "authored_at"))


def _days(scope: Scope, column: str, **facts: Any) -> list[Day]:
    gathered = {name: Gathered(fact) for name, fact in facts.items()}
    rows: Any = (
        made(scope, column).order_by().values_list("product").annotate(at=Gathered(second_of(column)), **gathered)
    )
    found = list(rows)
    if not found:
        return []
    first, last = min(min(seconds) for _pk, seconds, *_ in found), max(max(seconds) for _pk, seconds, *_ in found)
    begins = days_between(_at(first), _at(last), scope.zone)
    place_of = partial(bisect_right, [int(begin.timestamp()) for begin in begins])
    commits, without_item, products, people = (Counter[int]() for _ in range(4))
    for _product, seconds, *more in found:
        places = list(map(place_of, seconds))
        commits.update(places)
        products.update(set(places))
        if more:
            authors, has_none = more
            people.update(place for place, _author in set(zip(places, authors, strict=True)))
            without_item.update(compress(places, has_none))
    return [
        Day(max(begin, scope.span.begin), commits[n], without_item[n], products[n], people[n])
        for n, begin in enumerate(begins, 1)
        if commits[n]
    ]


def commits_per_active_day(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        found = [day for day in days(scope) if day.begin in span]
        by_author = [day for day in days_written(scope) if day.begin in span]
        commits, active = sum(day.commits for day in found), sum(day.products for day in found)
        people = sum(day.people for day in found)
        written = sum(day.products for day in by_author)
        more = {
            "active_days": active,
            "contributor_days": people,
            "per_contributor_day": commits / people if people else None,
            "by_author_date": sum(day.commits for day in by_author) / written if written else None,
        }
        yield Figure(commits / active if active else None, commits, RATE, more=more)


def _at(second: int) -> datetime:
    return EPOCH + second * SECOND


def commit_rows(scope: Scope) -> Iterator[Row]:
    rows: Any = made(scope).values_list("committed_at", "pk")
    return (Row(at, "commit", pk) for at, pk in rows)


def commits_without_work_item(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        found = [day for day in days(scope) if day.begin in span]
        yield ratio(sum(day.without_item for day in found), sum(day.commits for day in found))


def rows_without_work_item(scope: Scope) -> Iterator[Row]:
    rows: Any = made(scope).values_list("committed_at", "pk", "work_items")
    return (Row(at, "commit", pk, float(not items)) for at, pk, items in rows)


class Arrivals:
    """What releases brought, in the order in which it reached production."""

    def __init__(self, found: Iterable[tuple[int, Arrival]]) -> None:
        pairs = sorted(found, key=lambda pair: pair[1].at)
        self.in_order = [each for _release, each in pairs]
        self.instants = [each.at for each in self.in_order]
        #: Release → what it brought in all.
        self.of: dict[int, Arrival] = {}
        for release, each in pairs:
            before = self.of.get(release)
            self.of[release] = before.and_later(each) if before else each

    def within(self, span: Span) -> list[Arrival]:
        """Those of an interval, which begins and ends at a whole second, or where the facts do."""
        begin, end = whole(span)
        return self.in_order[bisect_left(self.instants, begin) : bisect_left(self.instants, end)]


def whole(span: Span) -> tuple[int, int]:
    """The seconds between which what happened in an interval is."""
    return floor(span.begin.timestamp()), ceil(span.end.timestamp())


def arrivals(scope: Scope) -> Arrivals:
    return scope.once("arrivals", lambda each: Arrivals(chain(_owned(each), _formerly(each))))


def _owned(scope: Scope) -> Iterator[tuple[int, Arrival]]:
    rows = owned(scope).order_by().values("first_release", second=second_of("released_at"))
    counts = {
        "commits": Count("pk", filter=COUNTED),
        "merges": Count("pk", filter=Q(is_merge=True)),
        "bots": Count("pk", filter=Q(is_bot=True, is_merge=False)),
        "first": Count("pk", filter=COUNTED & Q(in_baseline=True)),
        "took": WholeSeconds(Max(F("released_at") - F("authored_at"), filter=COUNTED)),
    }
    facts = by_columns(rows.annotate(**counts), "first_release", "second", *counts)
    return ((release, Arrival._make(each)) for release, *each in facts)


def _formerly(scope: Scope) -> Iterator[tuple[int, Arrival]]:
    took = WholeSeconds(F("released_at") - F("commit__authored_at"))
    rows: Any = formerly(scope).values_list("release", second_of("released_at"), "in_baseline", took)
    return ((release, Arrival(at, 1, 0, 0, int(first), took)) for release, at, first, took in rows)


def releases(scope: Scope) -> Timeline[Shipped]:
    return scope.once("releases", _releases)


def _releases(scope: Scope) -> Timeline[Shipped]:
    brought = arrivals(scope).of
    begin, end = scope.observed
    rows = scope.of(Release.objects.filter(released_at__gte=begin, released_at__lt=end))
    rows = rows.filter(created_at__lte=scope.as_of) if scope.looks_back else rows
    earliest = _earliest(scope)
    found = []
    for pk, product, number in sorted(by_columns(rows, "pk", "product_id", number_of("released_at"))):
        at = instant(number)
        if is_first := earliest.get(product) == at:  # of several at one instant, the one that was recorded first
            del earliest[product]
        each = brought.get(pk) or Arrival(0)
        left_out = BASELINE if is_first else NO_COMMITS if each.took is None else ""
        found.append(Shipped(at, pk, each, left_out))
    return Timeline(found)


def _earliest(scope: Scope) -> dict[int, datetime]:
    """When the first release of each product reached production."""
    rows = scope.of(Release.objects.filter(released_at__isnull=False))
    rows = rows.filter(created_at__lte=scope.as_of) if scope.looks_back else rows
    return dict(rows.order_by().values_list("product").annotate(Min("released_at")))


def commit_volume(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        found = releases(scope).within(span)
        volumes = spread(each.brought.commits for each in found)
        more = {"median": volumes.median, "mean": volumes.mean, "p90": volumes.p90}
        more |= {name: sum(getattr(each.brought, name) for each in found) for name in ("commits", "merges", "bots")}
        yield Figure(volumes.median, volumes.n, "median", more=more)


def volume_rows(scope: Scope) -> Iterator[Row]:
    return (Row(each.at, "release", each.pk, each.brought.commits) for each in releases(scope).within(scope.span))


def release_cycle_time(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        found = releases(scope).within(span)
        took = [each.brought.took or 0 for each in found if not each.left_out]
        skewed = [SKEW for seconds in took if seconds < 0]
        yield durations([max(0, each) for each in took], tally([*(each.left_out for each in found), *skewed]))


def cycle_rows(scope: Scope) -> Iterable[Row]:
    return [
        Row(each.at, "release", each.pk, each.brought.took and max(0, each.brought.took), each.left_out)
        for each in releases(scope).within(scope.span)
    ]
