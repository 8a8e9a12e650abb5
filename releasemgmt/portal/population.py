"""The population report: everything of a period in number order, so that whoever samples it knows that it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import F, Max, QuerySet, Value, Window
from django.db.models.functions import Lag

from approvals.models import ChangeRequest
from deployments.models import Deployment
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product, Tier
from releasemgmt.portal.covers import Cover, covers, in_words
from releasemgmt.releases.models import Release
from releasemgmt.web import spreadsheet
from releasemgmt.workflow.errors import Invalid

PAGE = 100


class Period(NamedTuple):
    """From an instant to another one, which does not belong to it; of one product, or of all that somebody sees."""

    begin: datetime
    end: datetime
    product: Product | None = None


@dataclass(frozen=True)
class Line:
    """A record, or numbers of which there is none (`kind` gap)."""

    kind: str
    number: str
    product: str = ""
    title: str = ""
    type: str = ""
    state: str = ""
    at: datetime | None = None
    environment: str = ""
    release: str = ""
    unauthorised: bool = False
    covered_by: Cover = field(default_factory=dict)

    @property
    def pk(self) -> str:
        """The key of its page."""
        return self.number.rpartition("-")[2]

    @property
    def cover(self) -> str:
        """What covered a deployment, in words."""
        return in_words(self.covered_by) if self.kind == "deployment" else ""


def page(user: User, period: Period, *, after: str = "", size: int = PAGE) -> tuple[list[Line], str]:
    """The lines behind that place, releases first, then changes, then deployments to production; and the next place.

    At most ten statements, whatever there is.
    """
    kinds = list(KINDS)
    begin, last = _place(after) if after else (kinds[0], 0)
    found: list[Line] = []
    for kind in kinds[kinds.index(begin) :]:
        rows = list(KINDS[kind](user, period).filter(pk__gt=last).order_by("pk")[: size + 1 - len(found)])
        more = len(found) + len(rows) > size
        rows = rows[: size - len(found)]
        found += _with_gaps(kind, rows, last)
        if more:
            return found, f"{kind}:{rows[-1].pk if rows else last}"
        last = 0
    return found, ""


def lines(user: User, period: Period) -> Iterator[Line]:
    """All of them, page by page."""
    after, more = "", True
    while more:
        found, after = page(user, period, after=after)
        yield from found
        more = bool(after)


def as_csv(found: Iterable[Line]) -> Iterator[str]:
    """A table for spreadsheets, line by line; no cell of it is a formula."""
    names = [each.name for each in fields(Line)]
    yield spreadsheet.line(names)
    for line in found:
        yield spreadsheet.line([{**asdict(line), "covered_by": line.cover}[name] for name in names])


def _place(after: str) -> tuple[str, int]:
    kind, _, pk = after.partition(":")
    if kind not in KINDS or not (pk.isascii() and pk.isdigit() and len(pk) < 19):
        raise Invalid({"after": "Take it from `next` of this report."})
    return kind, int(pk)


def _releases(user: User, period: Period) -> QuerySet[Any]:
    rows = Release.objects.visible_to(user).filter(created_at__gte=period.begin, created_at__lt=period.end)
    return _of(rows, period).select_related("product")


def _changes(user: User, period: Period) -> QuerySet[Any]:
    rows = ChangeRequest.objects.visible_to(user).filter(created_at__gte=period.begin, created_at__lt=period.end)
    return _of(rows, period).select_related("product")


def _deployments(user: User, period: Period) -> QuerySet[Any]:
    rows = Deployment.objects.visible_to(user).filter(started_at__gte=period.begin, started_at__lt=period.end)
    to_production = rows.filter(environment__tier=Tier.PRODUCTION)
    return _of(to_production, period).select_related("product", "release", "environment")


def _of(rows: QuerySet[Any], period: Period) -> QuerySet[Any]:
    return rows.filter(product=period.product) if period.product else rows


#: What there is to report, in this order.
KINDS: Mapping[str, Callable[[User, Period], QuerySet[Any]]] = {
    "release": _releases,
    "change": _changes,
    "deployment": _deployments,
}


def _with_gaps(kind: str, rows: Sequence[Any], after: int) -> list[Line]:
    """The rows as lines, and where numbers before them belong to no record, of whomever, a line that says so."""
    if not rows:
        return []
    covered = covers(rows) if kind == "deployment" else {}
    placed = [(row.pk, _line(kind, row, covered)) for row in rows]
    placed += [(first, Line("gap", _numbers(kind, first, last))) for first, last in _gaps(rows, after)]
    return [line for _place, line in sorted(placed, key=lambda each: each[0])]


def _gaps(rows: Sequence[Any], after: int) -> Iterator[tuple[int, int]]:
    """Numbers without a record between the one before these rows and the last of them. At most two statements."""
    known = type(rows[0])._base_manager.order_by()
    start = after or known.filter(pk__lt=rows[0].pk).aggregate(last=Max("pk"))["last"] or 0
    there = known.filter(pk__gt=start, pk__lte=rows[-1].pk)
    behind = there.annotate(previous=Window(Lag("pk", default=Value(start)), order_by="pk"))
    for previous, pk in behind.filter(pk__gt=F("previous") + 1).order_by("pk").values_list("previous", "pk"):
        yield previous + 1, pk - 1


def _numbers(kind: str, first: int, last: int) -> str:
    prefix = {"release": "REL-", "change": "CHG-"}.get(kind, "deployment ")
    return f"{prefix}{first}" if first == last else f"{prefix}{first} to {prefix}{last}"


def _line(kind: str, row: Any, covered: Mapping[int, Cover]) -> Line:
    if kind != "deployment":
        title = " ".join(filter(None, (getattr(row, "version", ""), row.title)))
        flag = getattr(row, "unauthorised", False)
        facts = {"title": title, "type": row.type, "state": row.state, "at": row.created_at, "unauthorised": flag}
        return Line(kind, row.number, row.product.key, **facts)
    return Line(
        kind,
        str(row.pk),
        row.product.key,
        type=row.kind,
        state=row.status,
        at=row.started_at,
        environment=row.environment.key,
        release=row.release.number if row.release else "",
        unauthorised=row.unauthorised,
        covered_by=covered[row.pk],
    )
