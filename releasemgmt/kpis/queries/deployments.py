"""Figures of deployments to production: how often, and how many only repaired others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import and_, gt, or_
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from deployments.models import Deployment
from releasemgmt.catalog.models import Tier
from releasemgmt.kpis.definitions import Span, days, spread
from releasemgmt.kpis.queries.figure import RATE, Figure, Row, ratio
from releasemgmt.kpis.queries.gathered import SECOND, Columns, Number, day_of, gathered, instant, number
from releasemgmt.kpis.queries.scope import Scope
from releasemgmt.releases.models import Release

ROLLBACK, FAILED = "rollback", "failed"
SUCCEEDED = str(Deployment.Status.SUCCEEDED)


@dataclass
class Deployed(Columns):
    """Deployments to production that are over; a release of before the service counts as one that succeeded."""

    day: list[int]
    kind: list[str]
    pk: list[int]
    product: list[int]
    succeeded: list[bool]
    goes_back: list[bool]
    is_rework: list[bool]


def production(scope: Scope) -> QuerySet[Deployment]:
    """What had been deployed to production, well or not, by then."""
    over = [Deployment.Status.SUCCEEDED, Deployment.Status.FAILED]
    rows = Deployment.objects.filter(environment__tier=Tier.PRODUCTION, status__in=over, finished_at__lte=scope.as_of)
    return scope.of(rows.filter(recorded_at__lte=scope.as_of) if scope.looks_back else rows)


def deployed(scope: Scope) -> Deployed:
    return scope.once("deployed", _deployed)


def _deployed(scope: Scope) -> Deployed:
    rows = production(scope).filter(finished_at__gte=scope.span.begin, finished_at__lt=scope.span.end)
    day = day_of("finished_at", scope.observed, scope.zone)
    columns = (Number("finished_at"), day, "pk", "product_id", "status", "kind", "remediates_id")
    at, on_day, pk, product, status, kind, repairs = gathered(rows, *columns)
    succeeded, goes_back = [each == SUCCEEDED for each in status], [each == ROLLBACK for each in kind]
    kinds, is_rework = ["deployment"] * len(at), [repaired is not None for repaired in repairs]
    reported: Sequence[list[Any]] = (at, on_day, kinds, pk, product, succeeded, goes_back, is_rework)
    return Deployed.in_order(one + more for one, more in zip(reported, _imported(scope), strict=True))


def _imported(scope: Scope) -> Sequence[list[Any]]:
    """Releases of before the service, which count as deployed when they were released."""
    span = scope.observed
    rows = scope.of(Release.objects.filter(imported=True, released_at__gte=span.begin, released_at__lt=span.end))
    rows = rows.filter(created_at__lte=scope.as_of) if scope.looks_back else rows
    known = Deployment.objects.filter(release=OuterRef("pk"), environment__tier=Tier.PRODUCTION)
    known = known.filter(recorded_at__lte=scope.as_of) if scope.looks_back else known
    columns = (Number("released_at"), day_of("released_at", span, scope.zone), "pk", "product_id")
    at, day, pk, product = gathered(rows.filter(~Exists(known)), *columns)
    n = len(at)
    return at, day, ["release"] * n, pk, product, [True] * n, [False] * n, [False] * n


def known_since(scope: Scope) -> datetime | None:
    """Since when the service knows what is deployed: a product of its own, or the first deployment that it heard of."""
    return scope.once("known_since", _known_since)


def _known_since(scope: Scope) -> datetime | None:
    own = scope.onboarded_at
    if own and own <= scope.span.begin:
        return own  # earlier than what is asked for is early enough
    imported = scope.of(Release.objects.filter(imported=True, released_at__isnull=False))
    first: list[Any] = [
        *filter(None, [own]),
        *production(scope).order_by("finished_at").values_list("finished_at", flat=True)[:1],
        *imported.order_by("released_at").values_list("released_at", flat=True)[:1],
    ]
    return min(first, default=None)


@dataclass
class Advances(Columns):
    """Deployments that brought something to production, and when the one before it did that, of the same product."""

    day: list[int]
    product: list[int]
    before: list[int | None]


def _changes(scope: Scope) -> Advances:
    found = deployed(scope)
    found = found.where(map(gt, found.succeeded, found.goes_back))
    last: dict[int, int] = {}
    before = []
    for product, at in zip(found.product, found.at, strict=True):
        before.append(last.get(product))
        last[product] = at
    return Advances(found.at, found.day, found.product, before)


def deployment_frequency(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    since, changes = known_since(scope), _changes(scope)
    for span in spans:
        found, brought = deployed(scope).within(span), changes.within(span)
        length = days(scope.seen(span), scope.zone)
        knows = since is not None and since < span.end and length > 0
        begin = number(span.begin)
        pairs = zip(brought.at, brought.before, strict=True)
        more = {
            "release_days": len(set(zip(brought.product, brought.day, strict=True))),
            "median_interval": spread((at - to) // SECOND for at, to in pairs if to is not None and to >= begin).median,
            "rollbacks": sum(map(and_, found.succeeded, found.goes_back)),
        }
        failed = len(found) - sum(found.succeeded)
        left_out = {FAILED: failed} if failed else {}
        yield Figure(len(brought) / length if knows else None, len(brought), RATE, left_out, more=more)


def frequency_rows(scope: Scope) -> Iterator[Row]:
    for at, _day, kind, pk, _product, succeeded, goes_back, _is_rework in deployed(scope):
        yield Row(instant(at), kind, pk, None, FAILED if not succeeded else ROLLBACK if goes_back else "")


def deployment_rework_rate(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        found = deployed(scope).within(span)
        found = found.where(found.succeeded)
        yield ratio(sum(map(or_, found.is_rework, found.goes_back)), len(found))


def rework_rows(scope: Scope) -> Iterator[Row]:
    for at, _day, kind, pk, _product, succeeded, goes_back, is_rework in deployed(scope):
        if succeeded:
            yield Row(instant(at), kind, pk, float(is_rework or goes_back))
