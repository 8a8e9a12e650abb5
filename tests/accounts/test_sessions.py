"""Sessions: who is shut out is out at once and for good, and what weighs much asks for the password again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from releasemgmt.accounts import commands
from releasemgmt.accounts.authentication import is_fresh, signed_in_at
from releasemgmt.accounts.models import ApiToken, User
from releasemgmt.workflow.models import Event
from tests.factories import someone
from tests.web.world import Caller

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def no_attempts_yet() -> None:
    cache.clear()


@pytest.fixture
def mara() -> User:
    user = someone("release_manager", username="mara")
    return commands.set_password(user, password=PASSWORD, actor=user)


def signed_in(user: User) -> Client:
    client = Client()
    answer = client.post(reverse("account_login"), {"login": user.username, "password": PASSWORD})
    assert answer["Location"] == reverse("admin:index")
    return client


def tokens(user: User) -> str:
    return reverse("admin:accounts_user_change", args=[user.pk]) + "tokens/"


def test_who_is_deactivated_is_out_on_every_page_that_is_open_and_stays_out(mara: User) -> None:
    here, there = signed_in(mara), signed_in(mara)
    form = {"name": "Mara", "time_zone": "UTC"}
    edit = reverse("admin:accounts_user_change", args=[mara.pk]) + "edit/"
    assert here.get(edit).status_code == 200
    commands.deactivate(mara, actor=commands.system(), now=timezone.now())
    before = Event.objects.count()
    for client in (here, there):
        assert client.post(edit, form)["Location"].startswith("/admin/login/")
        assert client.get("/api/v1/me/").status_code == 401
    assert Event.objects.count() == before
    commands.reactivate(mara, actor=commands.system())
    for client in (here, there):
        assert client.get("/admin/").status_code == 302, "the session of before is not revived"
    assert signed_in(User.objects.get(pk=mara.pk)).get("/admin/").status_code == 200


def test_tokens_end_with_the_person_and_are_not_revived(mara: User) -> None:
    caller = Caller(mara)
    assert caller.get("/api/v1/me/").status_code == 200
    commands.deactivate(mara, actor=commands.system(), now=timezone.now())
    assert caller.get("/api/v1/me/").status_code == 401
    commands.reactivate(mara, actor=commands.system())
    assert caller.get("/api/v1/me/").status_code == 401


def test_a_new_password_ends_the_other_sessions(mara: User) -> None:
    here, there = signed_in(mara), signed_in(mara)
    sent = {"oldpassword": PASSWORD, "password1": "an entirely new one", "password2": "an entirely new one"}
    assert here.post(reverse("account_change_password"), sent).status_code == 302
    assert (here.get("/admin/").status_code, there.get("/admin/").status_code) == (200, 302)


def test_a_session_says_when_it_last_proved_who_it_is(mara: User) -> None:
    request: Any = RequestFactory().get("/")
    client = signed_in(mara)
    request.session, request.user = client.session, mara
    at = signed_in_at(request)
    assert at is not None and timezone.now() - at < timedelta(seconds=30)
    assert is_fresh(request, now=at + timedelta(minutes=14))
    assert not is_fresh(request, now=at + timedelta(minutes=15))
    request.user = someone()
    assert signed_in_at(request) is None, "the proof is another person's"


def test_a_session_without_a_proof_is_not_fresh_and_a_token_is(mara: User) -> None:
    request: Any = RequestFactory().get("/")
    request.user, request.session = mara, Client().session
    assert not is_fresh(request, now=timezone.now())
    request.auth = ApiToken()
    assert is_fresh(request, now=timezone.now())


def test_a_token_that_may_vote_asks_for_the_password_and_then_goes_on(mara: User) -> None:
    sent = {"name": "votes", "scopes": ["approve"], "days": "1"}
    with time_machine.travel(timezone.now(), tick=False) as clock:
        client = signed_in(mara)
        assert b"rmt_" in client.post(tokens(mara), sent).content
        clock.shift(timedelta(minutes=16))
        assert b"rmt_" in client.post(tokens(mara), sent | {"scopes": ["write"]}).content
        asked = client.post(tokens(mara), sent)
        assert asked["Location"].startswith(reverse("account_reauthenticate"))
        page = client.get(asked["Location"]).content.decode()
        assert "Is it still you?" in page and tokens(mara) in page
        again = {"password": "wrong", "next": tokens(mara)}
        assert "rmt_" not in client.post(reverse("account_reauthenticate"), again).content.decode()
        assert ApiToken.objects.count() == 2
        done = client.post(reverse("account_reauthenticate"), again | {"password": PASSWORD})
    assert b"rmt_" in done.content
    assert ApiToken.objects.latest("pk").scopes == ["approve"]


def test_who_has_no_password_signs_in_anew_and_comes_back(mara: User) -> None:
    client, otto = Client(), commands.create_user(username="otto", actor=commands.system())
    client.force_login(otto, backend="allauth.account.auth_backends.AuthenticationBackend")
    address = tokens(otto)
    answer = client.post(address, {"name": "x", "scopes": ["approve"], "days": "1"}, HTTP_REFERER=address)
    assert answer["Location"] == f"{reverse('account_login')}?next={address.replace('/', '%2F')}&again=1"
    assert "please sign in again" in client.get(answer["Location"]).content.decode()
    assert ApiToken.objects.count() == 0
