"""Fixtures of approvals: a world, and the gates that approvals themselves put up."""

from __future__ import annotations

from typing import Any

import pytest

from tests.approvals.world import World


@pytest.fixture(autouse=True)
def gates(settings: Any) -> None:
    """Only this app's gates, so that tests and documents of releases are not in the way; and no facts from above."""
    mine = {
        key: [path for path in paths if path.startswith("approvals.")] for key, paths in settings.WORKFLOW_GATES.items()
    }
    settings.WORKFLOW_GATES = mine
    settings.RISK_FACTS = []


@pytest.fixture
def world(db: Any) -> World:
    return World()
