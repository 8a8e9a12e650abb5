"""Windows, freezes, overrides and stops of the shop, made by commands; and all that a refusal leaves as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta
from typing import Any

import pytest

from deployments.commands import approve_override, create_window, request_override
from deployments.models import LineStop, Occurrence, Resumption, Window, WindowOverride
from releasemgmt.accounts.models import User
from releasemgmt.releases.models import Release
from releasemgmt.workflow.errors import Refused
from tests.conftest import NOW
from tests.deployments.world import HOUR, Shop, refused
from tests.factories import someone

TABLES: list[Any] = [Window, Occurrence, WindowOverride, WindowOverride.windows.through, LineStop, Resumption]
#: 2026-03-02, 09:00 UTC, is a Monday.
NIGHTLY: dict[str, Any] = {"rule": "FREQ=DAILY", "start_time": time(22), "duration_minutes": 8 * 60}


def chair(shop: Shop) -> User:
    """The chair of the shop's team."""
    found = User.objects.filter(username="chair").first()
    return found or someone("cab_chair", team=shop.product.team, username="chair")


def window(shop: Shop, kind: str = "allow", *, actor: User | None = None, **fields: Any) -> Window:
    """A window of the shop in production that is on for an hour from now."""
    terms = {"first_on": NOW.date(), "start_time": NOW.time(), "duration_minutes": 60}
    scope = {"product": shop.product, "environment": shop.production}
    given = {"name": "Nights" if kind == "allow" else "Year end", "reason": "Because.", **terms, **scope, **fields}
    return create_window(kind=kind, actor=actor or chair(shop), now=NOW, **given)


def on_from(begin: datetime, hours: float) -> dict[str, Any]:
    """A time once, in UTC."""
    return {"first_on": begin.date(), "start_time": begin.time(), "duration_minutes": int(hours * 60)}


def freeze(shop: Shop, begin: float = 0, hours: float = 1, **fields: Any) -> Window:
    """A freeze that begins so many hours from now."""
    return window(shop, "deny", **{**on_from(NOW + begin * HOUR, hours), **fields})


def override(shop: Shop, release: Release, *windows: Window, **fields: Any) -> WindowOverride:
    """Asked for by the manager, for a day."""
    terms = {"reason": "It has to.", "expires_at": NOW + timedelta(days=1)}
    place = {"release": release, "environment": shop.production, "windows": windows}
    return request_override(**{**place, **terms, "actor": shop.manager, "now": NOW, **fields})


def approved(shop: Shop, release: Release, *windows: Window, **fields: Any) -> WindowOverride:
    return approve_override(override(shop, release, *windows, **fields), actor=chair(shop), now=NOW)


def on(window: Window) -> list[str]:
    """When it is on, as rows say."""
    times = window.occurrences.order_by("starts_at").values_list("starts_at", "ends_at")
    return [f"{begin:%m-%d %H:%M}-{end:%m-%d %H:%M}" for begin, end in times]


def rows() -> list[list[dict[str, Any]]]:
    return [list(table.objects.order_by("pk").values()) for table in TABLES]


@contextmanager
def left_alone(error: type[Refused], *records: Any) -> Iterator[pytest.ExceptionInfo[Any]]:
    """The block is refused; windows, overrides, stops, the records and all streams stay as they were."""
    before = rows()
    with refused(error, *records) as caught:
        yield caught
    assert rows() == before
