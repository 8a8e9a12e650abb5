"""Every address is declared here, with its methods and the scope that each asks of a token; others fail this test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admindocs.views import simplify_regex
from django.test import Client
from django.urls import URLPattern, get_resolver

from releasemgmt.accounts.models import Scope
from releasemgmt.workflow.models import Event
from tests.factories import someone
from tests.web.world import Caller, problem

pytestmark = [pytest.mark.embedded, pytest.mark.django_db]

RECORD = {"": "GET, PATCH write", "events/": "GET", "comments/": "GET, POST write"}
LIFE = {"transitions/": "GET", "transitions/<name>/": "POST write"}
#: Address → methods; what changes something names the scopes of which a token needs one.
API = {
    "me/": "GET",
    "teams/": "GET, POST write",
    "products/": "GET, POST write",
    "products/<number>/components/": "GET, POST write",
    "products/<number>/documents/<kind>/": "GET, PUT write",
    "products/<number>/preparation/": "GET",
    "products/<number>/preparation/<tier>/": "PUT write",
    "environments/": "GET, POST write",
    "environments/matrix/": "GET",
    "environments/<number>/observations/": "GET, POST deploy",
    "release-models/": "GET, POST write",
    "release-models/<number>/pre-approval/": "GET",
    "release-models/<number>/pre-approval/end/": "POST write",
    "releases/": "GET, POST write",
    "releases/<number>/builds/": "PUT write, POST write",
    "releases/<number>/documents/<kind>/": "GET, PUT write",
    "releases/<number>/defects/": "GET, POST write",
    "releases/<number>/exposures/": "GET, POST deploy",
    "releases/<number>/test-plan/": "GET",
    "releases/<number>/comparison/": "GET",
    "releases/<number>/readiness/": "GET",
    "releases/<number>/evidence/": "GET",
    "releases/<number>/approval/": "GET, POST write",
    "commits/bulk/": "POST write",
    "builds/": "GET, POST write",
    "test-runs/": "GET, POST write",
    "known-defects/": "GET, POST write",
    "changes/": "GET, POST write",
    "changes/<number>/approval/": "GET, POST write",
    "changes/<number>/risk/": "GET, POST write",
    "changes/<number>/conflicts/": "GET",
    "change-models/": "GET, POST write",
    "change-models/<number>/approval/": "GET, POST write",
    "approvals/": "GET",
    "approvals/<pk>/": "GET",
    "approvals/<pk>/votes/": "POST approve",
    "approvals/<pk>/votes/<vote>/revoke/": "POST approve",
    "boards/": "GET, POST write",
    "meetings/": "GET, POST write",
    "meetings/<pk>/": "GET, PATCH write",
    "meetings/<pk>/agenda/": "GET",
    "meetings/<pk>/agenda/<round>/": "PATCH write",
    "meetings/<pk>/minutes/": "GET",
    "meetings/<pk>/transitions/cancel/": "POST write",
    "meetings/<pk>/transitions/hold/": "POST write",
    "approvals/<pk>/conditions/<condition>/meet/": "POST write",
    "approval-policies/": "GET, POST write",
    "approval-policies/<number>/preview/": "GET",
    "release-models/<number>/approval/": "GET, POST write",
    "delegations/": "GET, POST approve",
    "delegations/<pk>/": "GET, PATCH approve",
    "deployment-plans/": "GET, POST write|deploy",
    "deployment-plans/<number>/preparation/": "GET, POST write|deploy",
    "deployment-plans/<number>/preparation/lookup/": "GET, POST write|deploy",
    "deployment-plans/<number>/tasks/<task>/transitions/<step>/": "POST write|deploy",
    "deployment-plans/<number>/tasks/<task>/transitions/hand_over/": "POST write|deploy",
    "deployments/": "GET, POST deploy",
    "deployments/<pk>/": "GET",
    "deployments/<pk>/transitions/<end>/": "POST deploy",
    "schedule/": "GET",
    "windows/": "GET, POST write",
    "windows/status/": "GET",
    "window-overrides/": "GET, POST write",
    "window-overrides/<pk>/": "GET, PATCH write",
    "window-overrides/<pk>/transitions/approve/": "POST write",
    "window-overrides/<pk>/transitions/decline/": "POST write",
    "window-overrides/<pk>/transitions/withdraw/": "POST write",
    "incidents/": "GET, POST write",
    "incidents/<number>/withdraw/": "POST write",
    "line-stops/": "GET, POST write",
    "line-stops/<pk>/": "GET",
    "line-stops/<pk>/transitions/resume/": "POST write",
    "webhook-endpoints/": "GET, POST write",
    "webhook-endpoints/<pk>/": "GET, PATCH write",
    "webhook-endpoints/<pk>/secret/": "POST write",
    "notifications/": "GET",
    "population/": "GET",
    "kpis/": "GET",
    "kpis/<figure>/": "GET",
    "kpis/<figure>/rows/": "GET",
    "notifications/<pk>/read/": "POST write",
    "events/": "GET",
}
for records in (
    "teams",
    "products",
    "environments",
    "releases",
    "known-defects",
    "changes",
    "boards",
    "windows",
    "incidents",
):
    API |= {f"{records}/<number>/{path}": methods for path, methods in RECORD.items()}
for versioned in ("release-models", "change-models", "approval-policies"):
    API |= {f"{versioned}/<number>/{path}": methods for path, methods in (RECORD | {"": "GET"}).items()}
API["approval-policies/<number>/"] = "GET, PATCH write"
for stateful in ("releases", "known-defects", "changes", "windows"):
    API |= {f"{stateful}/<number>/{path}": methods for path, methods in LIFE.items()}
for path, methods in (RECORD | LIFE).items():
    API[f"deployment-plans/<number>/{path}"] = methods.replace("write", "write|deploy")

#: Where nobody signs in: what is sent is signed (tests/deployments/test_calls.py).
SIGNED = {"/api/v1/webhook-endpoints/<pk>/callbacks/"}
#: What anybody may see: who signs in, whether it is alive, and how the API looks.
PUBLIC = {
    "/", "/healthz", "/readyz", "/metrics", "/demo/sign-in/", "/api/v1/schema/", "/api/v1/docs/", "/api/",
    "/admin/login/", "/admin/logout/", *SIGNED,
}  # fmt: skip

UNSAFE = [
    (path, *method.split(" ")) for path, methods in API.items() for method in methods.split(", ") if " " in method
]
SAFE = [(path, "GET") for path, methods in API.items() if "GET" in methods]


def routes() -> dict[str, Any]:
    """Every address of the service with its view."""

    def walk(patterns: list[Any], before: str) -> Iterator[tuple[str, Any]]:
        for pattern in patterns:
            path = before + str(pattern.pattern)
            if isinstance(pattern, URLPattern):
                yield simplify_regex(re.sub(r"<\w+:", "<", path)), pattern.callback
            else:
                yield from walk(pattern.url_patterns, path)

    return dict(walk(get_resolver().url_patterns, ""))


ROUTES = routes()
PAGES = sorted(path for path in ROUTES if not path.startswith("/api/"))


def concrete(path: str) -> str:
    """The address with something in the place of each variable."""
    return "/api/v1/" + re.sub(
        r"<(\w+)>",
        lambda found: {"step": "done", "end": "fail", "name": "cancel", "kind": "impact"}.get(found[1], "1"),
        path,
    )


def test_every_api_address_is_declared_with_its_methods() -> None:
    found = {
        path.removeprefix("/api/v1/"): set(view.actions) - {"head"}  # DRF adds it with the first GET
        for path, view in ROUTES.items()
        if path.startswith("/api/") and path not in PUBLIC
    }
    declared = {path: {m.split(" ")[0].lower() for m in methods.split(", ")} for path, methods in API.items()}
    assert found == declared


@pytest.mark.parametrize(("path", "method"), SAFE + [(path, method) for path, method, _ in UNSAFE])
def test_anonymous_is_401_everywhere(path: str, method: str) -> None:
    answer = Client().generic(method, concrete(path), b"{}", content_type="application/json")
    assert answer.status_code == 401
    assert problem(answer)["code"] == "not_authenticated"


def test_each_change_asks_for_its_scope() -> None:
    person = someone(*{"release_manager", "deployer", "administrator", "cab_member"})
    callers = {scope: Caller(person, scopes=[scope]) for scope in Scope.values} | {"none": Caller(person, scopes=[])}
    wrong = []
    for path, method, scopes in UNSAFE:
        for scope, caller in callers.items():
            answer = caller.generic(method, concrete(path), "{}", content_type="application/json")
            lacks = answer.status_code == 403 and "lacks the scope" in answer.json()["detail"]
            if lacks == (scope in scopes.split("|")):
                wrong.append(f"{method} {path} with {scope}: {answer.status_code} {answer.content.decode()}")
    assert wrong == []


def test_a_reading_token_reads_everywhere_and_writes_no_event() -> None:
    caller = Caller(someone("auditor"), scopes=[])
    before = Event.objects.count()
    for path, _ in SAFE:
        assert caller.get(concrete(path)).status_code in (200, 400, 404), path
    assert Event.objects.count() == before


@pytest.mark.parametrize("path", [path for path in PAGES if path not in PUBLIC and not path.startswith("/accounts/")])
def test_a_page_sends_a_stranger_to_the_sign_in(path: str) -> None:
    address = re.sub(r"<\w+>", "1", path)
    for method in ("GET", "POST"):
        answer = Client().generic(method, address)
        assert answer.status_code in (302, 403, 405), f"{method} {address}"
        assert "/login" in answer.get("Location", "/login")


def test_every_page_that_anybody_may_see_is_there() -> None:
    assert set(ROUTES) >= PUBLIC


def test_nobody_signs_up() -> None:
    answer = Client().get("/accounts/signup/")
    assert b"<form" not in answer.content
    assert b"made by administrators" in answer.content
