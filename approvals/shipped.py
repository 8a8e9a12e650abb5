"""What every installation starts with: approval routed by risk. A migration writes it."""

from __future__ import annotations

from typing import Any

MANAGER = {"role": "release_manager", "count": 1, "veto": False}

POLICIES: list[dict[str, Any]] = [
    {"key": "low-risk", "name": "Low risk", "conditions": {"risk": ["low"]}, "stages": [MANAGER]},
    {
        "key": "medium-risk",
        "name": "Medium risk",
        "conditions": {"risk": ["medium"]},
        "stages": [MANAGER, {"role": "cab_member", "count": 1, "veto": False}],
    },
    {
        "key": "high-risk",
        "name": "High risk",
        "conditions": {"risk": ["high"]},
        "stages": [
            {"role": "cab_member", "count": 2, "veto": False},
            {"role": "cab_chair", "count": 1, "veto": True},
        ],
    },
]


def insert(apps: Any, _schema_editor: Any = None) -> None:
    """Write the shipped policies where they are not there yet."""
    policies = apps.get_model("approvals", "ApprovalPolicy").objects
    for policy in POLICIES:
        policies.get_or_create(key=policy["key"], version=1, defaults=policy)
