"""The side bar: what people open, in the words and the order of the domain."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import lazy

MATRIX = "deployments_deployment_matrix"
#: The roles that are offered reports; as texts, for settings import this file before there are models.
REPORTED_TO = {"auditor", "release_manager", "administrator"}


@cache
def address(name: str) -> str:
    """Where a page is; each page shows the addresses of all entries."""
    return reverse(f"admin:{name}")


def link(title: str, icon: str, name: str) -> dict[str, Any]:
    """An entry of the side bar: an address by its URL name, lit on its page and on those below it."""

    def lit(request: HttpRequest) -> bool:
        here, there = request.path, address(name)
        if address(MATRIX) in (here, there):  # it stands below the list of deployments
            return here == there
        return here == there or (name != "index" and here.startswith(there))

    return {"title": title, "icon": icon, "link": lazy(address, str)(name), "active": lit}


def reports(request: HttpRequest) -> bool:
    """Whether somebody answers for a period, or checks it."""
    user: Any = request.user
    return bool(user.is_authenticated and user.roles_anywhere() & REPORTED_TO)


def imports(request: HttpRequest) -> bool:
    """Whether somebody brings history in, or checks it."""
    user: Any = request.user
    return bool(user.is_authenticated and user.roles_anywhere() & {"administrator", "auditor"})


NAVIGATION = [
    {
        "items": [
            link("Home", "home", "index"),
            link("Figures", "show_chart", "figures"),
            link("Releases", "rocket_launch", "releases_release_changelist"),
            link("Changes", "edit_note", "approvals_changerequest_changelist"),
            link("Known defects", "bug_report", "releases_knowndefect_changelist"),
            link("Approvals", "how_to_vote", "approvals_approvalround_changelist"),
            link("Boards", "groups", "approvals_board_changelist"),
            link("Meetings", "calendar_month", "approvals_meeting_changelist"),
            link("Delegations", "swap_horiz", "approvals_delegation_changelist"),
        ]
    },
    {
        "title": "Deployment",
        "separator": True,
        "items": [
            link("Schedule", "calendar_view_month", "schedule"),
            link("Plans", "event", "deployments_deploymentplan_changelist"),
            link("Deployments", "move_up", "deployments_deployment_changelist"),
            link("What runs where", "grid_view", MATRIX),
            link("Incidents", "warning", "deployments_incident_changelist"),
            link("Windows and freezes", "date_range", "deployments_window_changelist"),
        ],
    },
    {
        "title": "Catalog",
        "separator": True,
        "items": [
            link("Products", "category", "catalog_product_changelist"),
            link("Environments", "dns", "catalog_environment_changelist"),
            link("Release models", "rule", "catalog_releasemodel_changelist"),
            link("Change models", "assignment_turned_in", "approvals_changemodel_changelist"),
            link("Webhook endpoints", "webhook", "deployments_webhookendpoint_changelist"),
            link("Approval policies", "gavel", "approvals_approvalpolicy_changelist"),
        ],
    },
    {
        "title": "People and trail",
        "separator": True,
        "items": [
            link("Users", "person", "accounts_user_changelist"),
            link("Teams", "group", "accounts_team_changelist"),
            link("Groups", "lan", "accounts_groupmapping_changelist"),
            link("Second person", "handshake", "accounts_rolerequest_changelist"),
            link("Inbox", "inbox", "notifications_delivery_changelist"),
            link("Events", "history", "workflow_event_changelist"),
            {**link("Quarantine", "rule_folder", "deployments_quarantinedrow_changelist"), "permission": imports},
            {**link("Population report", "format_list_numbered", "population"), "permission": reports},
        ],
    },
]
