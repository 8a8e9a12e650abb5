"""Rules of incidents: when they can have been, and which deployment may have ended one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

#: A deployment that was over so long before an incident began is not suspected of it.
SUSPECTED_FOR = timedelta(hours=24)
#: How far the clock of who reports may be ahead of ours.
CLOCK_SKEW = timedelta(minutes=5)
INSTANTS = {"started_at": "It starts", "detected_at": "It is detected", "restored_at": "It ends"}


def incident_errors(facts: Mapping[str, Any], *, now: datetime | None) -> dict[str, str]:
    """What is wrong with an incident's instants: field → reason; without `now` they may lie ahead, as in a history."""
    errors: dict[str, str] = {}
    given = {name: facts[name] for name in INSTANTS if facts.get(name)}
    for name, at in given.items():
        if at < given.get("started_at", at):
            errors[name] = f"{INSTANTS[name]} before it starts."
        elif now and at > now + CLOCK_SKEW:
            errors[name] = f"{INSTANTS[name]} in the future."
    return errors
