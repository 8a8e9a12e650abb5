"""Who may open and send which page: one entry for each address outside of the API. What is not here fails the walk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tests.access.declared import (
    ADMINISTRATE,
    ALL,
    CHAIR,
    EDIT,
    MANAGE,
    MEMBERS,
    NOBODY,
    PLAN,
    STOP,
    TALK,
    answers,
    recipe,
)
from tests.access.world import Side

Fields = Callable[[Side], Mapping[str, Any]]
EVERYBODY = ALL | {""}
HOOK = {"url": "https://new.test/hook", "time_limit_minutes": 9}


@dataclass(frozen=True)
class Page:
    """An address: to whom it shows something, who may send it what, and on what record it is."""

    #: Whom a GET shows something, of those who see the record; nobody where only POST is known.
    shown: Collection[str] = frozenset(EVERYBODY)
    #: Who may send it, None where it is only read; and the fields that they send.
    may: Collection[str] | None = None
    fields: Fields = lambda _side: {}
    #: Roles of those of ours whom the record names: they may too.
    named: Collection[str] = ()
    #: Whether it is about a record of ours: others are told that it is not there.
    is_ours: bool = True
    #: Whether a role in our team counts on it; where not, only one that is held everywhere.
    of_a_team: bool = True
    #: Whether a role in any team counts on it.
    anywhere: bool = False
    #: What those who may get as an answer to what they send: done, or the refusal of something that nobody could do.
    ok: str = "done"


def listed() -> Page:
    """Shown to everybody, with what they see."""
    return Page(is_ours=False)


def add(may: Collection[str], fields: Fields, **options: Any) -> Page:
    """A form for a new record: shown to whoever holds such a role somewhere."""
    return Page(shown=may, may=may, fields=fields, is_ours=False, **options)


def form(may: Collection[str], fields: Fields, **options: Any) -> Page:
    """A form that only those who may send it are shown."""
    return Page(**{"shown": may, "may": may, "fields": fields, **options})


def open_form(may: Collection[str], fields: Fields = lambda _: {}, **options: Any) -> Page:
    """A form that everybody who sees the record is shown."""
    return Page(may=may, fields=fields, **options)


def button(may: Collection[str], fields: Fields = lambda _: {}, **options: Any) -> Page:
    """An address that takes POST only."""
    return Page(shown=NOBODY, may=may, fields=fields, **options)


def named(_side: Side) -> dict[str, Any]:
    return {"name": "Renamed", "time_zone": "UTC"}


def new_release(side: Side) -> dict[str, Any]:
    return {"product": side.product.pk, "version": "77", "type": "minor", "database_change": "none"}


def edited_release(side: Side) -> dict[str, Any]:
    facts = {"title": "Renamed", "type": "minor", "risk": "low", "database_change": "none", "void_signoffs": "on"}
    return {**facts, "components": [side.component.pk]}


def edited_product(side: Side) -> dict[str, Any]:
    return {**named(side), "soak_minutes": 0, "environments": [each.pk for each in side.product.environments.all()]}


def same_builds(side: Side) -> dict[str, Any]:
    return {f"component_{side.component.pk}": side.release.builds.get().pk}


def new_defect(side: Side) -> dict[str, Any]:
    return {"product": side.product.pk, "title": "New", "severity": "minor"}


def edited_defect(_side: Side) -> dict[str, Any]:
    return {"title": "Renamed", "severity": "minor", "void_signoffs": "on"}


def new_plan(side: Side) -> dict[str, Any]:
    return {"release": side.release.pk, "environment": side.production.pk, **edited_plan(side)}


def edited_plan(_side: Side) -> dict[str, Any]:
    times = {"planned_start": "2030-03-01T10:00", "latest_start": "2030-03-01T11:00"}
    return {**times, "tasks": "Swap it", "backout_tasks": "Swap it back"}


def new_model(_side: Side) -> dict[str, Any]:
    rules = {"sign_off": "round", "pre_approval_days": 90, "fail_rate_ceiling": 15, "review": "never"}
    return {"key": "new", "name": "New", "exposure": "separate", **rules}


def revised_policy(_side: Side) -> dict[str, Any]:
    stage = {"step": 1, "amount": 1, "unit": "count", "who": "role:release_manager"}
    rows = {f"stage-0-{name}": value for name, value in stage.items()}
    return {"name": "New", "subject": "any", "rows": 1, **rows}


def new_policy(side: Side) -> dict[str, Any]:
    return {"key": "new", **revised_policy(side)}


def new_environment(_side: Side) -> dict[str, Any]:
    return {"key": "new", **edited_environment(_side)}


def edited_environment(_side: Side) -> dict[str, Any]:
    return {"name": "New", "tier": "test", "rank": 7, "time_zone": "UTC"}


def edited_board(side: Side) -> dict[str, Any]:
    numbers = {"duration_minutes": 60, "cut_off_minutes": 60}
    return {"name": "New", "chair": side.people["cab_chair"].pk, "start_time": "10:00", "time_zone": "UTC", **numbers}


def new_board(side: Side) -> dict[str, Any]:
    return {"key": "new", "kind": "normal", "team": side.team.pk, **edited_board(side)}


def edited_window(side: Side) -> dict[str, Any]:
    terms = {"first_on": "2190-01-01", "start_time": "10:00", "duration_minutes": 60, "time_zone": "UTC"}
    return {"name": "New", "reason": "So.", **terms, "owner": side.people["cab_chair"].pk}


def new_freeze(side: Side) -> dict[str, Any]:
    return {"kind": "deny", "product": side.product.pk, **edited_window(side)}


def edited_incident(side: Side) -> dict[str, Any]:
    facts = {"title": "New", "kind": "down", "severity": "minor", "environment": side.production.pk}
    return {**facts, "started_at": "2026-03-01T10:00"}


def new_incident(side: Side) -> dict[str, Any]:
    return {"product": side.product.pk, **edited_incident(side)}


def a_vote(side: Side) -> dict[str, Any]:
    return {"decision": "abstain", "digest": side.round.digest, "comment": "Hm."}


COMMENT = button(TALK, lambda _: {"body": "Hello."})
OPEN_COMMENT = button(TALK, COMMENT.fields, is_ours=False, anywhere=True)

#: After `/admin/`.
PAGES: dict[str, Page] = {
    **dict.fromkeys(("", "<app_label>/", "search/", "schedule/", "figures/", "figures/<figure>/", "jsi18n/"), listed()),
    **dict.fromkeys(("population/", "population/table.csv"), listed()),
    "accounts/team/": listed(),
    "accounts/team/add/": add(ADMINISTRATE, lambda _: {"key": "new", "name": "New"}, of_a_team=False),
    "accounts/team/<object_id>/change/": Page(),
    "accounts/team/<pk>/change/edit/": form(ADMINISTRATE, named),
    "accounts/team/<pk>/change/comment/": COMMENT,
    "accounts/user/": listed(),
    "accounts/user/add/": add(
        ADMINISTRATE, lambda _: {"username": "new", "kind": "human", "time_zone": "UTC"}, of_a_team=False
    ),
    "accounts/user/<object_id>/change/": Page(),
    "accounts/user/<pk>/change/edit/": form(ADMINISTRATE, named, of_a_team=False),
    "accounts/user/<pk>/change/comment/": COMMENT,
    "accounts/user/<pk>/change/roles/": open_form(
        ADMINISTRATE, lambda side: {"role": "cab_member", "team": side.team.pk}, of_a_team=False
    ),
    "accounts/user/<pk>/change/roles/<role>/revoke/": button(ADMINISTRATE, of_a_team=False),
    # A person makes their own.
    "accounts/user/<pk>/change/tokens/": open_form(
        ADMINISTRATE, lambda _: {"name": "new", "scopes": ["write"], "days": 3}, of_a_team=False, ok="400"
    ),
    "accounts/user/<pk>/change/tokens/<token>/revoke/": button(ADMINISTRATE, of_a_team=False),
    "accounts/user/<pk>/change/password/": open_form(
        ADMINISTRATE, lambda _: {"password": "Kraehenfuss-77-Birnbaum"}, of_a_team=False
    ),
    "accounts/user/<pk>/change/deactivate/": open_form(ADMINISTRATE, of_a_team=False),
    "accounts/user/<pk>/change/reactivate/": button(ADMINISTRATE, of_a_team=False, ok="shown"),
    "accounts/user/<pk>/change/unlink/": button(ADMINISTRATE, of_a_team=False, ok="shown"),  # they are not linked
    "accounts/user/<pk>/change/second-factor/": button(ADMINISTRATE, of_a_team=False),
    "accounts/rolerequest/": listed(),
    "accounts/groupmapping/": listed(),
    "accounts/groupmapping/add/": add(ADMINISTRATE, lambda _: {"group": "new", "role": "deployer"}, of_a_team=False),
    "accounts/groupmapping/<object_id>/change/": Page(),
    "accounts/groupmapping/<pk>/change/answer/<answer>/": button(ADMINISTRATE, of_a_team=False),
    "accounts/groupmapping/<pk>/change/comment/": COMMENT,
    "approvals/approvalpolicy/": listed(),
    "approvals/approvalpolicy/add/": add(ADMINISTRATE, new_policy, of_a_team=False),
    "approvals/approvalpolicy/<object_id>/change/": listed(),
    "approvals/approvalpolicy/<pk>/change/revise/": form(ADMINISTRATE, revised_policy, is_ours=False, of_a_team=False),
    # It was agreed to already.
    "approvals/approvalpolicy/<pk>/change/answer/<answer>/": button(
        ADMINISTRATE, is_ours=False, of_a_team=False, ok="shown"
    ),
    "approvals/approvalpolicy/<pk>/change/decline/": form(
        ADMINISTRATE, lambda _: {"reason": "Because."}, is_ours=False, of_a_team=False, ok="400"
    ),
    "approvals/approvalpolicy/<pk>/change/comment/": OPEN_COMMENT,
    "approvals/approvalround/": listed(),
    "approvals/approvalround/<object_id>/change/": Page(),
    "approvals/approvalround/<pk>/vote/": open_form(MANAGE, a_vote),
    # They have no vote.
    "approvals/approvalround/<pk>/revoke/": button(EVERYBODY, ok="shown"),
    "approvals/approvalround/<pk>/conditions/<condition>/": button(EDIT, lambda _: {"evidence": "Seen."}),
    "approvals/board/": listed(),
    "approvals/board/add/": add(CHAIR, new_board),
    "approvals/board/<object_id>/change/": Page(),
    "approvals/board/<pk>/change/edit/": form(CHAIR, edited_board),
    "approvals/board/<pk>/change/comment/": COMMENT,
    "approvals/board/<pk>/change/call/": form(CHAIR, lambda _: {"starts_at": "2199-03-01T10:00"}),
    "approvals/delegation/": listed(),
    "approvals/meeting/": listed(),
    "approvals/meeting/<object_id>/change/": Page(),
    "approvals/meeting/<pk>/change/item/<round>/": open_form(
        CHAIR, lambda _: {"notes": "New.", "decision": "deferred"}
    ),
    "approvals/meeting/<pk>/change/item/<round>/vote/": button(MANAGE, a_vote),
    "approvals/meeting/<pk>/change/notes/": form(CHAIR, lambda _: {"notes": "New."}),
    "approvals/meeting/<pk>/change/minutes.md": Page(),
    "approvals/meeting/<pk>/change/cancel/": form(CHAIR, lambda _: {"reason": "Because."}),
    # It is still ahead.
    "approvals/meeting/<pk>/change/hold/": button(CHAIR, ok="shown"),
    "approvals/changerequest/": listed(),
    "approvals/changerequest/add/": add(
        EDIT, lambda side: {"product": side.product.pk, "title": "New", "type": "normal"}
    ),
    "approvals/changerequest/<object_id>/change/": Page(),
    "approvals/changerequest/<pk>/change/edit/": form(
        MANAGE, lambda _: {"title": "Renamed", "void_signoffs": "on"}, named=["contributor"]
    ),
    "approvals/changerequest/<pk>/change/comment/": COMMENT,
    "approvals/changerequest/<pk>/change/risk/": form(
        MANAGE, lambda side: {**answers(side)["answers"], "void_signoffs": "on"}, named=["contributor"]
    ),
    # There is one that is open and current, here and with the model below.
    "approvals/changerequest/<pk>/change/round/": button(MANAGE, ok="shown"),
    "approvals/changemodel/": listed(),
    "approvals/changemodel/add/": add(
        ADMINISTRATE,
        lambda side: {**recipe(side), "product": side.product.pk, "pre_approval_days": 9, "success_floor": 9},
    ),
    "approvals/changemodel/<object_id>/change/": Page(),
    "approvals/changemodel/<pk>/change/comment/": COMMENT,
    "approvals/changemodel/<pk>/change/round/": button({"release_manager", "administrator"}, ok="shown"),
    "catalog/environment/": listed(),
    "catalog/environment/add/": add(ADMINISTRATE, new_environment, of_a_team=False),
    "catalog/environment/<object_id>/change/": listed(),
    "catalog/environment/<pk>/change/edit/": form(ADMINISTRATE, edited_environment, is_ours=False, of_a_team=False),
    "catalog/environment/<pk>/change/comment/": OPEN_COMMENT,
    "catalog/product/": listed(),
    "catalog/product/add/": add(
        ADMINISTRATE,
        lambda side: {"key": "new", "name": "New", "team": side.team.pk, "time_zone": "UTC", "soak_minutes": 0},
    ),
    "catalog/product/<object_id>/change/": Page(),
    "catalog/product/<pk>/change/edit/": form(ADMINISTRATE, edited_product),
    "catalog/product/<pk>/change/timeline/": Page(),
    "catalog/product/<pk>/change/comment/": COMMENT,
    "catalog/product/<pk>/change/documents/<kind>/": open_form(EDIT, lambda _: {"body": "New."}),
    "catalog/product/<pk>/change/components/": open_form(ADMINISTRATE, lambda _: {"key": "new"}),
    "catalog/product/<pk>/change/preparation/<tier>/": open_form(ADMINISTRATE, lambda _: {"kinds": ["artifacts"]}),
    "catalog/releasemodel/": listed(),
    "catalog/releasemodel/add/": add(
        ADMINISTRATE,
        new_model,
        of_a_team=False,
    ),
    "catalog/releasemodel/<object_id>/change/": listed(),
    "catalog/releasemodel/<pk>/change/comment/": OPEN_COMMENT,
    "catalog/releasemodel/<pk>/change/round/": button(MANAGE | ADMINISTRATE, is_ours=False, anywhere=True, ok="shown"),
    "catalog/releasemodel/<pk>/change/end/": open_form(
        MANAGE | ADMINISTRATE, lambda _: {"reason": "Too much trouble."}, is_ours=False, anywhere=True
    ),
    "deployments/deployment/": listed(),
    "deployments/deployment/matrix/": listed(),
    "deployments/deployment/<object_id>/change/": Page(),
    "deployments/deploymentplan/": listed(),
    "deployments/deploymentplan/add/": add(PLAN, new_plan),
    "deployments/deploymentplan/<object_id>/change/": Page(),
    "deployments/deploymentplan/<pk>/change/comment/": COMMENT,
    # It is in progress: nobody edits it now.
    "deployments/deploymentplan/<pk>/change/edit/": Page(shown={"nobody"}, may=PLAN, fields=edited_plan, ok="400"),
    "deployments/deploymentplan/<pk>/change/progress/": Page(),
    # What it needed is settled.
    "deployments/deploymentplan/<pk>/change/preparation/": open_form(
        PLAN, lambda _: {"kind": "compliance", "holds": "yes", "evidence": "Seen."}, ok="400"
    ),
    "deployments/deploymentplan/<pk>/change/preparation/lookup/": button(PLAN, ok="shown"),
    "deployments/deploymentplan/<pk>/change/tasks/<task>/<step>/": button(MEMBERS),
    "deployments/deploymentplan/<pk>/change/tasks/<task>/hand-over/": button(
        MEMBERS, lambda side: {"assignee": side.author.username, "note": "Please."}
    ),
    "deployments/incident/": listed(),
    "deployments/incident/add/": add(EDIT, new_incident),
    "deployments/incident/<object_id>/change/": Page(),
    "deployments/incident/<pk>/change/edit/": form(EDIT, edited_incident),
    "deployments/incident/<pk>/change/comment/": COMMENT,
    "deployments/incident/<pk>/change/restore/": open_form(
        EDIT, lambda side: {"restored_at": f"{side.now:%Y-%m-%dT%H:%M}"}
    ),
    "deployments/incident/<pk>/change/withdraw/": open_form(EDIT, lambda _: {"reason": "It was the monitor."}),
    "deployments/incident/<pk>/change/confirm/<what>/": button(EDIT, lambda side: {"deployment": side.deployment.pk}),
    "deployments/quarantinedrow/": listed(),
    "deployments/quarantinedrow/<object_id>/change/": Page(),
    "deployments/quarantinedrow/<pk>/change/repair/": form(
        ADMINISTRATE, lambda _: {"row": f"1,{'1' * 40},,ann,2024-03-01,2024-03-01T10:00:00Z,0,0"}, ok="400"
    ),
    "deployments/quarantinedrow/<pk>/change/dismiss/": form(ADMINISTRATE, lambda _: {"reason": "Because."}),
    "deployments/webhookendpoint/": listed(),
    "deployments/webhookendpoint/add/": add(ADMINISTRATE, lambda our: HOOK | {"product": our.product.pk, "key": "new"}),
    "deployments/webhookendpoint/<object_id>/change/": Page(),
    "deployments/webhookendpoint/<pk>/change/edit/": form(ADMINISTRATE, lambda _: HOOK),
    "deployments/webhookendpoint/<pk>/change/secret/": open_form(ADMINISTRATE),
    "deployments/window/": listed(),
    "deployments/window/add/": add(STOP, new_freeze),
    "deployments/window/<object_id>/change/": Page(),
    "deployments/window/<pk>/change/edit/": form(CHAIR, edited_window),
    "deployments/window/<pk>/change/comment/": COMMENT,
    "notifications/delivery/": listed(),
    "releases/knowndefect/": listed(),
    "releases/knowndefect/add/": add(EDIT, new_defect),
    "releases/knowndefect/<object_id>/change/": Page(),
    "releases/knowndefect/<pk>/change/edit/": form(EDIT, edited_defect),
    "releases/knowndefect/<pk>/change/comment/": COMMENT,
    "releases/release/": listed(),
    "releases/release/add/": add(EDIT, new_release),
    "releases/release/<object_id>/change/": Page(),
    "releases/release/<pk>/change/edit/": form(EDIT, edited_release),
    "releases/release/<pk>/change/comment/": COMMENT,
    "releases/release/<pk>/change/builds/": open_form(EDIT, same_builds, ok="shown"),
    "releases/release/<pk>/change/defects/": open_form(
        EDIT,
        lambda side: {
            "defect": side.defect.pk,
            "relation": "fixed_in",
            "disposition": "must_fix",
            "void_signoffs": "on",
        },
    ),
    "releases/release/<pk>/change/documents/<kind>/": open_form(
        EDIT, lambda _: {"body": "New.", "void_signoffs": "on"}
    ),
    "releases/release/<pk>/change/evidence/": Page(),
    # There is one that is open and current.
    "releases/release/<pk>/change/round/": button(MANAGE, ok="shown"),
    "workflow/event/": listed(),
    "workflow/event/<object_id>/change/": Page(),
}  # fmt: skip

#: Buttons and forms of every transition; the walk takes each that leaves the record's state.
TRANSITIONS = {
    "releases/release/<pk>/change/transition/<transition>/": "release",
    "releases/knowndefect/<pk>/change/transition/<transition>/": "defect",
    "approvals/changerequest/<pk>/change/transition/<transition>/": "change",
    "deployments/deploymentplan/<pk>/change/transition/<transition>/": "plan",
    "deployments/window/<pk>/change/transition/<transition>/": "window",
}
#: Addresses about the caller alone, or that lead on: they show nothing of a record, whoever comes.
ABOUT_NOBODY = {
    "<url>",
    "autocomplete/",
    "login/",
    "logout/",
    "password_change/",
    "password_change/done/",
    "r/<content_type_id>/<object_id>/",
    "accounts/user/me/",
    "accounts/user/<pk>/change/link/",
    "notifications/delivery/<object_id>/change/",
    "notifications/delivery/<pk>/read/",
    "accounts/rolerequest/<pk>/<step>/",
    "approvals/delegation/add/",
    "approvals/delegation/<pk>/end/",
}
