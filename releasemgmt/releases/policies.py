"""Rules of releases as pure functions over values: no ORM, no clock."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from hashlib import sha256

NAME = r"(?:(?:v|ver|version|rel|release|{product})[-_/@.]?)?"
NUMBERS = r"(?P<version>\d+(?:\.\d+)+(?:\.post\d+)?|\d{4}-\d\d-\d\d|(?<=[a-z/@._-])\d+)"
REST = r"(?P<build>\+[\w.-]+)?(?P<pre>[-.]?[A-Za-z][\w.+-]*|-[\w.+-]+)?"


class Kind(Enum):
    """What a tag stands for."""

    RELEASE = "release"
    PRE_RELEASE = "pre-release"
    FUTURE = "dated in the future"
    OTHER = "other"


def build_set(digests: Iterable[str]) -> str:
    """One value for a set of builds, so that "exactly these" is one comparison: SHA-256 over the sorted digests."""
    return sha256("\n".join(sorted(digests)).encode()).hexdigest()


def classify(tag: str, *, product: str) -> tuple[Kind, str]:
    """What a tag stands for, and the version that it names, without what is written before the numbers."""
    found = re.fullmatch(NAME.format(product=re.escape(product)) + NUMBERS + REST, tag, re.IGNORECASE)
    if found is None or len(tag) > 100:
        return Kind.OTHER, ""
    if found["pre"]:
        return Kind.PRE_RELEASE, ""
    return Kind.RELEASE, found["version"] + (found["build"] or "")
