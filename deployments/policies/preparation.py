"""Rules of preparation: what a list may ask for, what a verification is bound to, and what a backup must precede."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256

#: More nobody reads before a night's work.
MOST_ITEMS = 50
#: What asks for a title; every other kind has a name of its own.
UNTITLED = ("functionality", "compliance", "configuration", "artifacts")


def item_errors(items: Sequence[tuple[str, str]]) -> dict[str, str]:
    """What is wrong with a list of kinds and titles: path → reason."""
    errors = {}
    for index, (kind, title) in enumerate(items):
        if kind not in (*UNTITLED, "other"):
            errors[f"items.{index}.kind"] = f"Name one of {', '.join(UNTITLED)}, other."
        elif kind == "other" and not title:
            errors[f"items.{index}.title"] = "Say what is to be verified."
        elif kind != "other" and title:
            errors[f"items.{index}.title"] = "It has a name of its own; only what is `other` takes a title."
        elif (kind, title) in items[:index]:
            errors[f"items.{index}"] = "It is on the list already."
    if len(items) > MOST_ITEMS:
        errors["items"] = f"Ask for {MOST_ITEMS} things at most."
    return errors


def bound_to(cycle: int, *, brought: Mapping[str, str], running: Mapping[str, str] | None = None) -> str:
    """What a verification of builds is for: the plan's attempt, the digests it brings, and those that run there."""
    lines = [f"cycle {cycle}", *_lines(brought)]
    if running is not None:
        lines += ["beside", *_lines(running)]
    whole = "\n".join(lines)
    return f"sha256:{sha256(whole.encode()).hexdigest()}"


def _lines(digests: Mapping[str, str]) -> Iterable[str]:
    return (f"{component} {digest}" for component, digest in sorted(digests.items()))


def differing(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """The components of which another digest was found than that of the build, in order."""
    return sorted(key for key, digest in expected.items() if found.get(key) != digest)


def come_after(first: Collection[int], depends_on: Mapping[int, Collection[int]]) -> set[int]:
    """The tasks that wait for one of `first`, themselves or through others; `depends_on` knows no cycle."""
    after: set[int] = set()
    while new := {
        task for task, others in depends_on.items() if task not in after and not after.union(first).isdisjoint(others)
    }:
        after |= new
    return after
