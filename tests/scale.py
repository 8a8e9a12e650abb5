"""How far the proofs go: a short form with the other tests, a long one by `make faults` (docs/promises.md)."""

from __future__ import annotations

import os

LONG = os.environ.get("PROOFS") == "long"


def scaled(short: int, long: int) -> int:
    """That many times: now, or when there is time."""
    return long if LONG else short
