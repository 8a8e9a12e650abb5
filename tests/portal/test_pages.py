"""The admin: it shows what a person sees, its buttons call commands, and it opens no back door."""

from __future__ import annotations

from time import time
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from releasemgmt.accounts.models import User
from releasemgmt.releases.commands import create_release
from releasemgmt.releases.models import Commit, Document, Release, ReleaseCommit
from releasemgmt.workflow.models import Event
from tests.factories import ProductFactory, TeamFactory, someone

pytestmark = pytest.mark.django_db


def signed_in(user: User) -> Client:
    """A session whose password was proved a moment ago."""
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": time()}]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()
    return client


@pytest.fixture
def release() -> Release:
    product = ProductFactory(key="shop", team=TeamFactory(key="web"))
    author = someone("contributor", team=product.team, username="author")
    return create_release(product=product, version="1.0", actor=author, now=timezone.now())[0]


@pytest.fixture
def manager(release: Release) -> User:
    return someone("release_manager", team=release.product.team, username="manager")


def page(release: Release, rest: str = "") -> str:
    return reverse("admin:releases_release_change", args=[release.pk]) + rest


def picture(release: Release) -> tuple[Any, ...]:
    rows = Release.objects.values_list("state", "revision", "event_seq", "event_hash")
    return (*rows.get(pk=release.pk), Event.objects.filter(stream=release.stream).count())


def change_lists() -> list[str]:
    return [f"admin:{m._meta.app_label}_{m._meta.model_name}_changelist" for m in admin.site._registry]


@pytest.mark.parametrize("name", change_lists())
def test_every_list_opens_for_everybody_with_a_role(name: str, release: Release, manager: User) -> None:
    assert signed_in(manager).get(reverse(name)).status_code == 200
    assert signed_in(someone("auditor")).get(reverse(name)).status_code == 200


@pytest.mark.parametrize("name", change_lists())
def test_nobody_gets_in_without_signing_in(name: str) -> None:
    answer = Client().get(reverse(name), follow=True)
    assert answer.redirect_chain[-1][0].startswith(reverse("account_login"))


def test_a_service_account_has_no_pages(release: Release) -> None:
    answer = signed_in(someone("service", team=release.product.team)).get(reverse("admin:index"))
    assert answer.status_code == 302


def test_another_teams_release_does_not_exist(release: Release) -> None:
    stranger = signed_in(someone("release_manager", team=ProductFactory().team))
    before = picture(release)
    for address in ("", "edit/", "builds/", "documents/impact/", "transition/build/"):
        assert stranger.get(page(release, address)).status_code == 404
    for address in ("comment/", "transition/cancel/", "round/", "edit/"):
        assert stranger.post(page(release, address), {"reason": "x", "body": "x"}).status_code == 404
    listed = stranger.get(reverse("admin:releases_release_changelist")).content.decode()
    assert release.number not in listed
    assert picture(release) == before


def test_the_page_says_why_a_button_is_off(release: Release, manager: User) -> None:
    html = signed_in(manager).get(page(release)).content.decode()
    assert "It has no component; name at least one." in html
    assert "disabled" in html


def test_a_transition_needs_a_post_and_its_reason(release: Release, manager: User) -> None:
    client, before = signed_in(manager), picture(release)
    asked = client.get(page(release, "transition/cancel/"))
    assert "There is no way back." in asked.content.decode()
    assert client.post(page(release, "transition/cancel/"), {"reason": " "}).status_code == 400
    assert picture(release) == before
    client.post(page(release, "transition/cancel/"), {"reason": "Not wanted any more."})
    release.refresh_from_db()
    assert release.state == "cancelled"


@pytest.mark.parametrize("role", ["contributor", "auditor", "cab_member", "administrator"])
def test_who_may_not_cancel_changes_nothing_and_is_noted(role: str, release: Release) -> None:
    person = someone(role, team=release.product.team)
    before = picture(release)
    signed_in(person).post(page(release, "transition/cancel/"), {"reason": "Because."})
    assert picture(release) == before
    assert Event.objects.filter(stream=person.stream, kind="workflow.refused").count() == 1


def test_a_superuser_has_no_back_door(release: Release) -> None:
    root = someone(is_superuser=True)
    before = picture(release)
    assert signed_in(root).post(page(release, "transition/cancel/"), {"reason": "root"}).status_code == 404
    assert picture(release) == before


def test_a_get_changes_nothing(release: Release, manager: User) -> None:
    client, before = signed_in(manager), picture(release)
    for address in (
        "",
        "edit/",
        "builds/",
        "defects/",
        "documents/impact/",
        "transition/cancel/",
        "comment/",
        "round/",
    ):
        client.get(page(release, address))
    assert picture(release) == before


