"""Reading many facts: a column at a time, and instants as numbers, which costs a tenth of objects row by row."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import compress
from json import dumps
from typing import Any, Self
from zoneinfo import ZoneInfo

from django.db.models import (
    Aggregate,
    BigIntegerField,
    BooleanField,
    Case,
    F,
    Func,
    IntegerField,
    JSONField,
    QuerySet,
    When,
)

from releasemgmt.kpis.definitions import Span, begin_of, offsets

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
#: So many microseconds.
SECOND = 1_000_000
SECONDS_A_DAY = 86_400
SINCE_1970 = "django_timestamp_diff(%(expressions)s, '1970-01-01 00:00:00')"


@dataclass
class Columns:
    """Many facts in the order of time: a list of each of their properties; `at` is when, as `number` says it."""

    at: list[int]

    @classmethod
    def in_order(cls, columns: Iterable[Sequence[Any]]) -> Self:
        """The facts of columns that are in no order."""
        lists = list(columns)
        order = sorted(range(len(lists[0])), key=lists[0].__getitem__)
        return cls(*(list(map(each.__getitem__, order)) for each in lists))

    def _columns(self) -> list[list[Any]]:
        return list(vars(self).values())

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """One fact after the other."""
        return zip(*self._columns(), strict=True)

    def __len__(self) -> int:
        return len(self.at)

    def within(self, span: Span) -> Self:
        """Those of an interval."""
        first, last = (bisect_left(self.at, number(mark)) for mark in span)
        return type(self)(*(column[first:last] for column in self._columns()))

    def where(self, which: Iterable[Any]) -> Self:
        """Those for which it is true."""
        chosen = list(which)
        return type(self)(*(list(compress(column, chosen)) for column in self._columns()))


class Gathered(Aggregate):
    """The values of a column as a list; columns that are gathered in one query are in the same order."""

    output_field = JSONField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        sql, params = self.as_sql(compiler, connection, function="JSON_AGG", **context)
        return f"({sql})::text", params  # text is what the field decodes

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="JSON_GROUP_ARRAY", **context)


def gathered(rows: QuerySet[Any], *columns: Any) -> list[list[Any]]:
    """These columns of the rows, or expressions over them, in no order but all in the same."""
    asked = {f"column_{n}": Gathered(column) for n, column in enumerate(columns)}
    found = rows.order_by().aggregate(**asked)
    return [found[name] or [] for name in asked]


class Place(Func):
    """Between which of some instants, in order, that of a column is: the number of those that it is not before."""

    output_field = IntegerField()

    def __init__(self, column: str, marks: Sequence[datetime]) -> None:
        super().__init__(F(column))
        self.marks = tuple(marks)

    def as_postgresql(self, compiler: Any, connection: Any, **_context: Any) -> Any:
        column, params = compiler.compile(self.source_expressions[0])
        return f"WIDTH_BUCKET({column}, %s::timestamptz[])", [*params, list(self.marks)]

    def as_sqlite(self, compiler: Any, connection: Any, **_context: Any) -> Any:
        column, _none = compiler.compile(self.source_expressions[0])
        marks = [connection.ops.adapt_datetimefield_value(mark) for mark in self.marks]
        return _halved(column, marks, 0)


def _halved(column: str, marks: Sequence[str], before: int) -> tuple[str, list[str]]:
    """SQL that halves the marks until one is left."""
    if not marks:
        return str(before), []
    half = len(marks) // 2
    earlier, its = _halved(column, marks[:half], before)
    later, theirs = _halved(column, marks[half + 1 :], before + half + 1)
    return f"CASE WHEN {column} < %s THEN {earlier} ELSE {later} END", [marks[half], *its, *theirs]


class Second(Func):
    """In which second since 1970 an instant is."""

    output_field = BigIntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        whole = "FLOOR(DATE_PART('epoch', %(expressions)s))::bigint"
        return self.as_sql(compiler, connection, template=whole, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template=f"{SINCE_1970} / 1000000", **context)


class Number(Func):
    """An instant as a number: microseconds since 1970."""

    output_field = BigIntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        whole = "(EXTRACT(EPOCH FROM %(expressions)s) * 1000000)::bigint"
        return self.as_sql(compiler, connection, template=whole, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template=SINCE_1970, **context)


class OneOf(Func):
    """Whether a key is one of many: they are one parameter, not each its own."""

    output_field = BooleanField()

    def __init__(self, column: str, keys: Iterable[int]) -> None:
        super().__init__(F(column))
        self.keys = list(keys)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        sql, params = self.as_sql(compiler, connection, template="%(expressions)s = ANY(%%s::bigint[])", **context)
        return sql, [*params, self.keys]

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        one_of = "%(expressions)s IN (SELECT value FROM JSON_EACH(%%s))"
        sql, params = self.as_sql(compiler, connection, template=one_of, **context)
        return sql, [*params, dumps(self.keys)]


def day_of(column: str, span: Span, zone: ZoneInfo) -> Any:
    """On which local day an instant of an interval is: the number of days since 1970."""
    (_begin, ahead), *changes = offsets(span, zone)
    whens = []
    for at, later in changes:
        whens.append(When(**{f"{column}__lt": at}, then=ahead))
        ahead = later
    return (Second(column) + Case(*whens, default=ahead, output_field=IntegerField())) / SECONDS_A_DAY


def begin_of_day(day: int, zone: ZoneInfo) -> int:
    """When such a day begins."""
    return number(begin_of(date.fromordinal(EPOCH.toordinal() + day), zone))


def number(at: datetime) -> int:
    """An instant as `Number` reads it."""
    return (at - EPOCH) // MICROSECOND


def instant(microseconds: int) -> datetime:
    """What such a number stands for."""
    return EPOCH + timedelta(microseconds=microseconds)
