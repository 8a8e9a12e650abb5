"""Reading many rows: a column at a time, and instants as numbers, which costs a tenth of dates row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Aggregate, BigIntegerField, DateTimeField, F, Func, IntegerField, JSONField, QuerySet, Value

from releasemgmt.releases.commands.containment import WholeSeconds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Gathered(Aggregate):
    """The values of a column as a list; columns that are gathered in one query are in the same order."""

    output_field = JSONField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        sql, params = self.as_sql(compiler, connection, function="JSON_AGG", **context)
        return f"({sql})::text", params  # text is what the field decodes

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="JSON_GROUP_ARRAY", **context)


def by_columns(rows: QuerySet[Any], *columns: Any) -> Iterator[tuple[Any, ...]]:
    """These columns of the rows, or expressions over them, row by row in no order; instants as numbers."""
    gathered = {f"column_{n}": Gathered(column) for n, column in enumerate(columns)}
    found = rows.order_by().aggregate(**gathered)
    return zip(*(found[name] or () for name in gathered), strict=True)


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


class Microseconds(Func):
    """A span of time in microseconds, the same on both engines."""

    output_field = BigIntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        whole = "(EXTRACT(EPOCH FROM %(expressions)s) * 1000000)::bigint"
        return self.as_sql(compiler, connection, template=whole, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="(%(expressions)s)", **context)


def second_of(column: str) -> WholeSeconds:
    """In which second an instant is."""
    return WholeSeconds(F(column) - Value(EPOCH, DateTimeField()))


def number_of(column: str) -> Microseconds:
    """An instant as a number, from which `instant` makes it again."""
    return Microseconds(F(column) - Value(EPOCH, DateTimeField()))


def instant(microseconds: int) -> datetime:
    """What `number_of` stands for."""
    return EPOCH + timedelta(microseconds=microseconds)
