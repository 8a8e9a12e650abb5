"""The figures over REST: every one in total and by bucket, its definition, and the very rows behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.http import Http404, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from deployments.api.fields import Asked
from releasemgmt.catalog.models import Product
from releasemgmt.kpis import queries
from releasemgmt.kpis.definitions import BUCKETS, MEANINGS, VERSION, Span
from releasemgmt.kpis.queries import Record, Row, Scope
from releasemgmt.web.access import check_query
from releasemgmt.web.api import InstantField, View
from releasemgmt.web.spreadsheet import AskedFormat, TableRenderer, line
from releasemgmt.workflow.errors import Invalid
from releasemgmt.workflow.models import FIRST

#: How far back it looks where nothing is said.
BACK = timedelta(days=365)
PAGE = 25
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
#: Records of so many rows are read at once for a table.
AT_ONCE = 1_000
FORMATS = ("json", "csv")


class FiguresAsked(Asked):
    """Of which product, by default of all that you see; from when to when, by default of the last year.

    `as_of` asks for what was known then, `time_zone` whose days count: by default the product's, else UTC.
    """

    product = serializers.CharField(required=False)
    to = InstantField(required=False)
    bucket = serializers.ChoiceField(choices=BUCKETS, required=False)
    as_of = InstantField(required=False)
    time_zone = serializers.CharField(required=False)
    format = serializers.ChoiceField(choices=FORMATS, required=False)

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's own."""
        return {"from": InstantField(required=False), **super().get_fields()}


class RowsAsked(FiguresAsked):
    """The rows of which question, and from which place on."""

    bucket = None  # type: ignore[assignment]
    cursor = serializers.CharField(required=False)
    page_size = serializers.IntegerField(min_value=1, max_value=200, default=PAGE)


class OpenAnswer(serializers.Serializer[Any]):
    """Cases that have not ended."""

    count = serializers.IntegerField()
    oldest_seconds = serializers.IntegerField(allow_null=True)


class FigureAnswer(serializers.Serializer[Any]):
    """A value of n facts, null where there is none: that is not 0. Durations are seconds.

    `excluded` counts by reason what was left out; distributions carry `median`, `mean` and `p90`. `at_least` is the
    longest time observed where too many cases are open for a median. `trend` puts the last bucket that is over beside
    the median of those before it. What else a figure says, its definition explains.
    """

    value = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()
    excluded = serializers.DictField(child=serializers.IntegerField())
    open = OpenAnswer(allow_null=True)
    estimator = serializers.CharField()
    time_zone = serializers.CharField()
    to = InstantField()
    as_of = InstantField()
    definition = serializers.CharField()
    median = serializers.FloatField(allow_null=True, required=False)
    mean = serializers.FloatField(allow_null=True, required=False)
    p90 = serializers.FloatField(allow_null=True, required=False)
    at_least = serializers.FloatField(allow_null=True, required=False)
    trend = serializers.DictField(child=serializers.FloatField(allow_null=True), allow_null=True, required=False)

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's own."""
        return {"from": InstantField(), **super().get_fields()}


class BucketAnswer(serializers.Serializer[Any]):
    """The figures of a day, a week or a month."""

    to = InstantField()
    figures = serializers.DictField(child=FigureAnswer())

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's own."""
        return {"from": InstantField(), **super().get_fields()}


class FiguresAnswer(serializers.Serializer[Any]):
    """Every figure by its name, in total and by bucket; `product` is null where it is all that you see."""

    product = serializers.CharField(allow_null=True)
    figures = serializers.DictField(child=FigureAnswer())
    buckets = BucketAnswer(many=True)


class MeaningAnswer(serializers.Serializer[Any]):
    """What a figure means."""

    figure = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    unit = serializers.CharField()
    definition = serializers.CharField()
    text = serializers.CharField()


class RowAnswer(serializers.Serializer[Any]):
    """A fact behind a figure, with its record: when, and its value in the figure's unit.

    `left_out` is empty where it counts; else it says why it does not, or that it is `open`.
    """

    at = InstantField(source="row.at")
    kind = serializers.CharField(source="row.kind")
    number = serializers.CharField()
    title = serializers.CharField()
    product = serializers.CharField()
    value = serializers.FloatField(source="row.value", allow_null=True)
    left_out = serializers.CharField(source="row.left_out")
    url = serializers.CharField()


class RowsAnswer(serializers.Serializer[Any]):
    """A page of rows, the newest first."""

    results = RowAnswer(many=True)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class Place(NamedTuple):
    """Where a row stands among the others: by its time, then by its record."""

    at: datetime
    kind: str
    pk: int

    def __str__(self) -> str:
        return f"{(self.at - EPOCH) // MICROSECOND}.{self.kind}.{self.pk}"

    @classmethod
    def of(cls, row: Row) -> Place:
        return cls(row.at, row.kind, row.pk)

    @classmethod
    def read(cls, text: str) -> Place:
        """The place that `str` wrote; Invalid where it is none."""
        at, _, rest = text.partition(".")
        kind, _, pk = rest.partition(".")
        if all(part.isascii() and part.isdigit() and len(part) < 17 for part in (at, pk)):
            return cls(EPOCH + int(at) * MICROSECOND, kind, int(pk))
        raise Invalid({"cursor": "Take a cursor from `next` or `previous` of this list."})


