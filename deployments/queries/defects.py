"""How long known defects lived: from when they were opened until their fix reached production."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from deployments.models import Deployment
from releasemgmt.catalog.models import Product, Tier
from releasemgmt.releases.models import DefectLink, KnownDefect, Release
from releasemgmt.workflow.models import Event
from releasemgmt.workflow.queries import edited_since, streams

REOPENED, REJECTED = "releases.knowndefect.reopen", "releases.knowndefect.reject"
LINKED = "releases.defect_link.set"


@dataclass(frozen=True)
class DefectLife:
    """One known defect: `fixed_at` is when a release in which it is fixed first ran in production, None until then.

    Reopened, the same life goes on: only a fix that was deployed after that ends it. Where it was rejected, there will
    be none. Of an imported one it may be unknown when it was opened.
    """

    defect_id: int
    product_id: int
    opened_at: datetime | None
    fixed_at: datetime | None
    rejected_at: datetime | None


def defect_lives(products: Collection[Product | int], *, as_of: datetime | None = None) -> list[DefectLife]:
    """The lives of the products' known defects, as known now or at a past instant, by number.

    Four statements; two more for a past instant.
    """
    defects = KnownDefect.objects.filter(product__in=products)
    defects = defects.filter(created_at__lte=as_of) if as_of else defects
    turns = _turns(defects, as_of)
    fixes: dict[int, list[datetime]] = defaultdict(list)
    for defect, at in _fixes(products, as_of):
        if at > turns.get((REOPENED, defect), at.min.replace(tzinfo=at.tzinfo)):
            fixes[defect].append(at)
    thought = edited_since(defects, "opened_at", as_of) if as_of else {}
    then = {pk: at and datetime.fromisoformat(at) for pk, at in thought.items()}
    return [
        DefectLife(pk, product, then.get(pk, opened), min(fixes[pk], default=None), turns.get((REJECTED, pk)))
        for pk, product, opened in defects.order_by("pk").values_list("pk", "product_id", "opened_at")
    ]


def _turns(defects: Any, as_of: datetime | None) -> dict[tuple[str, int], datetime]:
    """When each was reopened last, and when it was rejected."""
    rows = _events(defects, [REOPENED, REJECTED], as_of).values_list("kind", "stream", "at")
    return {(kind, int(stream.partition(":")[2])): at for kind, stream, at in rows}


def _events(rows: Any, kinds: Collection[str], as_of: datetime | None) -> Any:
    """What of these kinds had happened to records by then."""
    events = Event.objects.filter(stream__in=streams(rows), kind__in=kinds).order_by("stream", "seq")
    return events.filter(at__lte=as_of) if as_of else events


def _fixes(products: Collection[Product | int], as_of: datetime | None) -> list[tuple[int, datetime]]:
    """Each defect with each time that a release which fixes it came to production; a past release when it came out."""
    fixed = Q(release__defect_links__relation=DefectLink.Relation.FIXED_IN, release__product__in=products)
    ran = Deployment.objects.filter(fixed, status=Deployment.Status.SUCCEEDED, environment__tier=Tier.PRODUCTION)
    ran = ran.exclude(kind=Deployment.Kind.ROLLBACK)
    ran = ran.filter(recorded_at__lte=as_of, finished_at__lte=as_of) if as_of else ran
    past = DefectLink.objects.filter(relation=DefectLink.Relation.FIXED_IN, release__product__in=products)
    link = "release__defect_links__defect"
    found = [
        *ran.values_list("release", link, f"{link}__imported", "finished_at"),
        *past.filter(release__imported=True).values_list(
            "release", "defect", "defect__imported", "release__released_at"
        ),
    ]
    told = _told(products, as_of) if as_of else set()
    return [
        (defect, at)
        for release, defect, imported, at in found
        if at and (as_of is None or imported or (release, defect) in told)
    ]


def _told(products: Collection[Product | int], as_of: datetime) -> set[tuple[int, int]]:
    """Of which releases somebody had said by then that they fix which defects; what was imported says so by itself."""
    events = _events(Release.objects.filter(product__in=products), [LINKED], as_of)
    rows = events.filter(data__relation=DefectLink.Relation.FIXED_IN).values_list("stream", "data__defect")
    return {(int(stream.partition(":")[2]), int(number.partition("-")[2])) for stream, number in rows}
