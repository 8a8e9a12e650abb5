"""Figures of deployments to production: how often, and how many only repaired others."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, QuerySet

from deployments.models import Deployment
from releasemgmt.catalog.models import Tier
from releasemgmt.kpis.definitions import Span, days, days_between, seconds_between, spread
from releasemgmt.kpis.queries.figure import RATE, Figure, Row, ratio, tally
from releasemgmt.kpis.queries.gathered import by_columns, instant, number_of
from releasemgmt.kpis.queries.scope import Scope, Timeline
from releasemgmt.releases.models import Release

ROLLBACK, FAILED = "rollback", "failed"


class Deployed(NamedTuple):
    """A deployment to production that is over; a release of before the service counts as one that succeeded."""

    at: datetime
    kind: str
    pk: int
    product: int
    succeeded: bool
    goes_back: bool = False
    is_rework: bool = False

    @property
    def is_change(self) -> bool:
        """Whether it brought something to production."""
        return self.succeeded and not self.goes_back


def production(scope: Scope) -> QuerySet[Deployment]:
    """What had been deployed to production, well or not, by then."""
    over = [Deployment.Status.SUCCEEDED, Deployment.Status.FAILED]
    rows = Deployment.objects.filter(environment__tier=Tier.PRODUCTION, status__in=over, finished_at__lte=scope.as_of)
    return scope.of(rows.filter(recorded_at__lte=scope.as_of) if scope.looks_back else rows)


def deployed(scope: Scope) -> Timeline[Deployed]:
    return scope.once("deployed", _deployed)


def _deployed(scope: Scope) -> Timeline[Deployed]:
    inside = {"finished_at__gte": scope.span.begin, "finished_at__lt": scope.span.end}
    columns = (number_of("finished_at"), "pk", "product_id", "status", "kind", "remediates_id")
    succeeded = str(Deployment.Status.SUCCEEDED)
    found = [
        Deployed(instant(at), "deployment", pk, product, status == succeeded, kind == ROLLBACK, bool(repairs))
        for at, pk, product, status, kind, repairs in by_columns(production(scope).filter(**inside), *columns)
    ]
    return Timeline([*found, *_imported(scope)])


def _imported(scope: Scope) -> Iterator[Deployed]:
    """Releases of before the service, which count as deployed when they were released."""
    span = scope.observed
    rows = scope.of(Release.objects.filter(imported=True, released_at__gte=span.begin, released_at__lt=span.end))
    rows = rows.filter(created_at__lte=scope.as_of) if scope.looks_back else rows
    known = Deployment.objects.filter(release=OuterRef("pk"), environment__tier=Tier.PRODUCTION)
    for at, pk, product in by_columns(rows.filter(~Exists(known)), number_of("released_at"), "pk", "product_id"):
        yield Deployed(instant(at), "release", pk, product, succeeded=True)


def known_since(scope: Scope) -> datetime | None:
    """Since when the service knows what is deployed: a product of its own, or the first deployment that it heard of."""
    return scope.once("known_since", _known_since)


def _known_since(scope: Scope) -> datetime | None:
    own = min(scope.products().values(), default=None)
    if own and own <= scope.span.begin:
        return own  # earlier than what is asked for is early enough
    imported = scope.of(Release.objects.filter(imported=True, released_at__isnull=False))
    first: list[Any] = [
        *filter(None, [own]),
        *production(scope).order_by("finished_at").values_list("finished_at", flat=True)[:1],
        *imported.order_by("released_at").values_list("released_at", flat=True)[:1],
    ]
    return min(first, default=None)


def deployment_frequency(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    since, instants = known_since(scope), deployed(scope).instants
    begins = days_between(instants[0], instants[-1], scope.zone) if instants else []
    for span in spans:
        found = deployed(scope).within(span)
        changes = [each for each in found if each.is_change]
        length = days(scope.seen(span), scope.zone)
        knows = since is not None and since < span.end and length > 0
        more = {
            "release_days": len({(each.product, bisect_right(begins, each.at)) for each in changes}),
            "median_interval": spread(_gaps(changes)).median,
            "rollbacks": sum(each.succeeded and each.goes_back for each in found),
        }
        left_out = tally(FAILED for each in found if not each.succeeded)
        yield Figure(len(changes) / length if knows else None, len(changes), RATE, left_out, more=more)


def _gaps(changes: Iterable[Deployed]) -> Iterator[int]:
    """Seconds from one deployment of a product to its next."""
    of_products = defaultdict[int, list[datetime]](list)
    for each in changes:
        of_products[each.product].append(each.at)
    for instants in of_products.values():
        yield from (seconds_between(*pair) for pair in pairwise(instants))


def frequency_rows(scope: Scope) -> Iterator[Row]:
    for each in deployed(scope).within(scope.span):
        why = FAILED if not each.succeeded else ROLLBACK if each.goes_back else ""
        yield Row(each.at, each.kind, each.pk, None, why)


def deployment_rework_rate(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        found = [each for each in deployed(scope).within(span) if each.succeeded]
        yield ratio(sum(each.is_rework or each.goes_back for each in found), len(found))


def rework_rows(scope: Scope) -> Iterator[Row]:
    for each in deployed(scope).within(scope.span):
        if each.succeeded:
            yield Row(each.at, each.kind, each.pk, float(each.is_rework or each.goes_back))
