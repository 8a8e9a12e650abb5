"""Rules of the catalog as pure functions over values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

TIERS = ("development", "integration", "test", "staging", "production")
SUITES = ("smoke", "integration", "regression", "acceptance", "performance", "security")
GATED = ("pass_integration", "accept")
DOCUMENTS = ("deployment_procedure", "workflow_monitoring", "impact", "release_notes")
ORIGINS = ("own", "inherited")
DOCUMENTS_GATE = ("accept", "close")
#: The transitions of a release that a model may let go by themselves.
BY_ITSELF = ("build", "pass_integration", "accept", "close")


def missing_tiers(suites: Iterable[Mapping[str, str]], tiers: Iterable[str]) -> list[str]:
    """The tiers that a model tests in and a product does not use, lowest first."""
    wanted = {entry["tier"] for entry in suites} - set(tiers)
    return [tier for tier in TIERS if tier in wanted]


def gates_of(document: Mapping[str, str]) -> str:
    """The transition before which a document has to be written."""
    return document.get("gates", "accept")


def model_errors(*, suites: Any = (), documents: Any = (), by_itself: Any = ()) -> dict[str, str]:
    """What is wrong with a model's lists, whatever was sent for them: path → reason."""
    lists = {"suites": suites, "documents": documents, "by_itself": by_itself}
    errors = {name: "Give a list." for name, value in lists.items() if not isinstance(value, list | tuple)}
    if errors:
        return errors
    for index, entry in enumerate(suites):
        errors |= _wrong(f"suites.{index}", entry, {"suite": SUITES, "tier": TIERS, "gates": GATED})
    for index, entry in enumerate(documents):
        whole = {"gates": "accept", **entry} if isinstance(entry, Mapping) else entry
        wanted = {"kind": DOCUMENTS, "origin": ORIGINS, "gates": DOCUMENTS_GATE}
        errors |= _wrong(f"documents.{index}", whole, wanted)
    if strange := [name for name in by_itself if name not in BY_ITSELF]:
        errors["by_itself"] = f"{strange[0]} does not fire by itself; name {', '.join(BY_ITSELF)}."
    kinds = [entry["kind"] for entry in documents] if not errors else []
    if twice := [kind for kind in kinds if kinds.count(kind) > 1]:
        errors["documents"] = f"{twice[0]} is named twice."
    return errors


def _wrong(path: str, entry: Any, wanted: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What is wrong with one entry of a list."""
    if not isinstance(entry, Mapping) or set(entry) != set(wanted):
        *most, last = wanted
        return {path: f"Give {', '.join(most)} and {last}."}
    bad = [name for name, values in wanted.items() if entry[name] not in values]
    return {path: f"{bad[0]} is one of {', '.join(wanted[bad[0]])}."} if bad else {}
