"""The shop, and the gates: those of deployments stand, the ways to an accepted release are open."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deployments.world import Shop


@pytest.fixture
def shop(db: None, settings: Any) -> Shop:
    gates = settings.WORKFLOW_GATES
    settings.WORKFLOW_GATES = {
        key: [path for path in paths if path.startswith("deployments.") and not path.endswith("sign_off_holds")]
        for key, paths in gates.items()
    }
    settings.SIGN_OFFS = f"{__name__}.no_votes"
    return Shop()


@pytest.fixture
def crowded(shop: Shop, settings: Any) -> Shop:
    """The shop, whose plans may be scheduled for the same time: the lock of the environment decides."""
    let_plans_overlap(settings)
    return shop


def let_plans_overlap(settings: Any) -> None:
    settings.WORKFLOW_GATES = {
        key: [path for path in paths if not path.endswith("no_conflict")]
        for key, paths in settings.WORKFLOW_GATES.items()
    }


def no_votes(record: Any) -> list[dict[str, Any]]:
    """Nobody has signed: edits of a release void nothing."""
    return []
