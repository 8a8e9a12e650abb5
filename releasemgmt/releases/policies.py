"""Rules of releases as pure functions over values: no ORM, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256


def build_set(digests: Iterable[str]) -> str:
    """One value for a set of builds, so that "exactly these" is one comparison: SHA-256 over the sorted digests."""
    return sha256("\n".join(sorted(digests)).encode()).hexdigest()
