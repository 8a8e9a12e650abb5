"""Cursor pagination: a page costs the same at any depth, and nothing is counted."""

from __future__ import annotations

from typing import Any

from rest_framework import pagination
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request


class CursorPagination(pagination.CursorPagination):
    """`results`, `next`, `previous`; `page_size` up to 200."""

    page_size = 25
    max_page_size = 200
    page_size_query_param = "page_size"
    ordering: tuple[str, ...] = ("-created_at", "-id")

    def get_page_size(self, request: Request) -> int | None:
        given = request.query_params.get(self.page_size_query_param)
        if given is None:
            return self.page_size
        if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= self.max_page_size:
            raise ValidationError({"page_size": [f"Choose a number from 1 to {self.max_page_size}."]})
        return int(given)

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        chosen: tuple[str, ...] = getattr(view, "chosen_ordering", lambda: ())()
        return chosen or getattr(view, "ordering", self.ordering)


class TimelinePagination(CursorPagination):
    """A record's events, the newest first."""

    ordering = ("-seq",)

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        return self.ordering
