"""What the database itself refuses, whoever writes: each constraint of each table, broken by plain SQL.

Foreign keys are checked at the end of a transaction, which these never reach; so a row needs no other rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.models import CheckConstraint, Model, UniqueConstraint

from releasemgmt.accounts.models import RoleAssignment, User
from tests.conftest import NOW
from tests.workflow.rows import SOUND, value

pytestmark = pytest.mark.django_db

OURS = ("approvals", "deployments", "releasemgmt")
MODELS = [model for model in apps.get_models() if model.__module__.split(".")[0] in OURS]
BY_NAME: dict[str, tuple[type[Model], Any]] = {
    constraint.name: (model, constraint) for model in MODELS for constraint in model._meta.constraints
}
EARLIER, LATER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)

PROPOSED = {"bootstrap": False, "proposed_by_id": 1, "proposed_at": NOW, "state": "accepted", "decided_at": NOW}
SAME_PERSON = {**PROPOSED, "decided_by_id": 1}
NOBODY = {**PROPOSED, "decided_by_id": None}
#: What breaks each check.
BREAKS: Mapping[str, Mapping[str, Any]] = {
    "plan_is_not_too_late_before_it_begins": {"planned_start": LATER, "latest_start": NOW},
    "deployment_finished_iff_not_running": {"status": "running", "finished_at": NOW},
    "deployment_starts_before_it_ends": {"started_at": LATER, "finished_at": NOW},
    "deployment_has_a_plan_or_a_reporter": {"plan_id": None},
    "only_what_ran_is_removed": {"succeeded_at": None, "removed_at": NOW},
    "only_the_unauthorised_is_put_on_record": {"change_id": 1, "unauthorised": False},
    "window_of_environment_or_tier": {"environment_id": 1, "tier": "production"},
    "window_lasts_some_minutes": {"duration_minutes": 0},
    "window_says_why": {"reason": ""},
    "occurrence_starts_before_it_ends": {"ends_at": NOW},
    "observation_begins_before_it_ends": {"first_seen_at": LATER, "last_seen_at": NOW},
    "incident_starts_before_it_ends": {"restored_at": EARLIER},
    "incident_starts_before_it_is_seen": {"detected_at": EARLIER},
    "incident_cause_is_confirmed": {"caused_by_id": 1},
    "incident_fix_is_confirmed": {"fixed_by_id": 1},
    "only_an_imported_incident_is_planned_or_nowhere": {"environment_id": None},
    "incident_is_imported_or_reported": {"reported_by_id": None},
    "incidentrevision_starts_before_it_ends": {"restored_at": EARLIER},
    "incidentrevision_starts_before_it_is_seen": {"detected_at": EARLIER},
    "incidentrevision_cause_is_confirmed": {"caused_by_id": 1},
    "incidentrevision_fix_is_confirmed": {"fixed_by_id": 1},
    "incident_is_corrected_after_it_is_recorded": {"superseded_at": EARLIER},
    "override_used_so_often_at_most": {"used": 2, "uses": 1},
    "override_is_decided_by_somebody": {"state": "approved", "decided_by_id": None, "decided_at": NOW},
    "override_by_another_person": {
        "state": "approved",
        "decided_at": NOW,
        "decided_by_id": 1,
        "requested_by_id": 1,
    },
    "override_says_why": {"reason": ""},
    "line_stop_has_a_scope": {"product_id": None, "environment_id": None},
    "line_stop_says_why": {"reason": ""},
    "quarantined_row_is_settled_by_somebody": {"outcome": "repaired", "repaired_row": "x", "settled_at": NOW},
    "quarantined_row_says_what_became_of_it": {"outcome": "dismissed", "settled_at": NOW, "settled_by_id": 1},
    "task_has_one_assignee": {"assigned_user_id": 1, "assigned_team_id": 1},
    "preparation_item_of_another_kind_has_a_title": {"kind": "other", "title": ""},
    "verification_has_evidence": {"evidence": ""},
    "functionality_is_verified_by_tests": {"kind": "functionality"},
    "task_failed_or_skipped_says_why": {"state": "failed", "reason": ""},
    "task_has_an_endpoint_iff_by_webhook": {"kind": "webhook", "endpoint_id": None},
    "endpoint_has_a_secret": {"sealed_secret": ""},
    "endpoint_has_a_time_limit": {"time_limit_minutes": 0},
    "call_is_sent_again_iff_pending": {"next_attempt_at": None},
    "accepted_call_has_a_time_limit": {"state": "accepted", "next_attempt_at": None, "accepted_at": NOW},
    "call_ended_iff_not_live": {"ended_at": NOW},
    "only_a_lookup_that_ended_verifies": {"ended_at": None, "verification_id": 1},
    "change_starts_before_it_ends": {"planned_start": NOW, "planned_end": NOW},
    "outage_has_a_length_if_expected": {"outage_minutes": 5, "outage_expected": False},
    "standard_changes_have_models": {"model_id": 1, "type": "normal"},
    "conflict_in_one_order": {"change_id": 2, "other_id": 1},
    "round_has_one_subject": {"change_id": 1, "release_id": 1},
    "round_is_decided_at_a_time": {"state": "approved", "decided_at": None},
    "a_rejection_says_why": {"decision": "reject", "comment": ""},
    "a_vote_in_place_of_another": {"voter_id": 1, "on_behalf_of_id": 1},
    "condition_says_what": {"text": ""},
    "condition_is_met_by_somebody": {"met_at": NOW, "met_by_id": None},
    "board_meets_for_some_minutes": {"duration_minutes": 1441},
    "board_closes_its_agenda_before": {"cut_off_minutes": 0},
    "meeting_starts_before_it_ends": {"ends_at": LATER},
    "agenda_closes_before_the_meeting": {"cut_off_at": LATER},
    "meeting_is_settled_by_somebody": {"state": "held", "settled_at": NOW, "settled_by_id": None},
    "agenda_item_is_decided_by_somebody": {"decision": "approved", "decided_at": NOW, "decided_by_id": None},
    "delegation_to_another": {"delegate_id": 1},
    "delegation_starts_before_it_ends": {"ends_at": EARLIER},
    "approvals_approvalpolicy_decided_by_somebody": NOBODY,
    "approvals_approvalpolicy_second_person": SAME_PERSON,
    "accounts_rolerequest_decided_by_somebody": NOBODY,
    "accounts_rolerequest_second_person": SAME_PERSON,
    "accounts_groupmapping_decided_by_somebody": NOBODY,
    "accounts_groupmapping_second_person": SAME_PERSON,
    "build_succeeded_iff_it_has_a_digest": {"status": "failed", "digest": "sha256:1"},
    "commit_released_at_a_time": {"released_at": NOW},
    "owned_since_before_until": {"owned_since": LATER, "owned_until": NOW},
    "defect_opened_at_a_time": {"opened_at": None},
    "release_on_hold_has_a_reason": {"on_hold": True, "hold_reason": ""},
    "release_starts_before_it_ends": {"planned_start": NOW, "planned_end": NOW},
    "accepted_defect_says_why_and_until_when": {"disposition": "accepted", "reason": ""},
    "exposure_is_a_percentage": {"percent": 101},
    "test_run_starts_before_end": {"started_at": LATER, "finished_at": NOW},
    "sent_at_iff_sent": {"state": "sent", "sent_at": None, "next_attempt_at": None},
    "next_attempt_iff_pending": {"next_attempt_at": None},
    "only_inbox_is_read": {"channel": "email", "read_at": NOW},
    "a_pre_approval_ends": {"pre_approval_days": 367},
    "a_soak_ends": {"soak_minutes": 43_201},
    "fail_rate_ceiling_in_percent": {"fail_rate_ceiling": 0},
    "component_has_a_key": {"key": ""},
}
#: Of what may be there once: what both rows have, and what only the second has.
TWICE: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "one_running_deployment_in_an_environment": ({"status": "running", "finished_at": None}, {}),
    "external_id_once_in_a_product": ({"external_id": "ci-1"}, {}),
    "incident_imported_once": ({"external_id": "1"}, {}),
    "product_stopped_once": ({"environment_id": None}, {}),
    "environment_stopped_once": ({"product_id": None}, {}),
    "one_open_round_a_change": ({"release_id": None, "change_id": 1}, {}),
    "one_open_round_a_model": ({"release_id": None, "model_id": 1}, {}),
    "one_open_round_a_change_model": ({"release_id": None, "change_model_id": 1}, {}),
    "one_live_vote_a_person_a_round": ({"voter_id": 1}, {"on_behalf_of_id": 9}),
    "one_live_vote_a_seat": ({}, {"voter_id": 2, "on_behalf_of_id": 1}),
    "build_once": ({}, {"digest": "sha256:2"}),
    "build_digest_once": ({}, {"artifact_uri": "another"}),
    "round_once_on_an_agenda": ({}, {"position": 2}),
    "agenda_item_has_its_place": ({}, {"round_id": 2}),
    "preparation_item_has_its_place": ({}, {"title": "another"}),
    "preparation_item_once": ({}, {"position": 2}),
    "global_role_once": ({"team_id": None}, {}),
    "role_asked_for_once": ({"state": "proposed", "team_id": 1}, {}),
    "global_role_asked_for_once": ({"state": "proposed", "team_id": None}, {}),
    "group_mapped_globally_once": ({"team_id": None}, {}),
    "one_system_user": ({"kind": "system"}, {"username": "another"}),
    "one_lookup_at_a_time": ({"ended_at": None}, {}),
    "one_call_a_turn": ({}, {"message_id": "another"}),
    "role_once_in_a_team": ({"team_id": 1}, {}),
    "group_mapped_once": ({"team_id": 1}, {}),
}


def insert(model: type[Model], **columns: Any) -> None:
    """A row with these columns, the other ones sound."""
    fields = {str(field.column): field for field in model._meta.local_concrete_fields if not field.primary_key}
    row = {column: value(field) for column, field in fields.items()}
    row |= {**SOUND.get(model._meta.db_table, {}), **columns}
    prepared = [fields[column].get_db_prep_save(each, connection) for column, each in row.items()]
    quote = connection.ops.quote_name
    names, marks = ", ".join(map(quote, row)), ", ".join(["%s"] * len(row))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES ({marks})", prepared)


def says(error: pytest.ExceptionInfo[IntegrityError], model: type[Model], constraint: Any) -> bool:
    """Whether it was this constraint that refused; SQLite names the columns of what may be there once."""
    text = str(error.value)
    fields: Any = [model._meta.get_field(name) for name in getattr(constraint, "fields", ())]
    columns = [f"{model._meta.db_table}.{field.column}" for field in fields]
    return constraint.name in text or (bool(columns) and text.endswith(": " + ", ".join(columns)))


@pytest.fixture(autouse=True)
def undone(db: None) -> Iterator[None]:
    """What migrations wrote is out of the way, and rows that refer to nothing are gone before anybody looks."""
    with transaction.atomic():
        RoleAssignment.objects.all().delete()
        User.objects.filter(kind="system").update(kind="service")
        yield
        transaction.set_rollback(True)


def named(kind: type) -> list[str]:
    return [name for name, (_model, constraint) in BY_NAME.items() if isinstance(constraint, kind)]


def test_every_check_has_its_violation() -> None:
    assert sorted(BREAKS) == sorted(named(CheckConstraint))
    assert set(TWICE) <= set(named(UniqueConstraint))


@pytest.mark.parametrize("name", named(CheckConstraint))
def test_a_broken_rule_is_refused(name: str) -> None:
    model, constraint = BY_NAME[name]
    insert(model)
    with pytest.raises(IntegrityError) as refused:
        insert(model, **BREAKS[name])
    assert says(refused, model, constraint)


@pytest.mark.parametrize("name", named(UniqueConstraint))
def test_what_is_there_once_is_refused_a_second_time(name: str) -> None:
    model, constraint = BY_NAME[name]
    both, second = TWICE.get(name, ({}, {}))
    insert(model, **both)
    with pytest.raises(IntegrityError) as refused:
        insert(model, **both, **second)
    assert says(refused, model, constraint)
