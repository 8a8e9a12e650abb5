"""What every installation starts with: the release models *normal*, *continuous* and *emergency*, by migrations."""

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

#: For teams that deploy many times a day: approved once, then by itself while it goes well.
CONTINUOUS = {
    "key": "continuous",
    "version": 1,
    "name": "Continuous",
    "suites": [{"suite": "integration", "tier": "test", "gates": "pass_integration"}],
    "documents": [
        {"kind": kind, "origin": "inherited", "gates": "accept"}
        for kind in ("deployment_procedure", "workflow_monitoring", "impact")
    ],
    "sign_off": "pre_approved",
    "review": "after_trouble",
    "exposure": "with_deployment",
    "by_itself": ["build", "pass_integration", "accept", "close"],
}

#: For what can't wait: what is needed to act safely now, the rest with the look back.
EMERGENCY = {
    "key": "emergency",
    "version": 1,
    "name": "Emergency",
    "suites": [{"suite": "smoke", "tier": "test", "gates": "pass_integration"}],
    "documents": [
        {"kind": "deployment_procedure", "origin": "own", "gates": "accept"},
        {"kind": "impact", "origin": "own", "gates": "accept"},
        {"kind": "workflow_monitoring", "origin": "own", "gates": "close"},
        {"kind": "release_notes", "origin": "own", "gates": "close"},
    ],
    "sign_off": "round",
    "review": "always",
    "exposure": "with_deployment",
}


def insert_normal(apps: Any, _schema_editor: Any = None) -> None:
    """Write the model *normal* where it is not there yet."""
    _insert(apps, NORMAL)


def insert(apps: Any, _schema_editor: Any = None) -> None:
    """Write the shipped release models where they are not there yet."""
    for model in (NORMAL, CONTINUOUS, EMERGENCY):
        _insert(apps, model)


def _insert(apps: Any, model: dict[str, Any]) -> None:
    models = apps.get_model("catalog", "ReleaseModel").objects
    models.get_or_create(key=model["key"], version=model["version"], defaults=model)
