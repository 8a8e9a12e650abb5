"""Bodies as strangers send them: JSON that means two things, or breaks a later reader, is refused here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from releasemgmt.web.errors import TooLarge

MAX_DEPTH = 20
MAX_INTEGER = 2**63 - 1


class StrictJSONParser(BaseParser):
    """JSON without duplicate keys, NUL, lone surrogates, NaN, huge integers or more than 20 levels; up to 1 MiB."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise TooLarge(f"The body is larger than {limit // 1024} KiB.")
        try:
            body = json.loads(
                raw.decode("utf-8"),
                object_pairs_hook=_unique,
                parse_constant=_no_constant,
                parse_int=_bounded,
                parse_float=_finite,
            )
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            raise ParseError(f"This is not the JSON we read: {error}") from error
        _check(body, 1)
        return body


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) != len(pairs):
        raise ValueError("a key stands twice in one object.")
    return body


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON.")


def _bounded(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) > MAX_INTEGER:
        raise ValueError("an integer is too large.")
    return int(digits)


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError("a number is too large.")
    return number


def _check(value: Any, depth: int) -> None:
    """`depth` is that of the value itself, where it is an object or a list."""
    if depth > MAX_DEPTH and isinstance(value, dict | list):
        raise ParseError(f"The JSON is nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, dict):
        for key, item in value.items():
            check_text(key)
            _check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, str):
        check_text(value)


def check_text(text: str) -> None:
    """Refuse what no database column takes."""
    if "\x00" in text:
        raise ParseError("A text holds the character NUL.")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ParseError("A text holds half of a surrogate pair.")
