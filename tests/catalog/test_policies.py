"""Rules of the catalog, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from releasemgmt.catalog.models import Tier
from releasemgmt.catalog.policies import TIERS, missing_tiers, model_errors
from releasemgmt.catalog.shipped import CONTINUOUS, EMERGENCY, NORMAL

SMOKE = {"suite": "smoke", "tier": "test", "gates": "accept"}


def test_the_tiers_are_those_of_the_model() -> None:
    assert list(TIERS) == Tier.values


@pytest.mark.parametrize(
    ("used", "missing"),
    [
        (["test", "staging", "production"], []),
        (["test", "production"], ["staging"]),
        (["staging"], ["test"]),
        ([], ["test", "staging"]),
    ],
)
def test_the_normal_model_names_the_tiers_that_it_misses(used: list[str], missing: list[str]) -> None:
    suites: Any = NORMAL["suites"]
    assert missing_tiers(suites, used) == missing


@pytest.mark.parametrize("model", [NORMAL, CONTINUOUS, EMERGENCY], ids=lambda model: model["key"])
def test_the_shipped_models_have_no_error(model: Any) -> None:
    lists = {name: model.get(name, []) for name in ("suites", "documents", "by_itself")}
    assert model_errors(**lists) == {}


@pytest.mark.parametrize(
    ("suites", "documents", "wrong"),
    [
        ([SMOKE], [], []),
        ([], [], []),
        (5, [], ["suites"]),
        ("smoke", {}, ["suites", "documents"]),
        (None, None, ["suites", "documents"]),
        ([SMOKE, 5], [], ["suites.1"]),
        ([{"suite": "smoke"}], [], ["suites.0"]),
        ([SMOKE | {"colour": "blue"}], [], ["suites.0"]),
        ([SMOKE | {"tier": "moon"}], [], ["suites.0"]),
        ([SMOKE | {"gates": "deploy"}], [], ["suites.0"]),
        ([SMOKE | {"suite": ["smoke"]}], [], ["suites.0"]),
        ([], [{"kind": "impact", "origin": "own"}], []),
        ([], [{"kind": "poem", "origin": "own"}], ["documents.0"]),
        ([], [{"kind": "impact", "origin": "heaven"}, "impact"], ["documents.0", "documents.1"]),
        ([], [{"kind": "impact", "origin": "inherited", "gates": "close"}], []),
        ([], [{"kind": "impact", "origin": "own", "gates": "build"}], ["documents.0"]),
        ([], [{"kind": "impact", "origin": "own", "colour": "blue"}], ["documents.0"]),
        ([], [{"kind": "impact", "origin": origin} for origin in ("own", "inherited")], ["documents"]),
    ],
)
def test_what_is_wrong_with_a_model_is_named(suites: Any, documents: Any, wrong: list[str]) -> None:
    assert list(model_errors(suites=suites, documents=documents)) == wrong


@pytest.mark.parametrize(
    ("by_itself", "wrong"),
    [
        ([], []),
        (["build", "pass_integration", "accept", "close"], []),
        (["deploy"], ["by_itself"]),
        ([["accept"]], ["by_itself"]),
        ("accept", ["by_itself"]),
        (None, ["by_itself"]),
    ],
)
def test_only_these_transitions_fire_by_themselves(by_itself: Any, wrong: list[str]) -> None:
    assert list(model_errors(by_itself=by_itself)) == wrong
