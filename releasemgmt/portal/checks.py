"""A deployment must not hold the demo world: its people sign in without a password."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

from releasemgmt.portal import demo


@register(Tags.database, deploy=True)
def no_demo_in_production(app_configs: Any, databases: Any = None, **_kwargs: Any) -> list[CheckMessage]:
    """`check --deploy --database default` refuses a database with the demo's people in it."""
    if not databases:
        return []
    try:
        found = demo.people().exists()
    except DatabaseError:
        return []
    return [Error("This database holds the demo's people.", id="portal.E001")] if found else []
