"""Queries that are built once in a process and then run with other values: what hot paths ask at every request.

Building the SQL of a short query takes longer than running it. A function that answers a QuerySet and does nothing with
its arguments but filter by them is called once, with placeholders; from then on its SQL is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from functools import wraps
from typing import Any, Generic, NamedTuple, TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Expression, QuerySet

Row = TypeVar("Row")


class Given(Expression):
    """Stands in a query for a value that is known when it runs."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        return "%s", (self,)


class Statement(NamedTuple):
    """A query with its SQL; those of its parameters that are Given are still to be filled in."""

    rows: QuerySet[Any, Any]
    compiler: Any
    sql: str
    parameters: tuple[Any, ...]


class Prepared(Generic[Row]):
    """What a statement finds with these values; each iteration asks anew."""

    def __init__(self, statement: Statement, parameters: tuple[Any, ...]) -> None:
        self.statement = statement
        self.parameters = parameters

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows())

    def get(self) -> Row:
        """The one row; the model's DoesNotExist where there is none."""
        if (found := self.first()) is None:
            missing: type[ObjectDoesNotExist] = self.statement.rows.model.DoesNotExist
            raise missing
        return found

    def first(self) -> Row | None:
        """The first row, if there is one."""
        return next(iter(self), None)

    def _rows(self) -> QuerySet[Any, Row]:
        """A QuerySet like the one that was built; its query answers with the SQL that is there already."""
        built, sql = self.statement.rows, (self.statement.sql, self.parameters)
        compiler, query = copy(self.statement.compiler), copy(built.query)
        compiler.connection = connections[DEFAULT_DB_ALIAS]
        compiler.as_sql = lambda *_args, **_kwargs: sql
        query.get_compiler = lambda *_args, **_kwargs: compiler  # type: ignore[method-assign]
        rows: Any = type(built)(built.model, query, DEFAULT_DB_ALIAS)
        rows._iterable_class, rows._fields = built._iterable_class, built._fields  # type: ignore[attr-defined]
        return rows  # type: ignore[no-any-return]


def prepared(build: Callable[..., QuerySet[Any, Row]]) -> Callable[..., Prepared[Row]]:
    """The function, its SQL built once for each engine; arguments are values (never None) or tuples of some.

    Tuples are filled up with their last value to 1, 2, 4, 8 … of them, so that few statements do for any length.
    """
    statements: dict[tuple[Any, ...], Statement] = {}

    @wraps(build)
    def ready(*values: Any) -> Prepared[Row]:
        connection = connections[DEFAULT_DB_ALIAS]
        filled = [_filled_up(value) if isinstance(value, tuple) else value for value in values]
        shape = tuple(len(value) if isinstance(value, tuple) else None for value in filled)
        if (connection.vendor, shape) not in statements:
            statements[connection.vendor, shape] = _prepare(build, shape)
        statement = statements[connection.vendor, shape]
        flat = [each for value in filled for each in (value if isinstance(value, tuple) else (value,))]
        adapt = connection.ops.adapt_datetimefield_value
        flat = [adapt(each) if isinstance(each, datetime) else each for each in flat]
        given = tuple(flat[each.place] if isinstance(each, Given) else each for each in statement.parameters)
        return Prepared(statement, given)

    return ready


@contextmanager
def planned_for_its_values() -> Iterator[None]:
    """PostgreSQL plans each statement in here for the values that it comes with.

    Of one that it was asked a few times it keeps a plan for any values: it saves a few tenths of a millisecond, and
    knows neither how much is asked for nor which partial index would do.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    if connection.vendor != "postgresql":
        yield
        return
    server: Any = connection.connection
    threshold, server.prepare_threshold = server.prepare_threshold, None
    try:
        yield
    finally:
        server.prepare_threshold = threshold


def _filled_up(values: tuple[Any, ...]) -> tuple[Any, ...]:
    missing = (1 << (len(values) - 1).bit_length()) - len(values) if values else 0
    return values + values[-1:] * missing


def _prepare(build: Callable[..., QuerySet[Any, Any]], shape: tuple[int | None, ...]) -> Statement:
    place, given = 0, []
    for length in shape:
        placeholders = tuple(Given(place + n) for n in range(1 if length is None else length))
        given.append(placeholders[0] if length is None else placeholders)
        place += len(placeholders)
    rows = build(*given)
    compiler = rows.query.get_compiler(rows.db)
    sql, parameters = compiler.as_sql()
    return Statement(rows, compiler, sql, tuple(parameters))
