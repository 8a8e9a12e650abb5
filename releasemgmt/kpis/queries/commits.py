"""Figures of commits and of the releases that brought them: how much, how often, and how long until users had it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from itertools import accumulate, chain
from typing import Any, NamedTuple

from django.db.models import Count, Min, Q, QuerySet

from releasemgmt.kpis.definitions import Span, seconds_between, spread
from releasemgmt.kpis.queries.figure import OPEN, RATE, Figure, Open, Row, durations, ratio, tally
from releasemgmt.kpis.queries.scope import Scope, Timeline
from releasemgmt.releases.models import Commit, FormerOwner, Release
from releasemgmt.releases.models.commit import COUNTED, CommitQuerySet

#: Why something does not count: the first release brought what was there before the service was; a clock ran ahead.
BASELINE, SKEW, NO_COMMITS = "baseline", "skew", "no_commits"


class Written(NamedTuple):
    """A commit of the population, at its commit date."""

    at: datetime
    product: int
    author: str
    pk: int
    has_work_item: bool


class Delivered(NamedTuple):
    """A commit of the population that reached production with a release, and how long it took; below 0 by a clock."""

    at: datetime
    seconds: int

    @property
    def committed_at(self) -> datetime:
        return self.at - timedelta(seconds=self.seconds)


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


def _written(scope: Scope, column: str) -> Timeline[Written]:
    inside = {f"{column}__gte": scope.span.begin, f"{column}__lt": scope.observed.end}
    rows = known(scope).counted().filter(**inside).order_by(column)
    found: Any = rows.values_list(column, "product_id", "author", "pk", "work_items")
    return Timeline(Written(at, product, author, pk, bool(items)) for at, product, author, pk, items in found)


def written(scope: Scope) -> Timeline[Written]:
    return scope.once("written", lambda each: _written(each, "committed_at"))


def authored(scope: Scope) -> Timeline[Written]:
    return scope.once("authored", lambda each: _written(each, "authored_at"))


def commits_per_active_day(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        commits = written(scope).within(span)
        active, people = _days(commits, scope)
        by_author, _people = _days(authored(scope).within(span), scope)
        yield Figure(
            len(commits) / active if active else None,
            len(commits),
            RATE,
            more={
                "active_days": active,
                "contributor_days": people,
                "per_contributor_day": len(commits) / people if people else None,
                "by_author_date": len(authored(scope).within(span)) / by_author if by_author else None,
            },
        )


def _days(commits: Sequence[Written], scope: Scope) -> tuple[int, int]:
    """Distinct days of products, and of people in products, on which something was committed."""
    zone = scope.zone
    days = [(each.product, each.at.astimezone(zone).toordinal()) for each in commits]
    people = {(day, each.author) for day, each in zip(days, commits, strict=True)}
    return len(set(days)), len(people)


def commit_rows(scope: Scope) -> Iterator[Row]:
    return (Row(each.at, "commit", each.pk) for each in written(scope).within(scope.span))


def commits_without_work_item(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        commits = written(scope).within(span)
        yield ratio(sum(not each.has_work_item for each in commits), len(commits))


def rows_without_work_item(scope: Scope) -> Iterator[Row]:
    found = written(scope).within(scope.span)
    return (Row(each.at, "commit", each.pk, None, "work_item" if each.has_work_item else "") for each in found)


def delivered(scope: Scope) -> Timeline[Delivered]:
    return scope.once("delivered", _delivered)


def _delivered(scope: Scope) -> Timeline[Delivered]:
    facts = ("released_at", "lead_seconds")
    rows: Any = owned(scope).timed().values_list(*facts)
    former: Any = formerly(scope).filter(in_baseline=False).values_list(*facts)
    return Timeline(map(Delivered._make, chain(rows, former)))


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
        self.scope = scope
        self.left = [at for at, _pk in waiting(scope)]

    def at(self, instant: datetime) -> Open:
        since, count = self.left[:1], len(self.left)
        if instant < self.scope.observed.end:
            gone = bisect_left(delivered(self.scope).instants, instant)
            since += self._oldest[gone : gone + 1]
            count = bisect_left(self._begun, instant) - gone
        age = seconds_between(min(since), instant) if since else 0
        return Open(max(count, 0), age if count > 0 and age > 0 else None)

    @cached_property
    def _begun(self) -> list[datetime]:
        return sorted([*self.left, *(fact.committed_at for fact in delivered(self.scope).facts)])

    @cached_property
    def _oldest(self) -> list[datetime]:
        """The oldest commit date from each delivery on to the last one."""
        facts = reversed(delivered(self.scope).facts)
        return list(accumulate((fact.committed_at for fact in facts), min))[::-1]


def change_lead_time(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    backlog = Backlog(scope)
    for span in spans:
        took = [fact.seconds for fact in delivered(scope).within(span)]
        excluded = tally([*(BASELINE for at in baseline(scope) if at in span), *(SKEW for each in took if each < 0)])
        yield durations([max(0, each) for each in took], excluded, waiting=backlog.at(scope.seen(span).end))


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
