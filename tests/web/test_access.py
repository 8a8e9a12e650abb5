"""Who is let in: tokens, sessions, scopes, and what another team's records are to a stranger."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from releasemgmt.accounts.commands import deactivate, revoke_token, system
from releasemgmt.accounts.models import ApiToken
from releasemgmt.catalog.models import Product
from releasemgmt.releases.models import Release
from releasemgmt.workflow.models import Event
from tests.factories import ProductFactory, someone
from tests.web.world import API, Caller, picture, problem, token_for

pytestmark = pytest.mark.django_db
ME = f"{API}/me/"


def test_anonymous_is_401_and_told_how(client: Client) -> None:
    answer = client.get(ME)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'
    assert problem(answer)["code"] == "not_authenticated"


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer rmt_x", "Basic YTpi", "bearer \x00", "Bearer é", "x"])
def test_a_header_that_is_no_token_is_401(client: Client, header: str) -> None:
    answer = client.get(ME, headers={"Authorization": header})
    assert answer.status_code == 401
    problem(answer)


def test_a_token_lets_in_until_it_expires(product: Product) -> None:
    caller = Caller(someone("contributor", team=product.team))
    assert caller.get(ME).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(hours=1), tick=False):
        assert caller.refused("get", ME, status=401)["code"] == "authentication_failed"


def test_a_revoked_token_is_401_at_once(product: Product) -> None:
    caller = Caller(someone("contributor", team=product.team))
    revoke_token(ApiToken.objects.get(user=caller.user), actor=caller.user, now=timezone.now())
    caller.refused("get", ME, status=401)


def test_a_deactivated_users_token_and_session_end_at_once(product: Product) -> None:
    person = someone("contributor", team=product.team)
    caller, browser = Caller(person), Client()
    browser.force_login(person)
    assert (caller.get(ME).status_code, browser.get(ME).status_code) == (200, 200)
    deactivate(person, actor=system(), now=timezone.now())
    assert (caller.get(ME).status_code, browser.get(ME).status_code) == (401, 401)


def test_only_the_digest_of_a_token_is_stored(product: Product) -> None:
    secret = token_for(someone("contributor", team=product.team))
    token = ApiToken.objects.get()
    stored = [str(getattr(token, field.attname)) for field in ApiToken._meta.concrete_fields]
    assert not any(secret in value or secret[14:] in value for value in stored)
    assert len(token.digest) == 64


def test_the_digest_is_no_token(client: Client, product: Product) -> None:
    token_for(someone("contributor", team=product.team))
    token = ApiToken.objects.get()
    for guess in (token.digest, token.prefix):
        assert client.get(ME, headers={"Authorization": f"Bearer {guess}"}).status_code == 401


def test_a_token_without_a_scope_reads_only(product: Product, release: Release) -> None:
    reader = Caller(someone("release_manager", team=product.team), scopes=[])
    path = f"{API}/releases/{release.number}/"
    before = picture(release)
    assert reader.get(path).status_code == 200
    for method, where in (("post", f"{API}/releases/"), ("patch", path), ("post", f"{path}transitions/cancel/")):
        document = reader.refused(method, where, {"reason": "No."}, status=403, **{"If-Match": "*"})
        assert "scope write" in document["detail"]
    assert picture(release) == before
    assert Event.objects.filter(stream=reader.user.stream, kind="workflow.refused").count() == 3


@pytest.mark.parametrize("scope", ["approve", "deploy"])
def test_a_token_of_another_scope_writes_no_record(product: Product, scope: str) -> None:
    caller = Caller(someone("release_manager", team=product.team), scopes=[scope])
    caller.refused("post", f"{API}/releases/", {"product": "shop", "version": "1"}, status=403)
    assert Release.objects.count() == 0


def test_a_session_has_every_scope_and_needs_csrf(product: Product, release: Release) -> None:
    manager = someone("release_manager", team=product.team)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(manager)
    path = f"{API}/releases/{release.number}/comments/"
    assert browser.get(path).status_code == 200
    assert browser.post(path, {"body": "Hello."}, content_type="application/json").status_code == 403
    browser.cookies["csrftoken"] = token = "a" * 32
    sent = browser.post(path, {"body": "Hello."}, content_type="application/json", headers={"X-CSRFToken": token})
    assert sent.status_code == 201


def test_a_service_account_has_no_session(product: Product) -> None:
    browser = Client()
    browser.force_login(someone("service", team=product.team))
    assert browser.get(ME).status_code == 401


@pytest.mark.parametrize("of", ["", "transitions/", "events/", "comments/", "defects/", "test-plan/", "exposures/"])
def test_another_teams_release_does_not_exist(release: Release, of: str) -> None:
    everything = ("contributor", "release_manager", "deployer", "administrator", "auditor", "cab_chair")
    stranger = Caller(someone(*everything, team=ProductFactory().team))
    for number in (release.number, release.alias):
        document = stranger.refused("get", f"{API}/releases/{number}/{of}", status=404)
        assert document["code"] == "not_found"
    nowhere = stranger.refused("get", f"{API}/releases/REL-999999/{of}", status=404)
    assert nowhere["detail"] == document["detail"]


def test_nothing_can_be_done_to_another_teams_release(release: Release) -> None:
    stranger = Caller(someone("release_manager", team=ProductFactory().team))
    before = picture(release)
    path = f"{API}/releases/{release.number}/"
    stranger.refused("patch", path, {"title": "Mine"}, status=404, **{"If-Match": "*"})
    stranger.refused("post", f"{path}comments/", {"body": "Hi."}, status=404)
    stranger.refused("post", f"{path}transitions/cancel/", {"reason": "No."}, status=404)
    document = stranger.refused("post", f"{API}/releases/", {"product": "shop", "version": "9"}, status=400)
    assert document["errors"] == [{"pointer": "/product", "code": "unknown", "detail": "There is no product shop."}]
    assert picture(release) == before


def test_lists_show_the_callers_teams_and_a_global_role_sees_all(product: Product, release: Release) -> None:
    def numbers(caller: Caller) -> list[str]:
        return [row["number"] for row in caller.get(f"{API}/releases/").json()["results"]]

    assert numbers(Caller(someone("contributor", team=product.team))) == [release.number]
    assert numbers(Caller(someone("contributor", team=ProductFactory().team))) == []
    assert numbers(Caller(someone("auditor"))) == [release.number]
    assert numbers(Caller(someone())) == []


def test_a_superuser_has_no_back_door(release: Release) -> None:
    root: Any = Caller(someone(is_superuser=True))
    root.refused("get", f"{API}/releases/{release.number}/", status=404)
    root.refused("post", f"{API}/environments/", {"key": "x", "name": "X", "tier": "test", "rank": 1}, status=403)
