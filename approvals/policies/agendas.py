"""The order of an agenda, as a pure function over values."""

from __future__ import annotations

from datetime import UTC, datetime

from approvals.policies.content import RISKS

NEVER = datetime.max.replace(tzinfo=UTC)


def place_on_agenda(risk: str, planned: datetime | None, round: int) -> tuple[int, datetime, int]:
    """By what an agenda is sorted: the highest risk first, then what is planned first, what has no date last."""
    return -RISKS.index(risk), planned or NEVER, round
