"""Figures of commits and of the releases that brought them: how much, how often, and how long until users had it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from itertools import accumulate, chain, compress
from math import ceil, floor
from operator import attrgetter
from typing import Any, NamedTuple

from django.db.models import BooleanField, Count, ExpressionWrapper, F, Max, Min, Q, QuerySet

from releasemgmt.kpis.definitions import SECOND, Span, buckets, seconds_between, spread
from releasemgmt.kpis.queries.figure import OPEN, RATE, Figure, Open, Row, durations, ratio, tally
from releasemgmt.kpis.queries.gathered import EPOCH, Gathered, instant, number_of, second_of
from releasemgmt.kpis.queries.scope import Scope, Timeline
from releasemgmt.releases.commands.containment import WholeSeconds
from releasemgmt.releases.models import Commit, FormerOwner, Release
from releasemgmt.releases.models.commit import COUNTED, TIMED, CommitQuerySet

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
    """What a release was the first to bring to production, and in which second.

    `took` is its cycle time and `seconds` are the lead times of its commits, below 0 by a clock.
    """

    at: int
    commits: int
    merges: int
    bots: int
    in_baseline: int
    took: int | None
    seconds: list[int]


NOTHING = Arrival(0, 0, 0, 0, 0, None, [])


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
    begins = [day.begin for day in buckets(Span(_at(first), _at(last + 1)), "day", scope.zone)]
    place_of = partial(bisect_right, [begin.timestamp() for begin in begins])
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
    """What each release brought, in the order in which they reached production."""

    def __init__(self, found: Mapping[int, Arrival]) -> None:
        self.of = found
        self.in_order = sorted(found.values(), key=attrgetter("at"))
        self.instants = [each.at for each in self.in_order]

    def within(self, span: Span) -> list[Arrival]:
        """Those of an interval, which begins and ends at a whole second, or where the facts do."""
        begin, end = floor(span.begin.timestamp()), ceil(span.end.timestamp())
        return self.in_order[bisect_left(self.instants, begin) : bisect_left(self.instants, end)]


def arrivals(scope: Scope) -> Arrivals:
    return scope.once("arrivals", _arrivals)


def _arrivals(scope: Scope) -> Arrivals:
    rows: Any = owned(scope).order_by().values_list("first_release", second_of("released_at"))
    counts = {
        "commits": Count("pk", filter=COUNTED),
        "merges": Count("pk", filter=Q(is_merge=True)),
        "bots": Count("pk", filter=Q(is_bot=True, is_merge=False)),
        "first": Count("pk", filter=COUNTED & Q(in_baseline=True)),
        "took": WholeSeconds(Max(F("released_at") - F("authored_at"), filter=COUNTED)),
        "seconds": Gathered("lead_seconds", filter=TIMED),
    }
    found = {release: Arrival._make([*facts, seconds or []]) for release, *facts, seconds in rows.annotate(**counts)}
    took = WholeSeconds(F("released_at") - F("commit__authored_at"))
    former: Any = formerly(scope).values_list("release", second_of("released_at"), took, "in_baseline", "lead_seconds")
    for release, at, took, in_baseline, seconds in former:
        each = found.get(release) or NOTHING._replace(at=at)
        found[release] = each._replace(
            commits=each.commits + 1,
            in_baseline=each.in_baseline + in_baseline,
            took=took if each.took is None else max(each.took, took),
            seconds=each.seconds if in_baseline else [*each.seconds, seconds],
        )
    return Arrivals(found)


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


class Backlog:
    """How many commits waited for their release at each of some instants, and since when the oldest."""

    def __init__(self, scope: Scope, instants: Iterable[datetime]) -> None:
        self.asked = sorted(set(instants))
        self.end = scope.observed.end
        self.left = [floor(at.timestamp()) for at, _pk in waiting(scope)]
        self.arrivals = [each for each in arrivals(scope).in_order if each.seconds]
        self.instants = [each.at for each in self.arrivals]

    def at(self, instant: datetime) -> Open:
        since, count = self.left[:1], len(self.left)
        if instant < self.end:
            gone = bisect_left(self.instants, instant.timestamp())
            since = since + self._oldest[gone : gone + 1]
            count = self._begun[instant] - self._delivered[gone]
        age = int(instant.timestamp()) - min(since) if since else 0
        return Open(max(count, 0), age if count > 0 and age > 0 else None)

    @cached_property
    def _delivered(self) -> list[int]:
        """How many had reached production with the first, the second … release."""
        return list(accumulate((len(each.seconds) for each in self.arrivals), initial=0))

    @cached_property
    def _begun(self) -> dict[datetime, int]:
        """How many had been committed by each instant."""
        place_of = partial(bisect_right, [each.timestamp() for each in self.asked])
        begun = (each.at - took for each in self.arrivals for took in each.seconds)
        counts = Counter(map(place_of, chain(self.left, begun)))
        return dict(zip(self.asked, accumulate(counts[n] for n in range(len(self.asked))), strict=True))

    @cached_property
    def _oldest(self) -> list[int]:
        """The oldest commit date from each delivery on to the last one."""
        begun = [each.at - max(each.seconds) for each in self.arrivals]
        return list(accumulate(reversed(begun), min))[::-1]


def change_lead_time(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    backlog = Backlog(scope, (scope.seen(span).end for span in spans))
    for span in spans:
        took = lead_times(scope, span)
        skewed = bisect_left(took, 0)
        took[:skewed] = [0] * skewed
        first = sum(each.in_baseline for each in arrivals(scope).within(span))
        excluded = {BASELINE: first} if first else {}
        excluded |= {SKEW: skewed} if skewed else {}
        yield durations(took, excluded, waiting=backlog.at(scope.seen(span).end))


def lead_times(scope: Scope, span: Span) -> list[int]:
    """Those of an interval in order; of the whole from those of its parts, which is done much faster."""
    if span == scope.span and scope.bucket:
        parts = [lead_times(scope, part) for part in scope.buckets]
    else:
        parts = [each.seconds for each in arrivals(scope).within(span)]
    return sorted(chain.from_iterable(parts))


def lead_time_rows(scope: Scope) -> Iterator[Row]:
    facts = ("released_at", "lead_seconds", "in_baseline")
    rows: Any = owned(scope).counted().values_list("pk", *facts)
    former: Any = formerly(scope).values_list("commit", *facts)
    for pk, at, seconds, in_baseline in chain(rows, former):
        yield Row(at, "commit", pk, max(0, seconds), BASELINE if in_baseline else "")
    for at, pk in waiting(scope):
        yield Row(at, "commit", pk, seconds_between(at, scope.observed.end), OPEN)


def releases(scope: Scope) -> Timeline[Shipped]:
    return scope.once("releases", _releases)


def _releases(scope: Scope) -> Timeline[Shipped]:
    brought = arrivals(scope).of
    begin, end = scope.observed
    rows = scope.of(Release.objects.filter(released_at__gte=begin, released_at__lt=end))
    rows = rows.filter(created_at__lte=scope.as_of) if scope.looks_back else rows
    first = _first(scope)
    found = []
    releases: Any = rows.order_by().values_list("pk", "product_id", number_of("released_at"))
    for pk, product, number in releases:
        at = instant(number)
        each = brought.get(pk, NOTHING)
        left_out = BASELINE if at == first[product] else NO_COMMITS if each.took is None else ""
        found.append(Shipped(at, pk, each, left_out))
    return Timeline(found)


def _first(scope: Scope) -> dict[int, datetime]:
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
