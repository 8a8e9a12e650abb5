"""What every installation starts with: the release model *normal*. A migration writes it."""

from __future__ import annotations

from typing import Any

NORMAL = {
    "key": "normal",
    "version": 1,
    "name": "Normal",
    "suites": [
        {"suite": "smoke", "tier": "test", "gates": "pass_integration"},
        {"suite": "integration", "tier": "test", "gates": "pass_integration"},
        {"suite": "regression", "tier": "test", "gates": "pass_integration"},
        {"suite": "acceptance", "tier": "staging", "gates": "accept"},
    ],
    "documents": [
        {"kind": kind, "origin": "own"}
        for kind in ("deployment_procedure", "workflow_monitoring", "impact", "release_notes")
    ],
    "sign_off": "round",
    "review": "after_trouble",
    "exposure": "with_deployment",
}


def insert(apps: Any, _schema_editor: Any = None) -> None:
    """Write the shipped release model where it is not there yet."""
    models = apps.get_model("catalog", "ReleaseModel").objects
    models.get_or_create(key=NORMAL["key"], version=NORMAL["version"], defaults=NORMAL)
