"""Rules of pre-approval: when it ends."""

from __future__ import annotations

#: Fewer deployments than these say nothing yet.
TELLING = 5


def over_ceiling(known: int, wrong: int, *, ceiling: int) -> bool:
    """Whether the share of deployments that went wrong is at the ceiling, in percent, or above."""
    return known >= TELLING and wrong * 100 >= ceiling * known
