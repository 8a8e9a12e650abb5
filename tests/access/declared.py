"""Who may call what: one entry for each address and method that changes something. What is not here fails the walk.

The addresses themselves, with the scopes that they ask of a token, are declared in tests/web/test_routes.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from approvals.shipped import QUESTIONS
from tests.access.world import SECRET, Side

#: Roles, as §7 of the domain lists them.
ALL = {
    "contributor",
    "release_manager",
    "cab_member",
    "cab_chair",
    "deployer",
    "auditor",
    "administrator",
    "service",
}
TALK = ALL - {"auditor"}
EDIT = {"contributor", "release_manager", "deployer", "service"}
MANAGE = {"release_manager"}
CHAIR = {"cab_chair"}
PLAN = {"release_manager", "deployer"}
STOP = {"release_manager", "deployer", "cab_chair"}
DEPLOY = {"deployer", "service"}
MEMBERS = ALL - {"auditor", "administrator"}
CHAIR = {"cab_chair"}
ADMINISTRATE = {"administrator"}
NOBODY: set[str] = set()


@dataclass(frozen=True)
class Write:
    """Who may, and a body that would do it; `ok` is what whoever may is answered."""

    may: Collection[str]
    body: Callable[[Side], Any] = lambda _side: {}
    ok: Collection[int] = (200, 201)
    #: The scopes of which a token needs one for the command itself, where the address accepts others too.
    scopes: Collection[str] = ()
    #: What somebody of another team is answered: 404 where the address names the record, 400 where the body does.
    stranger: int = 404
    #: Whom the record names: the people of our team who hold these roles, and no others.
    named: Collection[str] = ()


def answers(_side: Side) -> dict[str, Any]:
    """The first answer to every question about a risk."""
    return {"answers": {key: choices[0][0] for key, _, choices in QUESTIONS}, "void_signoffs": True}


def recipe(side: Side) -> dict[str, Any]:
    """A model of changes that is not there yet."""
    texts = {"implementation_plan": "So.", "backout_plan": "Back."}
    return {"key": "new", "name": "New", "product": side.product.key, **texts}


def draft(side: Side) -> dict[str, Any]:
    """A release that is not there yet."""
    return {"product": side.product.key, "version": "77.0"}


def build(side: Side) -> dict[str, Any]:
    return {
        "product": side.product.key,
        "component": side.component.key,
        "commit": "d" * 40,
        "digest": f"sha256:{'d' * 64}",
        "artifact_uri": "oci://example.org/app:77",
        "built_at": "2026-03-01T10:00:00Z",
    }


def test_run(side: Side) -> dict[str, Any]:
    times = {"started_at": "2026-03-01T10:00:00Z", "finished_at": "2026-03-01T10:05:00Z"}
    return {"builds": [digest(side)], "environment": "test", "suite": "smoke", "passed": 1, **times}


def digest(side: Side) -> str:
    found = side.release.builds.get()
    return str(found.digest)


def commits(side: Side) -> dict[str, Any]:
    at = {"authored_at": "2026-03-01T10:00:00Z", "committed_at": "2026-03-01T10:00:00Z"}
    return {"product": side.product.key, "commits": [{"sha": "e" * 40, "parents": [], **at}]}


def plan(side: Side) -> dict[str, Any]:
    times = {"planned_start": "2030-03-01T10:00:00Z", "latest_start": "2030-03-01T11:00:00Z"}
    return {"release": side.release.number, "environment": "production", **times}


def deployment(side: Side) -> dict[str, Any]:
    times = {"started_at": "2026-03-01T10:00:00Z", "finished_at": "2026-03-01T10:05:00Z"}
    return {"release": side.release.number, "environment": "test", "status": "succeeded", **times}


def observation(side: Side) -> dict[str, Any]:
    seen = {side.component.key: f"sha256:{'f' * 64}"}
    return {"product": side.product.key, "observed_at": side.now.isoformat(), "digests": seen}


def freeze(side: Side) -> dict[str, Any]:
    """A freeze, in force or only asked for, by who sends it."""
    terms = {"first_on": "2190-01-01", "start_time": "10:00", "duration_minutes": 60}
    return {"kind": "deny", "name": "New", "reason": "So.", "product": side.product.key, **terms}


def override(side: Side) -> dict[str, Any]:
    place = {"release": side.release.number, "environment": "production", "windows": [side.window.number]}
    return {**place, "reason": "So.", "expires_at": (side.now + timedelta(hours=1)).isoformat()}


def incident(side: Side) -> dict[str, Any]:
    where = {"product": side.product.key, "environment": "production", "components": [side.component.key]}
    return {**where, "title": "New", "kind": "down", "started_at": "2026-03-01T10:00:00Z"}


def endpoint(side: Side) -> dict[str, Any]:
    there = {"key": "new", "url": "https://new.test/hook"}
    return {"product": side.product.key, **there, "secret": SECRET}


def board(side: Side) -> dict[str, Any]:
    chair = side.people["cab_chair"].username
    return {"key": "new-board", "name": "New", "team": side.team.key, "chair": chair, "start_time": "10:00"}


def policy(side: Side) -> dict[str, Any]:
    return {"key": "new", "name": "New", "stages": [{"role": "release_manager", "count": 1}]}


COMMENT = Write(TALK, lambda _: {"body": "Hello."})

API: dict[str, Write] = {
    "POST teams/": Write(ADMINISTRATE, lambda _: {"key": "new-team", "name": "New"}),
    "PATCH teams/<number>/": Write(ADMINISTRATE, lambda _: {"name": "Renamed"}),
    "POST products/": Write(
        ADMINISTRATE, lambda side: {"key": "new-shop", "name": "New", "team": side.team.key}, stranger=400
    ),
    "PATCH products/<number>/": Write(ADMINISTRATE, lambda _: {"name": "Renamed"}),
    "POST products/<number>/components/": Write(ADMINISTRATE, lambda _: {"key": "new-component"}),
    "PUT products/<number>/documents/<kind>/": Write(EDIT, lambda _: {"body": "New.", "void_signoffs": True}),
    "PUT products/<number>/preparation/<tier>/": Write(ADMINISTRATE, lambda _: {"items": [{"kind": "artifacts"}]}),
    "POST environments/": Write(
        ADMINISTRATE, lambda _: {"key": "new", "name": "New", "tier": "test", "rank": 7}
    ),
    "PATCH environments/<number>/": Write(ADMINISTRATE, lambda _: {"name": "Renamed"}),
    "POST release-models/": Write(ADMINISTRATE, lambda _: {"key": "new", "name": "New"}),
    "POST release-models/<number>/approval/": Write({"release_manager", "administrator"}),
    "POST release-models/<number>/pre-approval/end/": Write(
        {"release_manager", "administrator"}, lambda _: {"reason": "Too much trouble."}
    ),
    "POST approval-policies/": Write(ADMINISTRATE, policy),
    "PATCH approval-policies/<number>/": Write(ADMINISTRATE, lambda _: {"name": "Renamed"}),
    "POST approvals/<pk>/conditions/<condition>/meet/": Write(EDIT, lambda _: {"evidence": "Seen."}),
    "POST releases/": Write(EDIT, draft, stranger=400),
    "PATCH releases/<number>/": Write(EDIT, lambda _: {"title": "Renamed"}),
    "PUT releases/<number>/builds/": Write(EDIT, lambda side: {"builds": [digest(side)]}),
    "POST releases/<number>/builds/": Write(EDIT, lambda side: {"digest": digest(side)}),
    "PUT releases/<number>/documents/<kind>/": Write(EDIT, lambda _: {"body": "New.", "void_signoffs": True}),
    "POST releases/<number>/defects/": Write(
        EDIT, lambda side: {"defect": side.defect.number, "relation": "fixed_in", "void_signoffs": True}
    ),
    "POST releases/<number>/exposures/": Write(
        DEPLOY, lambda _: {"environment": "production", "percent": 10}, ok=[409]
    ),
    "POST releases/<number>/approval/": Write(MANAGE),
    "POST commits/bulk/": Write(EDIT, commits, stranger=400),
    "POST builds/": Write(EDIT, build, stranger=400),
    "POST test-runs/": Write(EDIT, test_run, stranger=400),
    "POST known-defects/": Write(EDIT, lambda side: {"product": side.product.key, "title": "New"}, stranger=400),
    "PATCH known-defects/<number>/": Write(EDIT, lambda _: {"title": "Renamed"}),
    "POST changes/": Write(EDIT, lambda side: {"product": side.product.key, "title": "New"}, stranger=400),
    # It is in authorization: its requester edits it too, who is the contributor here.
    "PATCH changes/<number>/": Write(MANAGE, lambda _: {"title": "Renamed"}, named=["contributor"]),
    "POST changes/<number>/approval/": Write(MANAGE),
    "POST changes/<number>/risk/": Write(MANAGE, answers, named=["contributor"]),
    "POST change-models/": Write(ADMINISTRATE, recipe, stranger=400),
    "POST change-models/<number>/approval/": Write({"release_manager", "administrator"}),
    "POST approvals/<pk>/votes/": Write(
        MANAGE, lambda side: {"decision": "abstain", "digest": side.round.digest}
    ),
    "POST approvals/<pk>/votes/<vote>/revoke/": Write(NOBODY),  # only its voter, who is none of those who walk
    "POST boards/": Write(CHAIR, board, stranger=400),
    "PATCH boards/<number>/": Write(CHAIR, lambda _: {"name": "Renamed"}),
    "POST meetings/": Write(
        CHAIR, lambda side: {"board": side.board.key, "starts_at": "2199-03-01T10:00:00Z"}, stranger=400
    ),
    "PATCH meetings/<pk>/": Write(CHAIR, lambda _: {"notes": "New."}),
    "PATCH meetings/<pk>/agenda/<round>/": Write(CHAIR, lambda _: {"decision": "deferred"}),
    "POST meetings/<pk>/transitions/cancel/": Write(CHAIR, lambda _: {"reason": "Because."}),
    "POST meetings/<pk>/transitions/hold/": Write(CHAIR, ok=[409]),  # it is still ahead
    "POST deployment-plans/": Write(PLAN, plan, scopes=["write"], stranger=400),
    "PATCH deployment-plans/<number>/": Write(PLAN, lambda _: {"autostart": True}, scopes=["write"], ok=[409]),
    # It is in progress: what it needed is settled.
    "POST deployment-plans/<number>/preparation/": Write(
        PLAN | {"service"}, lambda _: {"kind": "compliance", "evidence": "Seen."}, scopes=["write"], ok=[409]
    ),
    "POST deployment-plans/<number>/preparation/lookup/": Write(PLAN | {"service"}, scopes=["write"], ok=[409]),
    # It is assigned to the team.
    "POST deployment-plans/<number>/tasks/<task>/transitions/<step>/": Write(MEMBERS, scopes=["deploy"]),
    "POST deployment-plans/<number>/tasks/<task>/transitions/hand_over/": Write(
        MEMBERS, lambda side: {"assignee": side.author.username, "note": "Please."}, scopes=["deploy"]
    ),
    "POST deployments/": Write(DEPLOY, deployment, stranger=400),
    "POST deployments/<pk>/transitions/<end>/": Write(DEPLOY, ok=[409], scopes=["deploy"]),  # it has ended
    "POST environments/<number>/observations/": Write(DEPLOY, observation, stranger=400),
    "POST webhook-endpoints/": Write(ADMINISTRATE, endpoint, stranger=400),
    "PATCH webhook-endpoints/<pk>/": Write(ADMINISTRATE, lambda _: {"is_active": False}),
    "POST webhook-endpoints/<pk>/secret/": Write(ADMINISTRATE, lambda _: {"secret": SECRET}),
    "POST windows/": Write(STOP, freeze, stranger=400),
    "PATCH windows/<number>/": Write(CHAIR, lambda _: {"name": "Renamed"}),
    "POST incidents/": Write(EDIT, incident, stranger=400),
    "PATCH incidents/<number>/": Write(EDIT, lambda _: {"title": "Renamed"}),
    "POST incidents/<number>/withdraw/": Write(EDIT, lambda _: {"reason": "It was the monitor."}),
    "POST window-overrides/": Write(PLAN, override, stranger=400),
    # The deployer asked for it.
    "PATCH window-overrides/<pk>/": Write(NOBODY, lambda _: {"uses": 2}, named=["deployer"]),
    "POST window-overrides/<pk>/transitions/approve/": Write(CHAIR),
    "POST window-overrides/<pk>/transitions/decline/": Write(CHAIR, lambda _: {"reason": "Because."}),
    "POST window-overrides/<pk>/transitions/withdraw/": Write(CHAIR, named=["deployer"]),
    "POST line-stops/": Write(STOP, lambda side: {"product": side.product.key, "reason": "Smoke."}, stranger=400),
    "POST line-stops/<pk>/transitions/resume/": Write(STOP),
    # One's own: the contributor's here, and nobody else's.
    "POST notifications/<pk>/read/": Write({"contributor"}),
}  # fmt: skip
for records in (
    "teams",
    "products",
    "environments",
    "release-models",
    "change-models",
    "releases",
    "known-defects",
    "changes",
    "boards",
    "deployment-plans",
    "windows",
    "incidents",
):
    API[f"POST {records}/<number>/comments/"] = COMMENT
API["POST approval-policies/<number>/comments/"] = COMMENT

#: Records of no team: everybody who is signed in sees them, and only a role held everywhere counts on them.
OF_NO_TEAM = ("environments/", "release-models/", "approval-policies/", "kpis/")
#: Addresses of those whose body names a record of a team: there its roles count.
OF_THE_BODY = ("environments/<number>/observations/",)
#: Addresses that are about the caller alone.
OWN = ("me/", "notifications/", "events/")
