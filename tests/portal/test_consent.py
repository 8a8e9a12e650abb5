"""The page of what waits for a second person."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from releasemgmt.accounts.commands import grant_role
from releasemgmt.accounts.models import RoleRequest, User
from releasemgmt.workflow.models import Event
from tests.factories import TeamFactory, someone
from tests.portal.test_pages import signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/accounts/rolerequest/"


@pytest.fixture
def people() -> dict[str, User]:
    found = {name: someone("administrator", username=name) for name in ("ada", "bob")}
    return found | {"mara": someone("contributor", username="mara")}


@pytest.fixture
def wanted(people: dict[str, User], now: datetime) -> RoleRequest:
    grant_role(people["mara"], role="deployer", team=None, actor=people["ada"], now=now)
    return RoleRequest.objects.get()


def settle(client: Client, wanted: RoleRequest, step: str, **sent: str) -> str:
    answer = client.post(reverse("admin:accounts_rolerequest_settle", args=[wanted.pk, step]), sent, follow=True)
    return answer.content.decode()


def test_granting_says_that_it_waits_and_agreeing_that_it_is_done(people: dict[str, User]) -> None:
    address = reverse("admin:accounts_user_change", args=[people["mara"].pk])
    ada, bob = signed_in(people["ada"]), signed_in(people["bob"])
    said = ada.post(f"{address}roles/", {"role": "deployer"}, follow=True).content.decode()
    assert "Another administrator has to agree" in said
    assert "Take back" in said and ">Agree<" not in said
    assert "1 request of another administrator waits for you" in bob.get("/admin/").content.decode()
    assert "of another administrator" not in ada.get("/admin/").content.decode()
    wanted = RoleRequest.objects.get()
    assert f"/{wanted.pk}/accept/" in bob.get(LIST).content.decode()
    assert "the role is granted" in settle(bob, wanted, "accept", back=address)
    assert people["mara"].role_assignments.filter(role="deployer").exists()
    assert "No role waits." in bob.get(LIST).content.decode()


def test_a_refusal_is_readable_and_on_the_callers_stream(people: dict[str, User], wanted: RoleRequest) -> None:
    assert "you have proposed this yourself" in settle(signed_in(people["ada"]), wanted, "accept")
    refusal = Event.objects.get(kind="workflow.refused", stream=people["ada"].stream)
    assert refusal.data["code"] == "not_permitted"
    assert RoleRequest.objects.get().is_open


def test_declined_or_taken_back(people: dict[str, User], wanted: RoleRequest, now: datetime) -> None:
    assert "Declined" in settle(signed_in(people["bob"]), wanted, "decline")
    again = grant_role(people["mara"], role="deployer", team=None, actor=people["ada"], now=now)
    assert isinstance(again, RoleRequest)
    assert "Taken back" in settle(signed_in(people["ada"]), again, "withdraw", back="https://elsewhere.example/")
    assert sorted(RoleRequest.objects.values_list("state", flat=True)) == ["declined", "withdrawn"]


def test_others_see_no_more_than_theirs_and_settle_nothing(people: dict[str, User], wanted: RoleRequest) -> None:
    stranger = signed_in(someone("release_manager", team=TeamFactory()))
    assert "mara" not in stranger.get(LIST).content.decode().lower()
    assert stranger.post(reverse("admin:accounts_rolerequest_settle", args=[wanted.pk, "accept"])).status_code == 404
    auditor = signed_in(someone("auditor"))
    page = auditor.get(LIST).content.decode()
    assert "Mara" in page and "/accept/" not in page
    assert "You may not agree to roles" in settle(auditor, wanted, "accept")
    nowhere = reverse("admin:accounts_rolerequest_settle", args=[wanted.pk, "burn"])
    assert signed_in(people["bob"]).post(nowhere).status_code == 404
    assert signed_in(people["bob"]).get(nowhere).status_code == 405
    assert RoleRequest.objects.get().is_open
