"""Rules of the catalog as pure functions over values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

TIERS = ("development", "integration", "test", "staging", "production")
SUITES = ("smoke", "integration", "regression", "acceptance", "performance", "security")
GATED = ("pass_integration", "accept")
DOCUMENTS = ("deployment_procedure", "workflow_monitoring", "impact", "release_notes")


def missing_tiers(suites: Iterable[Mapping[str, str]], tiers: Iterable[str]) -> list[str]:
    """The tiers that a model tests in and a product does not use, lowest first."""
    wanted = {entry["tier"] for entry in suites} - set(tiers)
    return [tier for tier in TIERS if tier in wanted]


def model_errors(suites: Any, documents: Any) -> dict[str, str]:
    """What is wrong with a model's lists, whatever was sent for them: path → reason."""
    lists = {"suites": suites, "documents": documents}
    errors = {name: "Give a list." for name, value in lists.items() if not isinstance(value, list)}
    if errors:
        return errors
    for index, entry in enumerate(suites):
        wanted = {"suite": SUITES, "tier": TIERS, "gates": GATED}
        if not isinstance(entry, Mapping) or set(entry) != set(wanted):
            errors[f"suites.{index}"] = "Give suite, tier and gates."
        elif bad := [name for name, values in wanted.items() if entry[name] not in values]:
            errors[f"suites.{index}"] = f"{bad[0]} is one of {', '.join(wanted[bad[0]])}."
    for index, entry in enumerate(documents):
        if not isinstance(entry, Mapping) or entry.get("kind") not in DOCUMENTS or entry.get("origin") != "own":
            errors[f"documents.{index}"] = f"Give kind (one of {', '.join(DOCUMENTS)}) and origin own."
    return errors