class FiguresView(View):
    """The delivery figures, as JSON or as a table of one measure a line (`?format=csv`)."""

    pagination_class = None
    renderer_classes = (JSONRenderer, TableRenderer)
    content_negotiation_class = AskedFormat

    def scope(self, asked: Mapping[str, Any]) -> Scope:
        """What is asked for."""
        now = timezone.now()
        end = asked.get("to") or now
        return queries.asked(
            self.actor,
            begin=asked.get("from") or max(end - BACK, FIRST),
            end=end,
            now=now,
            product=self._product(asked.get("product")),
            bucket=asked.get("bucket", ""),
            as_of=asked.get("as_of"),
            time_zone=asked.get("time_zone", ""),
        )

    def _product(self, key: str | None) -> Product | None:
        if key is None:
            return None
        found = Product.objects.filter(key=key).first()
        if found is None or not self.actor.sees(found):
            raise Http404
        return found

    @extend_schema(parameters=[FiguresAsked], responses=FiguresAnswer)
    def list(self, request: Request) -> Response:
        scope = self.scope(FiguresAsked.of(self))
        (_whole, figures), *parts = queries.answer(scope)
        if isinstance(request.accepted_renderer, TableRenderer):
            return Response(list(_table(scope, [(scope.span, figures), *parts])))
        buckets = [{"from": span.begin, "to": span.end, "figures": found} for span, found in parts]
        return Response(
            {"product": scope.product.key if scope.product else None, "figures": figures, "buckets": buckets}
        )

    @extend_schema(responses=MeaningAnswer)
    def retrieve(self, request: Request, figure: str) -> Response:
        check_query(request, ())
        return Response(MeaningAnswer({"figure": figure, "definition": VERSION, **_meaning(figure)}).data)

    @extend_schema(parameters=[RowsAsked], responses=RowsAnswer)
    def rows(self, request: Request, figure: str) -> HttpResponseBase:
        _meaning(figure)
        asked = RowsAsked.of(self)
        scope = self.scope(asked)
        found = queries.rows(scope, figure)[::-1]
        if isinstance(request.accepted_renderer, TableRenderer):
            return StreamingHttpResponse(_lines(found), content_type="text/csv; charset=utf-8")
        way, _, place = asked.get("cursor", "").partition(".")
        begin, end = _page(found, way, Place.read(place) if way else None, size=asked["page_size"])

        def link(way: str, row: Row) -> str:
            address = request.build_absolute_uri()
            for name, instant in (("from", scope.span.begin), ("to", scope.span.end), ("as_of", scope.as_of)):
                address = replace_query_param(address, name, instant.isoformat())
            return replace_query_param(address, "cursor", f"{way}.{Place.of(row)}")

        page = found[begin:end]
        return Response(
            {
                "results": RowAnswer(queries.described(page), many=True).data,
                "next": link("f", page[-1]) if page and end < len(found) else None,
                "previous": link("b", page[0]) if page and begin else None,
            }
        )


def _meaning(figure: str) -> dict[str, str]:
    if figure not in MEANINGS:
        raise Http404
    return MEANINGS[figure]._asdict()


def _page(found: list[Row], way: str, beyond: Place | None, *, size: int) -> tuple[int, int]:
    """From where to where the page goes, the newest first."""
    if beyond is None:
        return 0, size
    if way == "b":
        end = next((n for n, row in enumerate(found) if Place.of(row) <= beyond), len(found))
        return max(0, end - size), end
    begin = next((n for n, row in enumerate(found) if Place.of(row) < beyond), len(found))
    return begin, begin + size


def _table(scope: Scope, parts: Iterable[tuple[Span, Mapping[str, Any]]]) -> Iterator[tuple[Any, ...]]:
    """One measure a line, so that any spreadsheet can turn it into what it needs."""
    product = scope.product.key if scope.product else ""
    yield "product", "from", "to", "figure", "measure", "value", "unit", "time_zone", "as_of", "definition"
    for span, figures in parts:
        for name, figure in figures.items():
            for measure, value in _measures(figure):
                yield (
                    *(product, span.begin, span.end, name, measure, value, MEANINGS[name].unit),
                    *(scope.zone.key, scope.as_of, VERSION),
                )


#: What stands in columns of its own, or is no measure.
COLUMNS = ("time_zone", "from", "to", "as_of", "definition")


def _measures(figure: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in figure.items():
        if isinstance(value, Mapping):
            yield from _measures(value, f"{before}{name}.")
        elif before or name not in COLUMNS:
            yield f"{before}{name}", value


def _lines(found: list[Row]) -> Iterator[str]:
    yield line(["at", "kind", "number", "title", "product", "value", "left_out", "url"])
    for begin in range(0, len(found), AT_ONCE):
        for record in queries.described(found[begin : begin + AT_ONCE]):
            yield line(_columns(record))


def _columns(record: Record) -> list[Any]:
    row = record.row
    return [row.at, row.kind, record.number, record.title, record.product, row.value, row.left_out, record.url]
