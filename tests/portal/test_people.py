"""People in the admin: everybody keeps their own facts, administrators keep everybody's."""

from __future__ import annotations

import pytest
from django.urls import reverse

from releasemgmt.accounts.models import User
from releasemgmt.workflow.models import Event
from tests.factories import TeamFactory, someone
from tests.portal.test_pages import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return someone("deployer", team=TeamFactory(key="web"), username="ada", first_name="Ada", last_name="King")


def page(user: User, rest: str = "") -> str:
    return reverse("admin:accounts_user_change", args=[user.pk]) + rest


def test_a_person_chooses_the_time_zone_of_their_pages(ada: User) -> None:
    client = signed_in(ada)
    assert b'value="Ada King"' in client.get(page(ada, "edit/")).content
    sent = {"name": "Ada Lovelace", "email": "ada@example.org", "time_zone": "Asia/Tokyo"}
    assert client.post(page(ada, "edit/"), sent).status_code == 302
    ada = User.objects.get(pk=ada.pk)
    assert (str(ada), ada.email, ada.time_zone, ada.revision) == ("Ada Lovelace", "ada@example.org", "Asia/Tokyo", 2)


def test_a_time_zone_that_is_none_is_said_at_its_field(ada: User) -> None:
    answer = signed_in(ada).post(page(ada, "edit/"), {"name": "Ada", "time_zone": "Mars/Olympus"})
    assert answer.status_code == 400
    assert b"There is no time zone Mars/Olympus." in answer.content
    assert User.objects.get(pk=ada.pk).revision == 1


def test_nobody_else_edits_them_but_an_administrator(ada: User) -> None:
    sent = {"name": "Eve", "email": "eve@example.org", "time_zone": "UTC"}
    colleague = someone("release_manager", team=ada.role_assignments.get().team)
    assert signed_in(colleague).post(page(ada, "edit/"), sent).status_code == 400
    assert User.objects.get(pk=ada.pk).revision == 1
    assert Event.objects.filter(stream=colleague.stream, kind="workflow.refused").count() == 1
    assert signed_in(someone("administrator")).post(page(ada, "edit/"), sent).status_code == 302
    assert User.objects.get(pk=ada.pk).email == "eve@example.org"


def test_an_administrator_shuts_a_person_out_and_lets_them_in_again(ada: User) -> None:
    person, administrator = signed_in(ada), signed_in(someone("administrator"))
    assert b"Sessions and API tokens end at once" in administrator.get(page(ada, "deactivate/")).content
    assert person.get("/admin/").status_code == 200
    assert administrator.post(page(ada, "deactivate/")).status_code == 302
    assert person.get("/admin/").status_code == 302
    assert b"Let in again" in administrator.get(page(ada)).content
    assert administrator.post(page(ada, "reactivate/")).status_code == 302
    assert person.get("/admin/").status_code == 302, "with a new sign-in only"
    assert signed_in(User.objects.get(pk=ada.pk)).get("/admin/").status_code == 200
    assert administrator.get(page(ada, "reactivate/")).status_code == 405
