"""Whatever fails, the answer is a problem document under /api/ and a plain page elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client

from releasemgmt.catalog.models import Product
from releasemgmt.releases.models import Release
from releasemgmt.web.errors import STATUS
from releasemgmt.workflow import errors
from releasemgmt.workflow.gates import Blocker
from releasemgmt.workflow.models import Event
from tests.factories import someone
from tests.web.world import API, Caller, picture, problem

EXPLODE = "tests.web.test_errors.explode"


@pytest.fixture
def browser() -> Client:
    return Client(raise_request_exception=False)


def explode(release: Release, *, now: Any) -> list[Blocker]:
    """A gate that fails."""
    raise ZeroDivisionError("canary-of-a-gate")


def closed(release: Release, *, now: Any) -> list[Blocker]:
    """A gate that is closed."""
    return [Blocker("not_today", "Come again tomorrow.", ("release_manager",))]


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", ["/api/v1/nothing/", "/api/v1/", "/api/v2/releases/", "/api/"])
def test_an_address_that_nobody_serves_is_a_404_problem(client: Client, method: str, path: str) -> None:
    answer = getattr(client, method)(path)
    assert answer.status_code == 404
    assert problem(answer)["code"] == "not_found"


def test_an_address_without_its_slash_says_so_and_redirects_no_post(manager: Caller) -> None:
    answer = manager.post(f"{API}/releases", {"product": "shop", "version": "1"})
    assert answer.status_code == 404
    assert "slash" in problem(answer)["detail"]


def test_a_page_that_is_not_there_is_a_plain_404(client: Client) -> None:
    answer = client.get("/nothing")
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")
    assert b"There is no such page" in answer.content


def test_the_request_id_of_the_caller_is_kept_if_it_is_one(client: Client) -> None:
    assert client.get("/api/x/", headers={"X-Request-ID": "ci-42.a"})["X-Request-ID"] == "ci-42.a"
    hostile = client.get("/api/x/", headers={"X-Request-ID": "a b\n" + "x" * 100})
    assert len(hostile["X-Request-ID"]) == 32
    assert problem(hostile)["request_id"] == hostile["X-Request-ID"]


def test_events_carry_the_request_id(manager: Caller, release: Release) -> None:
    path = f"{API}/releases/{release.number}/comments/"
    event = manager.post(path, {"body": "Hello."}, headers={"X-Request-ID": "ci-42"}).json()
    assert event["request_id"] == "ci-42"
    assert Event.objects.get(stream=release.stream, seq=event["seq"]).request_id == "ci-42"


def test_a_wrong_state_names_what_is_allowed(manager: Caller, release: Release) -> None:
    before = picture(release)
    document = manager.refused("post", f"{API}/releases/{release.number}/transitions/accept/", {}, status=409)
    assert (document["code"], document["allowed_transitions"]) == ("wrong_state", ["build", "cancel"])
    assert picture(release) == before


def test_a_closed_gate_names_its_blockers(manager: Caller, release: Release, settings: Any) -> None:
    settings.WORKFLOW_GATES = {"releases.Release.build": ["tests.web.test_errors.closed"]}
    before = picture(release)
    document = manager.refused("post", f"{API}/releases/{release.number}/transitions/build/", {}, status=409)
    blocker = {"code": "not_today", "reason": "Come again tomorrow.", "who_can_clear": ["release_manager"]}
    assert (document["code"], document["blockers"]) == ("blocked", [blocker])
    listed = {o["name"]: o for o in manager.get(f"{API}/releases/{release.number}/transitions/").json()}
    assert listed["build"]["blockers"] == [blocker]
    assert listed["build"]["allowed"] is True
    assert listed["cancel"]["blockers"] == []
    assert picture(release) == before


def test_a_gate_that_fails_is_closed(manager: Caller, release: Release, settings: Any) -> None:
    settings.WORKFLOW_GATES = {"releases.Release.build": [EXPLODE]}
    before = picture(release)
    document = manager.refused("post", f"{API}/releases/{release.number}/transitions/build/", {}, status=409)
    assert [blocker["code"] for blocker in document["blockers"]] == ["gate_failed"]
    assert "canary" not in str(document)
    assert picture(release) == before


def test_what_is_not_permitted_is_403_and_on_the_callers_own_stream(product: Product, release: Release) -> None:
    reader = Caller(someone("auditor", team=product.team))
    before = picture(release)
    path = f"{API}/releases/{release.number}/transitions/build/"
    assert reader.refused("post", path, {}, status=403)["code"] == "not_permitted"
    assert picture(release) == before
    refusal = Event.objects.get(stream=reader.user.stream, kind="workflow.refused")
    assert refusal.actor == reader.user
    assert refusal.data["subject"] == path
    assert refusal.data["code"] == "not_permitted"


def test_a_refusal_for_its_state_is_on_no_stream(manager: Caller, release: Release) -> None:
    manager.refused("post", f"{API}/releases/{release.number}/transitions/accept/", {}, status=409)
    assert not Event.objects.filter(kind="workflow.refused").exists()


def test_a_transition_that_nobody_declared_is_404(manager: Caller, release: Release) -> None:
    manager.refused("post", f"{API}/releases/{release.number}/transitions/explode/", {}, status=404)


@pytest.mark.parametrize(
    "field", ["actor", "now", "on_behalf_of", "data", "obj", "transition", "self", "colour", "state"]
)
def test_a_transition_takes_its_own_fields_only(manager: Caller, release: Release, field: str) -> None:
    before = picture(release)
    path = f"{API}/releases/{release.number}/transitions/cancel/"
    document = manager.refused("post", path, {"reason": "Not needed.", field: "x"}, status=400)
    assert document["errors"] == [
        {"pointer": f"/{field}", "code": "unknown_field", "detail": "There is no such field."}
    ]
    manager.refused("post", path, {"reason": 5}, status=400)
    manager.refused("post", path, ["reason"], status=400)
    assert manager.refused("post", path, {}, status=400)["errors"][0]["pointer"] == "/reason"
    assert picture(release) == before


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


FAILURES = [
    (OperationalError("canary: server closed the connection"), 503, "unavailable"),
    (InterfaceError("canary: connection already closed"), 503, "unavailable"),
    (IntegrityError("canary: duplicate key"), 409, "conflict"),
    (DataError("canary: value too long"), 400, "invalid"),
    (DatabaseError("canary"), 500, "error"),
    (PermissionDenied("canary"), 403, "not_permitted"),
    (ZeroDivisionError("canary"), 500, "error"),
]


@pytest.mark.parametrize(("error", "status", "code"), FAILURES, ids=[type(e).__name__ for e, _, _ in FAILURES])
def test_an_exception_of_a_view_is_a_problem_that_tells_nothing(
    manager: Caller, release: Release, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    monkeypatch.setattr("django.db.models.query.QuerySet.filter", raising(error))
    document = manager.refused("get", f"{API}/releases/{release.number}/", status=status)
    assert document["code"] == code
    assert "canary" not in str(document)


def away(*_: Any, **__: Any) -> Any:
    raise OperationalError("canary: no route to host")


@pytest.fixture
def database_away(manager: Caller, release: Release) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(BaseDatabaseWrapper, "cursor", away)
        yield


def test_with_the_database_away_the_api_answers_503(manager: Caller, release: Release, database_away: None) -> None:
    for path in (f"{API}/releases/", f"{API}/me/"):
        answer = manager.get(path)
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")
        assert problem(answer)["code"] == "unavailable"


def test_with_the_database_away_pages_answer_503(browser: Client, manager: Caller, database_away: None) -> None:
    browser.cookies["sessionid"] = "a" * 32
    for path in ("/admin/", "/accounts/login/"):
        answer = browser.get(path)
        assert (answer.status_code, answer["Retry-After"]) == (503, "5"), path
        assert answer["Content-Type"].startswith("text/html")
        assert b"Back in a moment" in answer.content
        assert b"canary" not in answer.content


def test_the_service_is_back_with_the_database(manager: Caller, release: Release, monkeypatch: Any) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(BaseDatabaseWrapper, "cursor", away)
        assert manager.get(f"{API}/releases/").status_code == 503
    assert manager.get(f"{API}/releases/").status_code == 200


def test_a_page_that_fails_is_a_plain_500(browser: Client, product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    browser.force_login(someone("auditor"))
    monkeypatch.setattr("releasemgmt.portal.home.waiting", raising(ZeroDivisionError("canary")))
    answer = browser.get("/admin/")
    assert answer.status_code == 500
    assert b"Something went wrong" in answer.content
    assert b"canary" not in answer.content


def test_every_refusal_has_a_status() -> None:
    pending: list[type[errors.Refused]] = [errors.Refused]
    kinds = []
    while pending:
        found = pending.pop().__subclasses__()
        kinds += found
        pending += found
    assert kinds
    assert [kind for kind in kinds if not any(issubclass(kind, known) for known in STATUS)] == []
