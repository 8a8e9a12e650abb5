"""The records behind a figure's rows, as people and programs find them again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from django.db.models import QuerySet

from approvals.models import ApprovalRound, ChangeRequest
from deployments.models import Deployment, Incident
from releasemgmt.kpis.queries.figure import Row
from releasemgmt.releases.models import Commit, KnownDefect, Release


class Record(NamedTuple):
    """A row with its record: what it is called, what it says, whose it is and where its page is."""

    row: Row
    number: str
    title: str
    product: str
    url: str
    #: The record's key on the admin's pages; a commit has none.
    pk: int


class Kind(NamedTuple):
    """How records of a kind are read and named."""

    rows: Callable[[], QuerySet[Any]]
    number: Callable[[Any], str]
    title: Callable[[Any], str]
    product: Callable[[Any], str] = lambda found: str(found.product.key)
    address: str = ""


def _of_round(round: ApprovalRound) -> str:
    return str(round.record.product.key)


KINDS: Mapping[str, Kind] = {
    "commit": Kind(
        lambda: Commit.objects.select_related("product"), lambda found: found.sha, lambda found: found.subject
    ),
    "release": Kind(
        lambda: Release.objects.select_related("product"),
        lambda found: found.number,
        lambda found: found.alias,
        address="releases",
    ),
    "deployment": Kind(
        lambda: Deployment.objects.select_related("product", "release__product", "environment"),
        lambda found: str(found.pk),
        str,
        address="deployments",
    ),
    "incident": Kind(
        lambda: Incident.objects.select_related("product"),
        lambda found: found.number,
        lambda found: found.title,
        address="incidents",
    ),
    "defect": Kind(
        lambda: KnownDefect.objects.select_related("product"),
        lambda found: found.number,
        lambda found: found.title,
        address="known-defects",
    ),
    "change": Kind(
        lambda: ChangeRequest.objects.select_related("product"),
        lambda found: found.number,
        lambda found: found.title,
        address="changes",
    ),
    "round": Kind(
        lambda: ApprovalRound.objects.select_related("release__product", "change__product"),
        lambda found: str(found.pk),
        str,
        _of_round,
        "approvals",
    ),
}


def described(rows: Iterable[Row]) -> Iterator[Record]:
    """The rows with their records: one statement for each kind of them."""
    rows = list(rows)
    keys: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        keys[row.kind].add(row.pk)
    found = {kind: KINDS[kind].rows().in_bulk(wanted) for kind, wanted in keys.items()}
    for row in rows:
        kind, record = KINDS[row.kind], found[row.kind][row.pk]
        number = kind.number(record)
        url = f"/api/v1/{kind.address}/{number}/" if kind.address else ""
        yield Record(row, number, kind.title(record), kind.product(record), url, row.pk)
