"""Reading many rows: a column at a time, and instants as numbers, which costs a tenth of dates row by row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Aggregate, BigIntegerField, DateTimeField, F, Func, JSONField, Value

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
