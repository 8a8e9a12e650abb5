"""Signing in: by password, throttled, closed to strangers, and an event for each."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from releasemgmt.accounts.commands import create_user, deactivate, system
from releasemgmt.accounts.models import User
from releasemgmt.workflow.models import Event

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def no_attempts_yet() -> None:
    cache.clear()


@pytest.fixture
def person() -> User:
    return create_user(username="mara", password=PASSWORD, actor=system())


def sign_in(client: Client, password: str = PASSWORD, **extra: str) -> str:
    """Try it; answers where the browser ends."""
    answer = client.post(reverse("account_login"), {"login": "mara", "password": password}, follow=True, headers=extra)
    return str(answer.request["PATH_INFO"])


def test_a_sign_in_is_an_event(person: User) -> None:
    assert sign_in(Client()) == reverse("admin:index")
    assert Event.objects.filter(stream=person.stream, kind="accounts.user.sign_in").count() == 1


def test_a_wrong_password_is_no_sign_in(person: User) -> None:
    assert sign_in(Client(), "wrong") == reverse("account_login")
    assert not Event.objects.filter(stream=person.stream, kind="accounts.user.sign_in").exists()


def test_guessing_is_throttled_and_a_spoofed_address_does_not_help(person: User) -> None:
    for n in range(5):
        sign_in(Client(), "wrong", **{"X-Forwarded-For": f"192.0.2.{n}"})
    assert sign_in(Client(), **{"X-Forwarded-For": "192.0.2.99"}) == reverse("account_login")


def test_nobody_signs_themselves_up() -> None:
    answer = Client().post(reverse("account_signup"), {"username": "eve", "password1": PASSWORD}, follow=True)
    assert "made by administrators" in answer.content.decode()
    assert not User.objects.filter(username="eve").exists()


def test_who_is_deactivated_is_out_at_once(person: User) -> None:
    client = Client()
    sign_in(client)
    assert client.get(reverse("admin:index")).status_code == 200
    deactivate(person, actor=system(), now=timezone.now())
    assert client.get(reverse("admin:index")).status_code == 302
    assert sign_in(Client()) != reverse("admin:index")


def test_the_admins_own_form_leads_to_the_same_throttle(person: User) -> None:
    answer = Client().post(reverse("admin:login"), {"username": "mara", "password": PASSWORD})
    assert answer.status_code == 302 and reverse("account_login") in answer["Location"]


@pytest.mark.parametrize(
    "path", ["email/", "password/reset/", "password/set/", "confirm-email/", "login/code/confirm/"]
)
def test_nothing_of_the_sign_in_library_goes_beside_the_commands(person: User, path: str) -> None:
    client = Client()
    sign_in(client)
    assert client.get(f"/accounts/{path}").status_code == 404


def test_who_has_no_password_is_told_where_it_is_changed() -> None:
    client = Client()
    otto = create_user(username="otto", actor=system())
    client.force_login(otto, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer = client.get(reverse("account_change_password"), follow=True)
    assert "This account has no password" in answer.content.decode()
