"""Rows that keep every rule of the database, made up from the columns alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from django.db.models import Field

from tests.conftest import NOW

LATER = NOW + timedelta(hours=1)

#: Columns of a row that keeps every rule, where neither the field's default nor a value of its type does.
SOUND: Mapping[str, Mapping[str, Any]] = {
    "deployments_deployment": {
        "finished_at": NOW,
        "status": "succeeded",
        "plan_id": 1,
        "origin": "engine",
        "external_id": "",
    },
    "deployments_incident": {"kind": "down", "environment_id": 1, "reported_by_id": 1, "external_id": ""},
    "deployments_incidentrevision": {"kind": "down"},
    "deployments_window": {"environment_id": None, "tier": "production"},
    "deployments_occurrence": {"ends_at": LATER},
    "deployments_windowoverride": {"uses": 1, "used": 0},
    "deployments_preparationitem": {"kind": "other", "title": "x"},
    "deployments_linestop": {"product_id": 1, "environment_id": 1},
    "deployments_quarantinedrow": {"outcome": "", "repaired_row": "", "settled_because": ""},
    "deployments_deploymenttask": {"assigned_user_id": None, "assigned_team_id": None, "state": "pending"},
    "deployments_webhookcall": {"state": "pending", "next_attempt_at": NOW},
    "approvals_changerequest": {"type": "normal"},
    "approvals_approvalround": {"release_id": 1, "state": "open"},
    "approvals_vote": {"decision": "approve"},
    "approvals_changeconflict": {"change_id": 1, "other_id": 2},
    "approvals_meeting": {"starts_at": LATER, "ends_at": LATER + timedelta(hours=1), "cut_off_at": NOW},
    "approvals_agendaitem": {"decision": ""},
    "approvals_delegation": {"delegator_id": 1, "delegate_id": 2, "ends_at": LATER},
    "approvals_approvalpolicy": {"bootstrap": True},
    "accounts_rolerequest": {"bootstrap": True},
    "accounts_groupmapping": {"bootstrap": True},
    "accounts_user": {"kind": "human"},
    "releases_build": {"status": "succeeded", "digest": "sha256:1"},
    "releases_knowndefect": {"opened_at": NOW},
    "releases_defectlink": {"disposition": "deferred"},
    "notifications_delivery": {"state": "pending", "next_attempt_at": NOW},
}
#: A value for a column without a default.
BY_TYPE: Mapping[str, Any] = {
    "DateTimeField": NOW,
    "DateField": date(2026, 3, 2),
    "TimeField": NOW.time(),
    "JSONField": {},
    "UUIDField": "00000000-0000-0000-0000-000000000001",
    "BinaryField": b"x",
    "BooleanField": False,
    "CharField": "x",
    "TextField": "x",
    "SlugField": "x",
    "EmailField": "x@example.org",
    "URLField": "https://example.org",
}


def value(field: Field[Any, Any]) -> Any:
    """A default, nothing where that is allowed, or some value of the type."""
    if field.has_default() and field.get_default() not in ("", None):
        return field.get_default()
    return None if field.null else BY_TYPE.get(field.get_internal_type(), 1)
