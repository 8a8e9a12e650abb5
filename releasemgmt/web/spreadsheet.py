"""Tables for spreadsheets: CSV in which no cell is a formula, asked for by `?format=csv` or the Accept header."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

#: With these a spreadsheet begins to calculate.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def line(values: Sequence[Any]) -> str:
    """One line of a table. A text that looks like a formula is marked as a text; a negative number is a number."""
    out = StringIO()
    csv.writer(out).writerow([_cell(value) for value in values])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str("" if value is None else value)
    return f"'{text}" if text.startswith(FORMULA) else text


class TableRenderer(BaseRenderer):
    """Lines as CSV; a problem stays a document."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> Any:
        if isinstance(data, Mapping):
            return JSONRenderer().render(data)
        return "".join(line(each) for each in data).encode()


class AskedFormat(DefaultContentNegotiation):
    """The `format` of the query goes before the Accept header."""

    def select_renderer(
        self, request: Request, renderers: Iterable[Any], format_suffix: str | None = None
    ) -> tuple[Any, str]:
        renderers = list(renderers)
        name = request.query_params.get("format")
        if name is None:
            chosen: tuple[Any, str] = super().select_renderer(request, renderers, format_suffix)
            return chosen
        for renderer in renderers:
            if renderer.format == name:
                return renderer, renderer.media_type
        names = ", ".join(renderer.format for renderer in renderers)
        raise ValidationError({"format": [f"Choose one of {names}."]})
