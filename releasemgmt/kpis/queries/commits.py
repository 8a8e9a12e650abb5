"""Figures of commits and of the releases that brought them: how much, how often, and how long until users had it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import add, itemgetter
from typing import Any, NamedTuple

from django.db.models import (
    BooleanField,
    Case,
    Count,
    ExpressionWrapper,
    F,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)

from releasemgmt.catalog.models import Product
from releasemgmt.kpis.definitions import Span, spread
from releasemgmt.kpis.queries.figure import RATE, Figure, Row, durations, ratio, tally
from releasemgmt.kpis.queries.gathered import (
    SECOND,
    Columns,
    Gathered,
    Number,
    begin_of_day,
    day_of,
    gathered,
    instant,
    number,
)
from releasemgmt.kpis.queries.scope import Scope
from releasemgmt.releases.commands.containment import WholeSeconds
from releasemgmt.releases.models import Commit, FormerOwner, Release
from releasemgmt.releases.models.commit import COUNTED, CommitQuerySet
from releasemgmt.workflow.models import Event
from releasemgmt.workflow.queries import edited_since, stream_of

#: Why something does not count: the first release brought what was there before the service was; a clock ran ahead.
BASELINE, SKEW, NO_COMMITS = "baseline", "skew", "no_commits"
HAS_NONE = ExpressionWrapper(Q(work_items=[]), output_field=BooleanField())


@dataclass
class Days(Columns):
    """What was committed on a day, to how many products, and how many people committed to each."""

    commits: list[int]
    products: list[int]
    people: list[int]


@dataclass
class Arrivals(Columns):
    """What a release was the first to bring to production at an instant; `took` is its cycle time, below 0 by a clock.

    One that was deployed once more has brought something twice.
    """

    release: list[int]
    commits: list[int]
    merges: list[int]
    bots: list[int]
    in_baseline: list[int]
    took: list[int | None]


@dataclass
class Shipped(Columns):
    """A release that reached production, and what it brought, then and later."""

    pk: list[int]
    commits: list[int]
    merges: list[int]
    bots: list[int]
    took: list[int | None]
    left_out: list[str]


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
    return rows.filter(owned_since__lte=scope.as_of, owned_until__gt=scope.as_of)


def formerly_counted(scope: Scope) -> QuerySet[FormerOwner]:
    """Those of the population."""
    return formerly(scope).filter(commit__is_merge=False, commit__is_bot=False)


def made(scope: Scope, column: str = "committed_at") -> CommitQuerySet:
    """Those of the population that were made in that time, by commit dates or by author dates."""
    begin, end = scope.observed
    return known(scope).counted().filter(**{f"{column}__gte": begin, f"{column}__lt": end})


def days(scope: Scope) -> Days:
    """The days of the zone on which something was committed."""
    return scope.once("days", lambda each: _days(each, made(each), "committed_at", F("author")))


def days_written(scope: Scope) -> Days:
    """The same by author dates, without people."""
    return scope.once("days written", lambda each: _days(each, made(each, "authored_at"), "authored_at"))


def days_without_item(scope: Scope) -> Days:
    """Of the commits that name no work item, without people."""
    return scope.once("days without item", lambda each: _days(each, made(each).without_item(), "committed_at"))


def _days(scope: Scope, rows: CommitQuerySet, column: str, *author: F) -> Days:
    commits, products, people = (Counter[int]() for _ in range(3))
    day = day_of(column, scope.observed, scope.zone)
    facts = {f"fact_{n}": Gathered(fact) for n, fact in enumerate((day, *author))}
    for _product, on_days, *authors in rows.order_by().values_list("product").annotate(**facts):
        commits.update(on_days)
        products.update(set(on_days))
        if authors:
            people.update(map(itemgetter(0), set(zip(on_days, *authors, strict=True))))
    begin = number(scope.span.begin)
    at = [max(begin_of_day(day, scope.zone), begin) for day in sorted(commits)]
    return Days(at, *([count[day] for day in sorted(commits)] for count in (commits, products, people)))


def commits_per_active_day(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        found, by_author = days(scope).within(span), days_written(scope).within(span)
        commits, active, people, written = map(sum, (found.commits, found.products, found.people, by_author.products))
        more = {
            "active_days": active,
            "contributor_days": people,
            "per_contributor_day": commits / people if people else None,
            "by_author_date": sum(by_author.commits) / written if written else None,
        }
        yield Figure(commits / active if active else None, commits, RATE, more=more)


def commit_rows(scope: Scope) -> Iterator[Row]:
    facts = zip(*gathered(made(scope), Number("committed_at"), "pk"), strict=True)
    return (Row(instant(at), "commit", pk) for at, pk in facts)


def commits_without_work_item(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        found, named_none = days(scope).within(span), days_without_item(scope).within(span)
        yield ratio(sum(named_none.commits), sum(found.commits))


def rows_without_work_item(scope: Scope) -> Iterator[Row]:
    facts = zip(*gathered(made(scope), Number("committed_at"), "pk", HAS_NONE), strict=True)
    return (Row(instant(at), "commit", pk, float(has_none)) for at, pk, has_none in facts)


def arrivals(scope: Scope) -> Arrivals:
    return scope.once("arrivals", _arrivals)


def _arrivals(scope: Scope) -> Arrivals:
    rows = owned(scope).order_by().values("product", "released_at", "first_release")  # as their index is in order
    counts = {  # of a column that is in the index, as the others are: the key is not
        "commits": Count("released_at", filter=COUNTED),
        "merges": Count("released_at", filter=Q(is_merge=True)),
        "bots": Count("released_at", filter=Q(is_bot=True, is_merge=False)),
        "first": Count("released_at", filter=COUNTED & Q(in_baseline=True)),
        "took": WholeSeconds(F("released_at") - Min("authored_at", filter=COUNTED)),
    }
    owned_then = gathered(rows.annotate(**counts), Number("released_at"), "first_release", *counts)
    took = WholeSeconds(F("released_at") - F("commit__authored_at"))
    facts = ("release", "commit__is_merge", "commit__is_bot", "in_baseline")
    former: Any = formerly(scope).values_list(Number("released_at"), *facts, took)
    known = [_arrival(*each) for each in former]
    columns = zip(*known, strict=True) if known else [()] * len(owned_then)
    return Arrivals.in_order([*one, *more] for one, more in zip(owned_then, columns, strict=True))


def _arrival(
    at: int, release: int, is_merge: bool, is_bot: bool, in_baseline: bool, took: int
) -> tuple[int, int, int, int, int, int, int | None]:
    """A single commit, as the columns of `Arrivals` tell of many."""
    counts = not is_merge and not is_bot
    return (
        at,
        release,
        int(counts),
        int(is_merge),
        int(is_bot and not is_merge),
        counts & in_baseline,
        took if counts else None,
    )


class Brought(NamedTuple):
    """What a release was the first to bring to production, from its first time on."""

    at: int
    commits: int = 0
    merges: int = 0
    bots: int = 0
    took: int | None = None

    def and_later(self, other: Brought) -> Brought:
        """Together with what it brought when it was deployed once more."""
        took = [each.took + (self.at - each.at) // SECOND for each in (self, other) if each.took is not None]
        counts = map(add, self[1:4], other[1:4])
        return Brought._make([self.at, *counts, max(took, default=None)])


NOTHING = Brought(0)


def by_release(found: Arrivals) -> dict[int, Brought]:
    """What each release brought in all."""
    facts = zip(found.at, found.commits, found.merges, found.bots, found.took, strict=True)
    whole: dict[int, Brought] = {}
    for release, brought in zip(found.release, map(Brought._make, facts), strict=True):
        whole[release] = whole[release].and_later(brought) if release in whole else brought
    return whole


def releases(scope: Scope) -> Shipped:
    return scope.once("releases", _releases)


def _releases(scope: Scope) -> Shipped:
    begin, end = scope.observed
    rows = _released(scope).filter(reached_at__gte=begin, reached_at__lt=end)
    at, keys, products = gathered(rows, Number("reached_at"), "pk", "product_id")
    brought, firsts = by_release(arrivals(scope)), _firsts(scope)
    parts = [brought.get(key, NOTHING) for key in keys]
    left_out = [
        BASELINE if firsts.get(product) == key else NO_COMMITS if part.took is None else ""
        for key, product, part in zip(keys, products, parts, strict=True)
    ]
    _at, *counts = zip(*parts, strict=True) if parts else [()] * len(NOTHING)
    return Shipped.in_order([at, keys, *counts, left_out])


def _released(scope: Scope) -> Any:
    """Those that reached production, and `reached_at` when they did; as known then."""
    rows = scope.of(Release.objects.filter(released_at__isnull=False))
    if not scope.looks_back:
        return rows.annotate(reached_at=F("released_at"))
    deployed = Event.objects.filter(kind="releases.release.deploy", at__lte=scope.as_of).values("stream")
    rows = rows.annotate(its_stream=stream_of(Release))
    rows = rows.filter(Q(imported=True, created_at__lte=scope.as_of) | Q(its_stream__in=deployed))
    thought = edited_since(rows, "released_at", scope.as_of).items()
    then = [When(pk=pk, then=Value(datetime.fromisoformat(at))) for pk, at in thought]
    return rows.annotate(reached_at=Case(*then, default=F("released_at")))


def _firsts(scope: Scope) -> dict[int, int]:
    """The first release of each product that reached production; of several at one instant, that recorded first."""
    first = _released(scope).filter(product=OuterRef("pk")).order_by("reached_at", "pk").values("pk")[:1]
    products = scope.of(Product.objects.order_by(), "pk")
    return dict(products.values_list("pk", Subquery(first)))


def commit_volume(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        found = releases(scope).within(span)
        volumes = spread(found.commits)
        more = {"median": volumes.median, "mean": volumes.mean, "p90": volumes.p90}
        counts = {"commits": sum(found.commits), "merges": sum(found.merges), "bots": sum(found.bots)}
        yield Figure(volumes.median, volumes.n, "median", more={**more, **counts})


def volume_rows(scope: Scope) -> Iterator[Row]:
    found = releases(scope)
    facts = zip(found.at, found.pk, found.commits, strict=True)
    return (Row(instant(at), "release", pk, commits) for at, pk, commits in facts)


def release_cycle_time(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        found = releases(scope).within(span)
        took = [seconds or 0 for seconds, why in zip(found.took, found.left_out, strict=True) if not why]
        skewed = [SKEW for seconds in took if seconds < 0]
        yield durations([max(0, each) for each in took], tally([*found.left_out, *skewed]))


def cycle_rows(scope: Scope) -> Iterable[Row]:
    found = releases(scope)
    for at, pk, took, left_out in zip(found.at, found.pk, found.took, found.left_out, strict=True):
        yield Row(instant(at), "release", pk, took and max(0, took), left_out)
