"""Figures of commits and of the releases that brought them: how much, how often, and how long until users had it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from itertools import accumulate, chain
from math import ceil, floor
from typing import Any, NamedTuple

from django.db.models import BooleanField, Count, DateTimeField, ExpressionWrapper, F, Min, Q, QuerySet, Value

from releasemgmt.kpis.definitions import SECOND, Span, buckets, seconds_between, spread
from releasemgmt.kpis.queries.figure import OPEN, RATE, Figure, Open, Row, durations, ratio, tally
from releasemgmt.kpis.queries.scope import Scope, Timeline
from releasemgmt.releases.commands.containment import WholeSeconds
from releasemgmt.releases.models import Commit, FormerOwner, Release
from releasemgmt.releases.models.commit import COUNTED, CommitQuerySet

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Why something does not count: the first release brought what was there before the service was; a clock ran ahead.
BASELINE, SKEW, NO_COMMITS = "baseline", "skew", "no_commits"


class Made(NamedTuple):
    """Commits of the population in the order of time, column by column: there are many. Instants are whole seconds."""

    instants: Sequence[int]
    products: Sequence[int]
    authors: Sequence[str]
    without_item: Sequence[bool]
    pks: Sequence[int]


class Delivered(NamedTuple):
    """Commits that reached production in the order in which they did, and the seconds that took: below 0 by a clock."""

    instants: Sequence[int]
    seconds: Sequence[int]


class Shipped(NamedTuple):
    """A release that reached production, and the commits that it was the first to contain."""

    at: datetime
    pk: int
    commits: int
    merges: int
    bots: int
    seconds: int | None
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


def made(scope: Scope, column: str = "committed_at") -> Made:
    """By commit dates, or by author dates."""
    return scope.once(column, lambda each: _made(each, column))


def _made(scope: Scope, column: str) -> Made:
    begin, end = scope.observed
    rows = known(scope).counted().filter(**{f"{column}__gte": begin, f"{column}__lt": end})
    rows = rows.annotate(has_none=ExpressionWrapper(Q(work_items=[]), output_field=BooleanField()))
    columns = (_second_of(column), "product_id", "author", "has_none", "pk")
    found: list[Any] = list(rows.order_by(column).values_list(*columns))
    return Made(*zip(*found, strict=True)) if found else Made((), (), (), (), ())


def _second_of(column: str) -> WholeSeconds:
    """An instant as a number: of many rows that is read much faster than as a date."""
    return WholeSeconds(F(column) - Value(EPOCH, DateTimeField()))


class Day(NamedTuple):
    """How many products were committed to on a day, and how many people committed to each."""

    begin: datetime
    products: int
    people: int


def _days(scope: Scope, column: str) -> list[Day]:
    """The days of the zone on which something was committed."""
    commits = made(scope, column)
    if not commits.instants:
        return []
    found, begin = [], 0
    for day in buckets(Span(_at(commits.instants[0]), _at(commits.instants[-1] + 1)), "day", scope.zone):
        end = bisect_left(commits.instants, day.end.timestamp(), begin)
        if begin < end:
            products, authors = commits.products[begin:end], commits.authors[begin:end]
            found.append(
                Day(max(day.begin, scope.span.begin), len(set(products)), len(set(zip(products, authors, strict=True))))
            )
        begin = end
    return found


def commits_per_active_day(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    days, by_author = _days(scope, "committed_at"), _days(scope, "authored_at")
    for span in spans:
        commits, authored = (len(_inside(made(scope, name).instants, span)) for name in ("committed_at", "authored_at"))
        active = sum(day.products for day in days if day.begin in span)
        people = sum(day.people for day in days if day.begin in span)
        written = sum(day.products for day in by_author if day.begin in span)
        more = {
            "active_days": active,
            "contributor_days": people,
            "per_contributor_day": commits / people if people else None,
            "by_author_date": authored / written if written else None,
        }
        yield Figure(commits / active if active else None, commits, RATE, more=more)


def _at(second: int) -> datetime:
    return EPOCH + second * SECOND


def _inside(instants: Sequence[int], span: Span) -> range:
    """The places of those in an interval, which begins and ends at a whole second, or where the facts do."""
    begin, end = floor(span.begin.timestamp()), ceil(span.end.timestamp())
    return range(bisect_left(instants, begin), bisect_left(instants, end))


def commit_rows(scope: Scope) -> Iterator[Row]:
    commits = made(scope)
    return (Row(_at(second), "commit", pk) for second, pk in zip(commits.instants, commits.pks, strict=True))


def commits_without_work_item(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    commits = made(scope)
    for span in spans:
        places = _inside(commits.instants, span)
        yield ratio(sum(commits.without_item[places.start : places.stop]), len(places))


def rows_without_work_item(scope: Scope) -> Iterator[Row]:
    commits = made(scope)
    for second, pk, has_none in zip(commits.instants, commits.pks, commits.without_item, strict=True):
        yield Row(_at(second), "commit", pk, float(has_none))


def delivered(scope: Scope) -> Delivered:
    return scope.once("delivered", _delivered)


def _delivered(scope: Scope) -> Delivered:
    facts = (_second_of("released_at"), "lead_seconds")
    found: list[Any] = list(owned(scope).timed().order_by("released_at").values_list(*facts))
    if former := list(formerly(scope).filter(in_baseline=False).values_list(*facts)):
        found = sorted([*found, *former])
    return Delivered(*zip(*found, strict=True)) if found else Delivered((), ())


def baseline(scope: Scope) -> list[datetime]:
    """When commits of a first release reached production, which do not count."""
    return scope.once("baseline", _baseline)


def _baseline(scope: Scope) -> list[datetime]:
    rows: Any = owned(scope).counted().filter(in_baseline=True).values_list("released_at", flat=True)
    former: Any = formerly(scope).filter(in_baseline=True).values_list("released_at", flat=True)
    return [*rows, *former]


def waiting(scope: Scope) -> list[tuple[datetime, int]]:
    """Commits of the population that had not reached production at the end, the oldest first."""
    return scope.once("waiting", _waiting)


def _waiting(scope: Scope) -> list[tuple[datetime, int]]:
    end = scope.observed.end
    left = Q(first_release=None) | Q(released_at__gte=end)
    rows = known(scope).counted()
    if scope.looks_back:
        left |= Q(owned_since__gt=scope.as_of)
        then = FormerOwner.objects.filter(
            owned_since__lte=scope.as_of, owned_until__gt=scope.as_of, released_at__lt=end
        )
        rows = rows.exclude(pk__in=then.values("commit"))
    return list(
        rows.filter(left, committed_at__lt=end).order_by("committed_at", "pk").values_list("committed_at", "pk")
    )


class Backlog:
    """How many commits waited for their release at any instant, and since when the oldest."""

    def __init__(self, scope: Scope) -> None:
        self.end = scope.observed.end
        self.left = [int(at.timestamp()) for at, _pk in waiting(scope)]
        self.delivered = delivered(scope)

    def at(self, instant: datetime) -> Open:
        since, count = self.left[:1], len(self.left)
        if instant < self.end:
            gone = bisect_left(self.delivered.instants, instant.timestamp())
            since = since + self._oldest[gone : gone + 1]
            count = bisect_left(self._begun, instant.timestamp()) - gone
        age = int(instant.timestamp()) - min(since) if since else 0
        return Open(max(count, 0), age if count > 0 and age > 0 else None)

    @cached_property
    def _committed(self) -> list[int]:
        facts = zip(self.delivered.instants, self.delivered.seconds, strict=True)
        return [at - seconds for at, seconds in facts]

    @cached_property
    def _begun(self) -> list[int]:
        return sorted([*self.left, *self._committed])

    @cached_property
    def _oldest(self) -> list[int]:
        """The oldest commit date from each delivery on to the last one."""
        return list(accumulate(reversed(self._committed), min))[::-1]


def change_lead_time(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    backlog, facts = Backlog(scope), delivered(scope)
    for span in spans:
        places = _inside(facts.instants, span)
        took = sorted(facts.seconds[places.start : places.stop])
        skewed = bisect_left(took, 0)
        took[:skewed] = [0] * skewed
        first = sum(at in span for at in baseline(scope))
        excluded = {BASELINE: first} if first else {}
        excluded |= {SKEW: skewed} if skewed else {}
        yield durations(took, excluded, waiting=backlog.at(scope.seen(span).end))


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
    brought = _brought(scope)
    begin, end = scope.observed
    rows = scope.of(Release.objects.filter(released_at__gte=begin, released_at__lt=end))
    rows = rows.filter(created_at__lte=scope.as_of) if scope.looks_back else rows
    first = _first(scope)
    found = []
    releases: Any = rows.order_by().values_list("pk", "product_id", "released_at")
    for pk, product, at in releases:
        commits, merges, bots, authored_at = brought.get(pk, (0, 0, 0, None))
        left_out = BASELINE if at == first[product] else "" if authored_at else NO_COMMITS
        seconds = seconds_between(authored_at, at) if authored_at else None
        found.append(Shipped(at, pk, commits, merges, bots, seconds, left_out))
    return Timeline(found)


def _first(scope: Scope) -> dict[int, datetime]:
    """When the first release of each product reached production."""
    rows = scope.of(Release.objects.filter(released_at__isnull=False))
    rows = rows.filter(created_at__lte=scope.as_of) if scope.looks_back else rows
    return dict(rows.order_by().values_list("product").annotate(Min("released_at")))


def _brought(scope: Scope) -> dict[int, tuple[int, int, int, datetime | None]]:
    """Release → its commits, merges and bots' commits, and the earliest author date."""
    rows: Any = owned(scope).order_by().values_list("first_release")
    found = rows.annotate(
        commits=Count("pk", filter=COUNTED),
        merges=Count("pk", filter=Q(is_merge=True)),
        bots=Count("pk", filter=Q(is_bot=True, is_merge=False)),
        first=Min("authored_at", filter=COUNTED),
    )
    brought = {release: (commits, merges, bots, at) for release, commits, merges, bots, at in found}
    former: Any = formerly(scope).values_list("release", "commit__authored_at")
    for release, authored_at in former:
        commits, merges, bots, first = brought.get(release, (0, 0, 0, None))
        brought[release] = (commits + 1, merges, bots, min(first or authored_at, authored_at))
    return brought


def commit_volume(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        found = releases(scope).within(span)
        volumes = spread(each.commits for each in found)
        more = {"median": volumes.median, "mean": volumes.mean, "p90": volumes.p90}
        more |= {name: sum(getattr(each, name) for each in found) for name in ("commits", "merges", "bots")}
        yield Figure(volumes.median, volumes.n, "median", more=more)


def volume_rows(scope: Scope) -> Iterator[Row]:
    return (Row(each.at, "release", each.pk, each.commits) for each in releases(scope).within(scope.span))


def release_cycle_time(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        found = releases(scope).within(span)
        took = [each.seconds for each in found if not each.left_out and each.seconds is not None]
        skewed = [SKEW for seconds in took if seconds < 0]
        yield durations([max(0, each) for each in took], tally([*(each.left_out for each in found), *skewed]))


def cycle_rows(scope: Scope) -> Iterable[Row]:
    return [
        Row(each.at, "release", each.pk, each.seconds and max(0, each.seconds), each.left_out)
        for each in releases(scope).within(scope.span)
    ]
