"""The command line: the first administrators, and tokens for pipelines."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from releasemgmt.accounts.models import ApiToken, RoleAssignment, User
from releasemgmt.workflow.models import Event
from tests.factories import someone

pytestmark = pytest.mark.django_db
PASSWORD = "Kolibri-77-im-Garten"


def create_administrator(monkeypatch: pytest.MonkeyPatch, name: str, *, password: str = PASSWORD) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))
    call_command("create_administrator", name)


def test_an_empty_database_gets_its_first_two_administrators(monkeypatch: Any) -> None:
    for name in ("ada", "bob"):
        create_administrator(monkeypatch, name)
    held = RoleAssignment.objects.filter(role="administrator", team=None)
    assert {assignment.user.username for assignment in held} == {"ada", "bob"}
    events = Event.objects.filter(kind="accounts.user.bootstrap")
    assert [(event.actor.kind, event.data) for event in events] == [("system", {"bootstrap": True})] * 2
    signed_in = Client().post("/accounts/login/", {"login": "ada", "password": PASSWORD})
    assert signed_in["Location"] == "/admin/"
    assert Event.objects.filter(kind="accounts.user.sign_in", actor__username="ada").count() == 1


def test_from_two_on_they_are_made_by_administrators(monkeypatch: Any) -> None:
    someone("administrator")
    someone("administrator")
    before = User.objects.count()
    with pytest.raises(CommandError, match="There are two administrators"):
        create_administrator(monkeypatch, "carl")
    assert User.objects.count() == before


def test_those_who_were_deactivated_and_those_of_a_team_do_not_count(monkeypatch: Any) -> None:
    someone("administrator", is_active=False)
    someone("administrator")
    create_administrator(monkeypatch, "carl")
    assert User.objects.get(username="carl").is_active


@pytest.mark.parametrize(
    ("name", "password", "why"), [("ada", "short", "too short"), ("a b", PASSWORD, "valid username")]
)
def test_a_bad_name_or_password_makes_nobody(monkeypatch: Any, name: str, password: str, why: str) -> None:
    with pytest.raises(CommandError, match=why):
        create_administrator(monkeypatch, name, password=password)
    assert not User.objects.exclude(kind="system").exists()


def test_a_token_is_printed_once_and_lets_in(capsys: pytest.CaptureFixture[str]) -> None:
    someone("service", username="ci")
    call_command("create_token", "ci", name="pipeline", scope=["write", "deploy"], days=1)
    secret = capsys.readouterr().out.strip()
    assert Client().get("/api/v1/me/", headers={"Authorization": f"Bearer {secret}"}).json()["username"] == "ci"
    token = ApiToken.objects.get()
    assert (token.name, token.scopes, token.created_by.kind) == ("pipeline", ["deploy", "write"], "system")


@pytest.mark.parametrize(
    ("name", "days"), [("nobody", 1), ("ci", 0), ("ci", -1), ("ci", 10**9), ("gone", 1), ("system", 1)]
)
def test_no_token_for_nobody_or_no_time(name: str, days: int) -> None:
    someone("service", username="ci")
    someone(username="gone", is_active=False)
    with pytest.raises(CommandError):
        call_command("create_token", name, days=days)
    assert ApiToken.objects.count() == 0
