"""Signing in by a real identity provider: who comes in, with which roles, and who does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from allauth.socialaccount.models import SocialAccount
from django.core.cache import cache
from django.utils import timezone

from releasemgmt.accounts import commands
from releasemgmt.accounts.models import GroupMapping, Team, User
from releasemgmt.workflow.errors import Conflict, NotPermitted
from releasemgmt.workflow.models import Event
from tests.accounts.provider import Browser, Provider
from tests.factories import TeamFactory, someone

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with Provider().running() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider, settings: Any) -> Provider:
    cache.clear()
    settings.SOCIALACCOUNT_PROVIDERS = running.settings
    return running


@pytest.fixture
def visitor(live_server: Any, provider: Provider) -> Browser:
    return Browser(live_server.url)


@pytest.fixture
def team() -> Team:
    team: Team = TeamFactory(key="shop")
    return team


def mapped(group: str, role: str, team: Team | None = None) -> GroupMapping:
    """A mapping on which two administrators agreed."""
    ada, bob = someone("administrator"), someone("administrator")
    mapping = commands.map_group(group=group, role=role, team=team, actor=ada, now=timezone.now())
    return commands.accept_mapping(mapping, actor=bob, now=timezone.now())


def home(answer: httpx.Response) -> bool:
    return answer.url.path == "/admin/" and answer.status_code == 200


def held(user: User) -> set[tuple[str, str | None]]:
    return set(user.role_assignments.values_list("role", "team__key"))


def test_without_a_provider_there_is_no_button(live_server: Any, settings: Any) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = {}
    visitor = Browser(live_server.url)
    assert "/accounts/oidc/" not in visitor.get("/accounts/login/").text
    assert visitor.get("/accounts/oidc/mock/login/").status_code == 404


def test_somebody_of_a_mapped_group_comes_in_with_its_roles(visitor: Browser, provider: Provider, team: Team) -> None:
    mapped("managers", "release_manager", team)
    mapped("ops", "deployer")
    provider.knows(
        "u-1", preferred_username="ada", name="Ada King", email="ada@example.org", email_verified=True,
        groups=["managers", "ops", "choir"],
    )  # fmt: skip
    assert "Example SSO" in visitor.get("/accounts/login/").text
    assert home(visitor.sign_in("u-1"))
    ada = User.objects.get(username="ada")
    assert (str(ada), ada.email, ada.has_usable_password(), ada.is_superuser) == (
        "Ada King", "ada@example.org", False, False,
    )  # fmt: skip
    assert held(ada) == {("release_manager", "shop"), ("deployer", None)}
    events = Event.objects.filter(stream=ada.stream).order_by("seq")
    assert [event.kind.removeprefix("accounts.user.") for event in events] == [
        "create", "link_identity", "grant_role", "grant_role", "sign_in",
    ]  # fmt: skip
    assert events[2].actor.kind == "system" and events[2].on_behalf_of == ada
    assert events[4].data == {"by": ["socialaccount"]}


def test_each_sign_in_gives_and_takes_what_the_groups_say_and_keeps_what_people_granted(
    visitor: Browser, provider: Provider, team: Team
) -> None:
    mapped("managers", "release_manager", team)
    mapped("members", "cab_member", team)
    provider.knows("u-2", preferred_username="cem", groups=["managers", "members"])
    visitor.sign_in("u-2")
    cem = User.objects.get(username="cem")
    first = cem.role_assignments.get(role="cab_member").granted_at
    commands.grant_role(cem, role="auditor", team=None, actor=commands.system(), now=timezone.now())
    provider.knows("u-2", preferred_username="cem", groups=["members"])
    visitor.sign_in("u-2")
    assert held(cem) == {("cab_member", "shop"), ("auditor", None)}
    assert cem.role_assignments.get(role="cab_member").granted_at == first, "it is held since it was gained first"
    provider.knows("u-2", preferred_username="cem")
    assert home(visitor.sign_in("u-2")), "the account stays, without the roles"
    assert held(cem) == {("auditor", None)}
    provider.knows("u-2", preferred_username="cem", groups=["members"])
    visitor.sign_in("u-2")
    assert cem.role_assignments.get(role="cab_member").granted_at > first, "regained is granted anew"


@pytest.mark.parametrize(("minutes", "asks"), [(1, False), (30, True)])
def test_what_weighs_much_asks_again_where_the_provider_asked_long_ago(
    visitor: Browser, provider: Provider, team: Team, minutes: int, asks: bool
) -> None:
    mapped("releases", "contributor", team)
    asked_at = int(time.time()) - 60 * minutes
    provider.knows("u-9", preferred_username="ada", groups=["releases"], auth_time=asked_at)
    visitor.sign_in("u-9")
    page = f"/admin/accounts/user/{User.objects.get(username='ada').pk}/change/"
    visitor.get(page)
    answer = visitor.post(f"{page}tokens/", name="t", days="1", scopes=["approve"])
    assert (answer.url.path == "/accounts/login/", "New API token" in answer.text) == (asks, not asks)


def test_without_a_mapped_group_nobody_new_comes_in(visitor: Browser, provider: Provider) -> None:
    ada, _bob = someone("administrator"), someone("administrator")
    commands.map_group(group="ops", role="deployer", team=None, actor=ada, now=timezone.now())  # nobody agreed yet
    provider.knows("u-3", preferred_username="eve", groups=["ops"])
    before = User.objects.count()
    answer = visitor.sign_in("u-3")
    assert answer.status_code == 403
    assert "None of your groups is let in here" in answer.text
    assert (User.objects.count(), SocialAccount.objects.count()) == (before, 0)
    assert visitor.get("/admin/").url.path == "/accounts/login/"


@pytest.mark.parametrize("same", [{"preferred_username": "MARA"}, {"email": "mara@example.org"}])
def test_an_account_is_never_found_by_name_or_address(
    visitor: Browser, provider: Provider, team: Team, same: dict[str, str]
) -> None:
    mapped("managers", "release_manager", team)
    mara = someone("contributor", username="mara", email="mara@example.org")
    claims = {"preferred_username": "other", "email": "other@example.org", "email_verified": True} | same
    provider.knows("u-4", groups=["managers"], **claims)
    answer = visitor.sign_in("u-4")
    assert answer.status_code == 403
    assert "link it on your page" in answer.text
    assert held(mara) == {("contributor", None)}
    assert SocialAccount.objects.count() == 0


def test_an_address_counts_only_where_the_provider_has_verified_it(
    visitor: Browser, provider: Provider, team: Team
) -> None:
    mapped("managers", "release_manager", team)
    for said in ({}, {"email_verified": False}, {"email_verified": "true"}):
        provider.knows("u-5", preferred_username="lea", email="boss@example.org", groups=["managers"], **said)
        assert home(visitor.sign_in("u-5"))
        assert User.objects.get(username="lea").email == ""
    for address in ("lea@example.org", "lea.new@example.org"):
        provider.knows("u-5", preferred_username="lea", email=address, email_verified=True, groups=["managers"])
        visitor.sign_in("u-5")
    lea = User.objects.get(username="lea")
    assert (lea.email, set(lea.addresses)) == ("lea.new@example.org", {"lea@example.org", "lea.new@example.org"})


def test_who_is_deactivated_stays_out_and_gains_nothing(visitor: Browser, provider: Provider, team: Team) -> None:
    mapped("managers", "release_manager", team)
    provider.knows("u-6", preferred_username="joe", groups=["managers"])
    visitor.sign_in("u-6")
    joe = User.objects.get(username="joe")
    commands.deactivate(joe, actor=commands.system(), now=timezone.now())
    mapped("ops", "deployer")
    provider.knows("u-6", preferred_username="joe", groups=["managers", "ops"])
    assert "No access" in visitor.sign_in("u-6").text
    assert held(joe) == {("release_manager", "shop")}
    assert visitor.get("/admin/").url.path == "/accounts/login/"


def test_a_person_links_their_account_by_signing_in_to_both(visitor: Browser, provider: Provider, team: Team) -> None:
    mapped("managers", "release_manager", team)
    mara = commands.create_user(username="mara", password=PASSWORD, actor=commands.system())
    provider.knows("u-7", preferred_username="mara", groups=["managers"])
    visitor.get("/accounts/login/")
    assert home(visitor.post("/accounts/login/", login="mara", password=PASSWORD))
    page = f"/admin/accounts/user/{mara.pk}/change/"
    assert "Example SSO" in visitor.get(page).text
    on = visitor.post(f"{page}link/")
    way = on.headers["Refresh"].removeprefix("0; url=")
    back = visitor.agree(visitor.get(way), "u-7")
    assert back.url.path == page and "Linked" in back.text
    assert held(mara) == {("release_manager", "shop")}
    assert home(Browser(visitor.service).sign_in("u-7"))
    assert SocialAccount.objects.get().user == mara
    visitor.post(f"{page}unlink/")
    assert (SocialAccount.objects.count(), held(mara)) == (0, set())


def test_another_site_links_nobody(visitor: Browser, provider: Provider) -> None:
    mara = commands.create_user(username="mara", password=PASSWORD, actor=commands.system())
    provider.knows("evil", preferred_username="evil")
    visitor.get("/accounts/login/")
    visitor.post("/accounts/login/", login="mara", password=PASSWORD)
    answer = visitor.agree(visitor.get("/accounts/oidc/mock/login/?process=connect&next=/admin/"), "evil")
    assert answer.status_code == 403
    assert "Linking begins on your own page" in answer.text
    assert not SocialAccount.objects.filter(user=mara).exists()


def test_an_account_there_belongs_to_one_person_here(provider: Provider) -> None:
    one, two = (commands.create_user(username=name, actor=commands.system()) for name in ("one", "two"))
    known = commands.Identity("mock", "u-8", "one", "", "", frozenset())
    commands.link_identity(one, known, actor=one, now=timezone.now())
    commands.link_identity(one, known, actor=one, now=timezone.now())
    other = commands.Identity("mock", "u-9", "one", "", "", frozenset())
    for user, identity in ((two, known), (one, other)):
        with pytest.raises(Conflict, match="account"):
            commands.link_identity(user, identity, actor=user, now=timezone.now())
    assert SocialAccount.objects.get().uid == "u-8"


def test_nobody_unlinks_their_only_way_in_but_an_administrator_may(provider: Provider) -> None:
    one = commands.create_user(username="one", actor=commands.system())
    known = commands.Identity("mock", "u-11", "one", "", "", frozenset())
    commands.link_identity(one, known, actor=one, now=timezone.now())
    with pytest.raises(Conflict, match="could not sign in any more"):
        commands.unlink_identity(one, actor=one)
    with pytest.raises(NotPermitted):
        commands.unlink_identity(one, actor=someone("release_manager"))
    assert SocialAccount.objects.count() == 1
    commands.unlink_identity(one, actor=someone("administrator"))
    assert SocialAccount.objects.count() == 0


@pytest.mark.parametrize("path", ["?code=x&state=y", "?error=server_error&state=y", "?state=y", ""])
def test_a_forged_return_signs_nobody_in(visitor: Browser, path: str) -> None:
    answer = visitor.get(f"/accounts/oidc/mock/login/callback/{path}")
    assert answer.status_code == 401
    assert "did not confirm who you are" in answer.text
    assert visitor.get("/admin/").url.path == "/accounts/login/"


def test_a_return_is_good_once_and_in_the_browser_that_began(visitor: Browser, provider: Provider) -> None:
    mapped("managers", "release_manager")
    provider.knows("u-10", preferred_username="pia", groups=["managers"])
    page = visitor.to_provider()
    back = httpx.post(str(page.url), data={"sub": "u-10"}).headers["Location"]
    assert Browser(visitor.service).get(back).status_code == 401
    assert home(visitor.get(back))
    assert Browser(visitor.service).get(back).status_code == 401


def test_who_cancels_there_is_told_so_here(visitor: Browser) -> None:
    state = visitor.to_provider().url.params["state"]
    answer = visitor.get(f"/accounts/oidc/mock/login/callback/?error=access_denied&state={state}")
    assert "The sign-in was cancelled" in answer.text


def test_a_provider_that_is_down_is_said_and_nothing_breaks(visitor: Browser, settings: Any) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = Provider().settings
    answer = visitor.get("/accounts/oidc/mock/login/")
    assert answer.status_code == 503
    assert "can't be reached just now" in answer.text
