"""The second factor: turned on, asked for, lost, and turned off."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from releasemgmt.accounts import commands
from releasemgmt.accounts.models import User
from releasemgmt.workflow.errors import NotPermitted
from releasemgmt.workflow.models import Event
from tests.factories import someone

pytestmark = pytest.mark.django_db(transaction=True)  # the events follow the commit
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def clock() -> Iterator[Any]:
    """A clock that the test turns: a code is good once, and for half a minute."""
    cache.clear()
    with time_machine.travel(timezone.now(), tick=False) as travelled:
        yield travelled


@pytest.fixture
def mara() -> User:
    return commands.create_user(username="mara", password=PASSWORD, actor=commands.system())


def code(secret: str) -> str:
    """What an authenticator app shows (RFC 6238)."""
    mac = hmac.new(base64.b32decode(secret), struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    offset = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[offset : offset + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"


def sign_in(client: Client) -> str:
    """By password; answers where the browser is led."""
    return str(client.post(reverse("account_login"), {"login": "mara", "password": PASSWORD})["Location"])


def turn_on(client: Client) -> str:
    """Set it up as the pages ask for it; answers the secret."""
    asked = client.get(reverse("mfa_activate_totp"))
    assert asked["Location"].startswith(reverse("account_reauthenticate")), "the password is asked for again"
    again = {"password": PASSWORD, "next": reverse("mfa_activate_totp")}
    page = client.post(reverse("account_reauthenticate"), again, follow=True).content.decode()
    secret: str = re.findall(r'rm-secret">([A-Z2-7]{32})<', page)[0]
    assert "data:image/svg+xml" in page
    wrong = client.post(reverse("mfa_activate_totp"), {"code": "000000"})
    assert b"Incorrect code" in wrong.content
    done = client.post(reverse("mfa_activate_totp"), {"code": code(secret)}, follow=True)
    assert "Recovery codes" in done.content.decode()
    return secret


def told(user: User) -> list[tuple[str, Any]]:
    events = Event.objects.filter(stream=user.stream).order_by("seq")
    return [(event.kind.removeprefix("accounts.user."), event.data) for event in events][1:]


def test_signing_in_takes_a_code_once_it_is_on(mara: User, clock: Any) -> None:
    client = Client()
    sign_in(client)
    secret = turn_on(client)
    clock.shift(timedelta(minutes=1))
    other = Client()
    assert sign_in(other) == reverse("mfa_authenticate")
    assert other.get("/admin/").status_code == 302, "the password alone lets nobody in"
    assert b"Incorrect code" in other.post(reverse("mfa_authenticate"), {"code": "123456"}).content
    shown = code(secret)
    assert other.post(reverse("mfa_authenticate"), {"code": shown})["Location"] == "/admin/"
    assert other.get("/admin/").status_code == 200
    third = Client()
    sign_in(third)
    assert b"Incorrect code" in third.post(reverse("mfa_authenticate"), {"code": shown}).content, "good once"
    assert told(mara) == [
        ("sign_in", {"by": ["password"]}),
        ("add_second_factor", {}),
        ("sign_in", {"by": ["password", "mfa"]}),
    ]


def test_a_recovery_code_lets_in_once(mara: User) -> None:
    client = Client()
    sign_in(client)
    turn_on(client)
    page = client.get(reverse("mfa_view_recovery_codes")).content.decode()
    codes = re.findall(r"<li><code>([^<]+)</code>", page)
    assert len(codes) == 10
    other, third = Client(), Client()
    sign_in(other)
    assert other.post(reverse("mfa_authenticate"), {"code": codes[0]})["Location"] == "/admin/"
    sign_in(third)
    assert b"Incorrect code" in third.post(reverse("mfa_authenticate"), {"code": codes[0]}).content
    assert client.post(reverse("mfa_generate_recovery_codes")).status_code == 302
    assert told(mara)[-1][0] == "renew_recovery_codes"


def test_guessing_codes_is_throttled(mara: User, clock: Any) -> None:
    client, other = Client(), Client()
    sign_in(client)
    secret = turn_on(client)
    clock.shift(timedelta(minutes=1))
    sign_in(other)
    for n in range(5):
        other.post(reverse("mfa_authenticate"), {"code": f"00000{n}"}, headers={"X-Forwarded-For": f"192.0.2.{n}"})
    assert other.post(reverse("mfa_authenticate"), {"code": code(secret)}).status_code == 200
    assert other.get("/admin/").status_code == 302


def test_it_is_turned_off_with_the_password_and_an_event(mara: User) -> None:
    client = Client()
    sign_in(client)
    turn_on(client)
    assert client.post(reverse("mfa_deactivate_totp")).status_code == 302
    assert not Authenticator.objects.exists()
    assert told(mara)[-1] == ("remove_second_factor", {})
    assert sign_in(Client()) == "/admin/"


def test_its_secret_is_not_readable_in_the_database(mara: User, settings: Any) -> None:
    client = Client()
    sign_in(client)
    secret = turn_on(client)
    assert secret not in str(list(Authenticator.objects.values_list("data", flat=True)))
    settings.SECRET_KEY = "another-key-of-the-installation" * 2
    other = Client()
    sign_in(other)
    assert b"Incorrect code" in other.post(reverse("mfa_authenticate"), {"code": code(secret)}).content


def test_who_loses_it_is_let_in_by_an_administrator_only(mara: User) -> None:
    client = Client()
    sign_in(client)
    turn_on(client)
    for actor in (mara, someone("release_manager")):
        with pytest.raises(NotPermitted):
            commands.remove_second_factor(mara, actor=actor)
    ada = someone("administrator")
    for _ in range(2):
        commands.remove_second_factor(mara, actor=ada)
    assert [kind for kind, _data in told(mara)].count("remove_second_factor") == 1
    assert sign_in(Client()) == "/admin/"


def test_what_weighs_much_takes_the_password_or_the_code(mara: User, clock: Any) -> None:
    client = Client()
    sign_in(client)
    secret = turn_on(client)
    clock.shift(timedelta(minutes=20))
    page = reverse("admin:accounts_user_change", args=[mara.pk]) + "tokens/"
    asked = client.post(page, {"name": "votes", "scopes": ["approve"], "days": "1"})
    shown = client.get(asked["Location"]).content.decode()
    assert reverse("mfa_reauthenticate") in shown
    sent = {"code": code(secret), "next": page}
    assert b"rmt_" in client.post(reverse("mfa_reauthenticate"), sent).content