def test_a_post_without_its_token_is_refused(release: Release, manager: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(manager, backend="allauth.account.auth_backends.AuthenticationBackend")
    before = picture(release)
    assert client.post(page(release, "transition/cancel/"), {"reason": "x"}).status_code == 403
    assert picture(release) == before


def test_no_form_has_a_state_or_a_vote() -> None:
    forms = [
        form
        for one in admin.site._registry.values()
        for form in (getattr(one, "add_form", None), getattr(one, "edit_form", None))
        if form is not None
    ]
    assert forms
    assert [form for form in forms if {"state", "votes", "cycle", "entered_by"} & set(form.base_fields)] == []


def test_an_edit_that_is_refused_keeps_what_was_typed(release: Release, manager: User) -> None:
    client, before = signed_in(manager), picture(release)
    sent = {"title": "Spring", "type": "minor", "database_change": "none", "risk": "low", "on_hold": "on"}
    answer = client.post(page(release, "edit/"), sent)
    assert answer.status_code == 400 and "Say why it is on hold." in answer.content.decode()
    assert 'value="Spring"' in answer.content.decode()
    assert picture(release) == before


def test_markdown_runs_no_html(release: Release, manager: User) -> None:
    client = signed_in(manager)
    client.post(page(release, "documents/impact/"), {"body": "**two** <script>alert(1)</script>"})
    html = client.get(page(release)).content.decode()
    assert "<strong>two</strong>" in html and "<script>alert" not in html


def test_a_new_release_is_one_form(release: Release, manager: User) -> None:
    sent = {"product": release.product_id, "version": "2.0", "type": "minor", "database_change": "none"}
    answer = signed_in(manager).post(reverse("admin:releases_release_add"), sent)
    made = Release.objects.get(version="2.0")
    assert answer["Location"] == page(made) and made.created_by == manager


def test_a_release_page_is_small_and_asks_little(
    release: Release, manager: User, django_assert_max_num_queries: Any
) -> None:
    Document.objects.bulk_create(
        Document(release=release, kind=kind, body="Text. " * 50, updated_by=manager) for kind in Document.Kind.values
    )
    at = timezone.now()
    rows = Commit.objects.bulk_create(
        Commit(product=release.product, sha=f"{n:040x}", authored_at=at, committed_at=at, subject=f"SHOP-{n} A thing")
        for n in range(60)
    )
    ReleaseCommit.objects.bulk_create(ReleaseCommit(release=release, commit=row) for row in rows)
    client = signed_in(manager)
    client.get(page(release))
    with django_assert_max_num_queries(20):
        html = client.get(page(release)).content
    assert len(html) <= 60 * 1024


def test_the_home_page_asks_little(release: Release, manager: User, django_assert_max_num_queries: Any) -> None:
    client = signed_in(manager)
    with django_assert_max_num_queries(12):
        assert client.get(reverse("admin:index")).status_code == 200


def test_a_new_installation_says_what_to_do_first() -> None:
    html = signed_in(someone("administrator")).get(reverse("admin:index")).content.decode()
    assert "A new installation" in html


def test_a_token_is_shown_once(manager: User) -> None:
    client = signed_in(manager)
    address = reverse("admin:accounts_user_change", args=[manager.pk])
    made = client.post(f"{address}tokens/", {"name": "laptop", "scopes": ["write"], "days": 30}).content.decode()
    secret = made.split("data-secret>")[1].split("<")[0]
    assert secret.startswith("rmt_")
    assert secret not in client.get(address).content.decode()


def test_the_demos_buttons_are_for_the_demo_on_this_machine_only(settings: Any) -> None:
    person = someone("cab_member", email="carla@demo.invalid", username="carla")
    sign_in, button = reverse("account_login"), {"username": person.username}
    settings.EMBEDDED = True
    assert "carla" in Client().get(sign_in, headers={"Host": "127.0.0.1"}).content.decode()
    for far in ({"REMOTE_ADDR": "192.0.2.7"}, {"HTTP_X_FORWARDED_FOR": "192.0.2.7"}, {"HTTP_HOST": "testserver"}):
        client = Client(**{"HTTP_HOST": "127.0.0.1", **far})  # type: ignore[arg-type]
        assert "carla" not in client.get(sign_in).content.decode()
        assert client.post(reverse("demo_sign_in"), button).status_code == 404
    settings.EMBEDDED = False
    assert Client(HTTP_HOST="127.0.0.1").post(reverse("demo_sign_in"), button).status_code == 404  # type: ignore[arg-type]
