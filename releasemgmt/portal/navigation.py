"""The side bar: what people open, in the words and the order of the domain."""

from __future__ import annotations

from typing import Any

from django.urls import reverse_lazy


def link(title: str, icon: str, name: str) -> dict[str, Any]:
    """An entry of the side bar: an address by its URL name."""
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{name}")}


NAVIGATION = [
    {
        "items": [
            link("What waits for me", "home", "index"),
            link("Releases", "rocket_launch", "releases_release_changelist"),
            link("Change requests", "edit_note", "approvals_changerequest_changelist"),
            link("Approvals", "how_to_vote", "approvals_approvalround_changelist"),
            link("Known defects", "bug_report", "releases_knowndefect_changelist"),
        ]
    },
    {
        "title": "Deployment",
        "separator": True,
        "items": [
            link("Plans", "event", "deployments_deploymentplan_changelist"),
            link("Deployments", "move_up", "deployments_deployment_changelist"),
            link("What runs where", "grid_view", "deployments_deployment_matrix"),
        ],
    },
    {
        "title": "Catalog",
        "separator": True,
        "items": [
            link("Products", "category", "catalog_product_changelist"),
            link("Environments", "dns", "catalog_environment_changelist"),
            link("Release models", "rule", "catalog_releasemodel_changelist"),
            link("Approval policies", "gavel", "approvals_approvalpolicy_changelist"),
        ],
    },
    {
        "title": "People and trail",
        "separator": True,
        "items": [
            link("Users", "person", "accounts_user_changelist"),
            link("Teams", "group", "accounts_team_changelist"),
            link("Inbox", "inbox", "notifications_delivery_changelist"),
            link("Events", "history", "workflow_event_changelist"),
        ],
    },
]
