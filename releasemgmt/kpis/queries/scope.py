"""What is asked for: whose facts, of which time, in which zone's days, and what was known when."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar, cast
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.kpis.definitions import BUCKETS, Span, buckets
from releasemgmt.kpis.queries.gathered import OneOf
from releasemgmt.workflow.errors import Invalid
from releasemgmt.workflow.models import FIRST, LAST, time_zone_exists

#: So many days, weeks or months are answered at once.
MOST_BUCKETS = 400

Rows = TypeVar("Rows", bound="QuerySet[Any]")
T = TypeVar("T")


class Fact(Protocol):
    """Something that happened."""

    @property
    def at(self) -> datetime: ...


F = TypeVar("F", bound=Fact)


class Timeline(Generic[F]):
    """Few facts in the order of time, each an object; many are `Columns`."""

    def __init__(self, facts: Iterable[F]) -> None:
        self.facts: Sequence[F] = sorted(facts, key=attrgetter("at"))
        self.instants = [fact.at for fact in self.facts]

    def within(self, span: Span) -> Sequence[F]:
        """Those of an interval."""
        return self.facts[bisect_left(self.instants, span.begin) : bisect_left(self.instants, span.end)]


@dataclass(frozen=True)
class Scope:
    """The facts of one product, or of all that the user sees, between two instants as they were known at a third."""

    user: User
    span: Span
    zone: ZoneInfo
    as_of: datetime
    now: datetime
    product: Product | None = None
    bucket: str = ""
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, name: str, read: Callable[[Scope], T]) -> T:
        """What several figures need is read once."""
        if name not in self.memo:
            self.memo[name] = read(self)
        return cast(T, self.memo[name])

    @property
    def looks_back(self) -> bool:
        """Whether it asks for less than what is known now."""
        return self.as_of < self.now

    @property
    def observed(self) -> Span:
        """What of the asked time was over by then."""
        return self.seen(self.span)

    def seen(self, span: Span) -> Span:
        """What of an interval was over by then; of one that had not begun nothing, at that instant."""
        return Span(*(min(mark, self.as_of) for mark in span))

    @property
    def buckets(self) -> list[Span]:
        """The days, weeks or months that are asked for, if they are."""
        return list(buckets(self.span, self.bucket, self.zone)) if self.bucket else []

    @property
    def whole_buckets(self) -> range:
        """Which of them are whole and were over by then: the first and the last one may be cut off."""
        parts = self.buckets
        over = sum(each.end <= self.as_of for each in parts)
        is_cut_off = over == len(parts) and not self._parts_buckets(self.span.end)
        return range(not self._parts_buckets(self.span.begin), over - is_cut_off)

    def _parts_buckets(self, at: datetime) -> bool:
        """Whether one bucket ends then and the next one begins."""
        moment = timedelta(microseconds=1)
        return len(list(buckets(Span(at - moment, at + moment), self.bucket, self.zone))) > 1

    def of(self, rows: Rows, product: str = "product") -> Rows:
        """The rows of these products, named one by one, so that an index by product is entered for each.

        `product` is the lookup path to it.
        """
        return rows.filter(OneOf(product, self.products()))

    def products(self) -> dict[int, datetime]:
        """The keys of these products, and when the service came to know each."""
        return self.once("products", _products)

    @property
    def onboarded_at(self) -> datetime | None:
        """When the service came to know the first of these products."""
        return min(self.products().values(), default=None)


def _products(scope: Scope) -> dict[int, datetime]:
    rows = roles.visible_to(scope.user, Product.objects.all(), team="team")
    rows = rows.filter(pk=scope.product.pk) if scope.product else rows
    return dict(rows.order_by().values_list("pk", "created_at"))


def asked(
    user: User,
    *,
    begin: datetime,
    end: datetime,
    now: datetime,
    product: Product | None = None,
    bucket: str = "",
    as_of: datetime | None = None,
    time_zone: str = "",
) -> Scope:
    """The scope of a question; Invalid where it makes no sense, or is too large."""
    errors = {}
    time_zone = time_zone or (product.time_zone if product else "UTC")
    try:
        time_zone_exists(time_zone)
    except ValidationError as error:
        errors["time_zone"] = str(error.message)
    if bucket and bucket not in BUCKETS:
        errors["bucket"] = f"Choose one of {', '.join(BUCKETS)}, or none."
    if begin < FIRST or end > LAST:
        errors["from"] = "Name instants between the years 1970 and 2199."
    elif as_of and as_of < FIRST:
        errors["as_of"] = "Name an instant since the year 1970."
    elif not begin < end:
        errors["to"] = "It ends before it begins: name a later end."
    if errors:
        raise Invalid(errors)
    zone, span = ZoneInfo(time_zone), Span(begin.astimezone(UTC), end.astimezone(UTC))
    if bucket and len(list(islice(buckets(span, bucket, zone), MOST_BUCKETS + 1))) > MOST_BUCKETS:
        raise Invalid({"bucket": f"Ask for at most {MOST_BUCKETS} {bucket}s at once: longer parts, or a shorter time."})
    return Scope(user, span, zone, min(as_of or now, now), now, product, bucket)
