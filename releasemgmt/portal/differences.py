"""What changed between two contents that were signed, so that a person can read it: texts line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from hashlib import sha256
from itertools import chain
from typing import Any

from approvals.queries import Subject
from releasemgmt.releases.models import Document, Release
from releasemgmt.workflow.queries import timeline

CONTEXT = 2
LINES_SHOWN = 200


@dataclass(frozen=True)
class Difference:
    """A field that changed; `lines` are (new, gone or same, text) where it is a text."""

    name: str
    old: Any
    new: Any
    lines: Sequence[tuple[str, str]] = ()


def differences(subject: Subject, changes: Mapping[str, Sequence[Any]]) -> list[Difference]:
    """Each changed field of the content; a document, of which the content holds the digest, by its text.

    At most two statements, none where no document changed.
    """
    texts = _texts(subject) if any(name in Document.Kind.values for name in changes) else {}
    return [_difference(name, old, new, texts) for name, (old, new) in changes.items()]


def _difference(name: str, old: Any, new: Any, texts: Mapping[str, str]) -> Difference:
    before, after = (texts.get(str(value), value) for value in (old, new))
    if isinstance(old, dict) or isinstance(new, dict):
        return Difference(name, old, new, list(_entries(old or {}, new or {})))
    if any(isinstance(value, str) and value in texts.values() for value in (before, after)) or _is_text(before, after):
        return Difference(name, old, new, list(_lines(str(before or ""), str(after or "")))[:LINES_SHOWN])
    return Difference(name, old, new)


def _is_text(*values: Any) -> bool:
    return any(isinstance(value, str) and ("\n" in value or len(value) > 80) for value in values)


def _entries(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Members of a mapping, like riding changes by their number, that came, went or changed."""
    for name in sorted({*old, *new}):
        if name not in new:
            yield "gone", name
        elif name not in old:
            yield "new", name
        elif old[name] != new[name]:
            says = "" if str(new[name]).startswith("sha256:") else f": {old[name]} → {new[name]}"
            yield "new", f"{name} changed{says}"


def _lines(before: str, after: str) -> Iterator[tuple[str, str]]:
    old, new = before.splitlines(), after.splitlines()
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT):
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from (("same", line) for line in old[i1:i2])
            else:
                yield from chain((("gone", line) for line in old[i1:i2]), (("new", line) for line in new[j1:j2]))


def _texts(subject: Subject) -> dict[str, str]:
    """Every text that a document of the release has had, by its digest: the stream tells them."""
    if not isinstance(subject, Release):
        return {}
    written = timeline(subject).filter(kind="releases.document.write").values_list("data", flat=True)
    bodies = chain.from_iterable(pair for facts in written for pair in facts["changes"].values())
    return {f"sha256:{sha256(body.encode()).hexdigest()}": body for body in bodies if body}
