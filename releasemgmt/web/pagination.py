"""Cursor pagination: a page costs the same at any depth, nothing is counted, and no row is shown twice or left out."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError as Unreadable
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import F, Q, QuerySet
from rest_framework import pagination
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from releasemgmt.web.parsing import MAX_INTEGER, check_text


@dataclass(frozen=True)
class Column:
    """One field of an ordering."""

    field: Any
    descending: bool

    @classmethod
    def of(cls, queryset: QuerySet[Any], name: str) -> Column:
        return cls(queryset.model._meta.get_field(name.removeprefix("-")), name.startswith("-"))

    def order(self, *, backwards: bool) -> Any:
        """Rows without a value stand at the end, on both engines; a column that has no NULL keeps its index."""
        column = F(self.field.name)
        ends = {"nulls_first" if backwards else "nulls_last": True} if self.field.null else {}
        return column.desc(**ends) if self.descending != backwards else column.asc(**ends)

    def beyond(self, value: Any, *, backwards: bool) -> Q:
        """The rows whose value stands after this one in the direction of reading."""
        name = self.field.name
        if value is None:
            return Q(**{f"{name}__isnull": False}) if backwards else Q(pk__in=[])
        past = Q(**{f"{name}__lt" if self.descending != backwards else f"{name}__gt": value})
        return past | Q(**{f"{name}__isnull": True}) if self.field.null and not backwards else past

    def at(self, value: Any) -> Q:
        """The rows that have just this value."""
        return Q(**({f"{self.field.name}__isnull": True} if value is None else {self.field.name: value}))

    def bound(self, value: Any, *, backwards: bool) -> Q:
        """A range that an index can be entered at; an OR alone would be read from its beginning."""
        if self.field.null:
            return Q()
        return Q(**{f"{self.field.name}__{'lte' if self.descending != backwards else 'gte'}": value})

    def read(self, given: Any) -> Any:
        """A value as a cursor carries it; raises where it is none of this column."""
        if given is None and self.field.null:
            return None
        if isinstance(given, str):
            check_text(given)
        value = self.field.to_python(given)
        if isinstance(value, datetime):
            if value.tzinfo is None:
                raise ValueError("no offset")
            value = value.astimezone(UTC)
        if value is None or (isinstance(value, int) and abs(value) > MAX_INTEGER):
            raise ValueError("no value")
        return value


class CursorPagination(pagination.CursorPagination):
    """`results`, `next`, `previous`; `page_size` up to 200. A cursor holds the values of the row it continues after."""

    page_size = 25
    max_page_size = 200
    page_size_query_param = "page_size"
    ordering: tuple[str, ...] = ("-created_at", "-id")

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        size = self.get_page_size(request)
        self.address = request.build_absolute_uri()
        self.columns = [Column.of(queryset, name) for name in self.get_ordering(request, queryset, view)]
        backwards, values = self._cursor(request)
        rows = queryset.order_by(*(column.order(backwards=backwards) for column in self.columns))
        if values:
            rows = rows.filter(self._after(values, backwards=backwards))
        found = list(rows[: size + 1])
        page, more = found[:size], len(found) > size
        self.page = page[::-1] if backwards else page
        self.has_next, self.has_previous = (True, more) if backwards else (more, bool(values))
        return self.page

    def get_page_size(self, request: Request) -> int:
        given = request.query_params.get(self.page_size_query_param)
        if given is None:
            return self.page_size
        if not given.isascii() or not given.isdigit() or len(given) > 3 or not 1 <= int(given) <= self.max_page_size:
            raise ValidationError({"page_size": [f"Choose a number from 1 to {self.max_page_size}."]})
        return int(given)

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        chosen: tuple[str, ...] = getattr(view, "chosen_ordering", lambda: ())()
        return chosen or getattr(view, "ordering", self.ordering)

    def get_next_link(self) -> str | None:
        return self._link(self.page[-1], "f") if self.has_next and self.page else None

    def get_previous_link(self) -> str | None:
        return self._link(self.page[0], "b") if self.has_previous and self.page else None

    def _link(self, row: Any, direction: str) -> str:
        values = [getattr(row, column.field.attname) for column in self.columns]
        cursor = urlsafe_b64encode(json.dumps([direction, *values], cls=Exact).encode()).decode()
        return replace_query_param(self.address, self.cursor_query_param, cursor)

    def _cursor(self, request: Request) -> tuple[bool, list[Any]]:
        """Whether it reads backwards, and the values it continues after; nothing on the first page."""
        given = request.query_params.get(self.cursor_query_param)
        if given is None:
            return False, []
        try:
            direction, *values = json.loads(urlsafe_b64decode(given.encode()))
            read = [column.read(value) for column, value in zip(self.columns, values, strict=True)]
        except (ValueError, TypeError, OverflowError, RecursionError, Unreadable, ParseError) as error:
            raise ValidationError({"cursor": ["Take a cursor from `next` or `previous` of this list."]}) from error
        return direction == "b", read

    def _after(self, values: list[Any], *, backwards: bool) -> Q:
        """Beyond the first value, or at it and beyond the second, and so on."""
        condition = Q(pk__in=[])
        for column, value in reversed(list(zip(self.columns, values, strict=True))):
            condition = column.beyond(value, backwards=backwards) | (column.at(value) & condition)
        return self.columns[0].bound(values[0], backwards=backwards) & condition


class Exact(DjangoJSONEncoder):
    """Instants with their microseconds: a cursor that rounds would repeat a row."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime) else super().default(o)


class TimelinePagination(CursorPagination):
    """A record's events, the newest first."""

    ordering = ("-seq",)

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        return self.ordering
