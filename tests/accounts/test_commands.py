"""Users, teams, roles and tokens: who may, what is written, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from releasemgmt.accounts import commands
from releasemgmt.accounts.models import ApiToken, Role, RoleAssignment, Scope, Team, User
from releasemgmt.workflow import queries
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted, Refused
from releasemgmt.workflow.models import Aggregate, Event
from tests.factories import TeamFactory, someone
from tests.web.world import picture

pytestmark = pytest.mark.django_db
PASSWORD = "Kolibri-77-im-Garten"


@pytest.fixture
def administrator() -> User:
    return someone("administrator", username="admin")


@pytest.fixture
def team() -> Team:
    team: Team = TeamFactory(key="shop")
    return team


def kinds(record: Aggregate) -> list[str]:
    return [event.kind for event in queries.timeline(record)][::-1]


def refused(kind: type[Refused], act: Callable[[], Any], *subjects: Aggregate) -> Any:
    """The refusal; nobody is new and every subject is as it was."""
    before = [picture(subject) for subject in subjects], User.objects.count(), Event.objects.count()
    with pytest.raises(kind) as caught:
        act()
    assert ([picture(subject) for subject in subjects], User.objects.count(), Event.objects.count()) == before
    return caught.value


def test_an_administrator_makes_a_person(administrator: User) -> None:
    ada = commands.create_user(
        username="ada", name="Ada King Lovelace", email="ada@example.org", password=PASSWORD, actor=administrator
    )
    assert (str(ada), ada.kind, ada.is_active, ada.time_zone) == ("Ada King Lovelace", "human", True, "UTC")
    assert ada.check_password(PASSWORD)
    event = Event.objects.get(stream=ada.stream)
    assert (event.actor, event.kind) == (administrator, "accounts.user.create")
    assert PASSWORD not in str(event.data)


@pytest.mark.parametrize("role", [role for role in Role.values if role != "administrator"])
def test_nobody_else_makes_people_teams_or_roles(role: str, team: Team, now: datetime) -> None:
    actor, ada = someone(role), someone(username="ada")
    for act in (
        lambda: commands.create_user(username="bob", actor=actor),
        lambda: commands.create_team(key="x", name="X", actor=actor),
        lambda: commands.rename_team(team, name="X", actor=actor),
        lambda: commands.edit_user(ada, changes={"name": "X"}, actor=actor),
        lambda: commands.grant_role(ada, role="deployer", team=team, actor=actor, now=now),
        lambda: commands.deactivate(ada, actor=actor, now=now),
        lambda: commands.reactivate(ada, actor=actor),
    ):
        refused(NotPermitted, act, ada, team, actor)


def test_an_administrator_of_a_team_is_none_of_the_installation(team: Team, now: datetime) -> None:
    local, ada = someone("administrator", team=team), someone()
    refused(NotPermitted, lambda: commands.grant_role(ada, role="deployer", team=team, actor=local, now=now), ada)
    assert commands.rename_team(team, name="Ours", actor=local).name == "Ours"


def test_nobody_grants_themselves_a_role(team: Team, now: datetime) -> None:
    actor = someone("release_manager", team=team, is_superuser=True)
    refused(
        NotPermitted, lambda: commands.grant_role(actor, role="administrator", team=None, actor=actor, now=now), actor
    )


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"username": ""}, "username"),
        ({"username": "a b"}, "username"),
        ({"username": "x" * 151}, "username"),
        ({"email": "ada"}, "email"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"time_zone": "America"}, "time_zone"),
        ({"password": "short"}, "password"),
        ({"password": "password1234"}, "password"),
        ({"password": "ada-ada-ada-", "username": "ada-ada-ada"}, "password"),
        ({"kind": "service", "password": PASSWORD}, "password"),
        ({"kind": "robot"}, "kind"),
    ],
)
def test_values_that_are_none_are_refused_by_name(administrator: User, fields: dict[str, str], wrong: str) -> None:
    given = {"username": "ada"} | fields
    error = refused(Invalid, lambda: commands.create_user(actor=administrator, **given))
    assert list(error.errors) == [wrong]


def test_a_name_is_taken_once(administrator: User) -> None:
    commands.create_user(username="ada", actor=administrator)
    assert refused(Conflict, lambda: commands.create_user(username="ada", actor=administrator)).code == "exists"


def test_without_a_password_nobody_signs_in_by_password(administrator: User) -> None:
    for kind in ("human", "service"):
        assert not commands.create_user(
            username=kind, kind=kind, password="", actor=administrator
        ).has_usable_password()


def test_a_person_edits_themselves_and_an_administrator_everybody(administrator: User) -> None:
    ada = someone(username="ada")
    commands.edit_user(ada, changes={"time_zone": "Europe/Berlin", "name": "Ada L"}, actor=ada)
    ada = commands.edit_user(ada, changes={"email": "a@example.org"}, actor=administrator)
    assert (str(ada), ada.time_zone, ada.email) == ("Ada L", "Europe/Berlin", "a@example.org")
    assert kinds(ada) == ["accounts.user.edit"] * 2
    refused(Invalid, lambda: commands.edit_user(ada, changes={"time_zone": "Mars"}, actor=ada), ada)


def test_a_role_is_granted_once_and_taken_away_once(administrator: User, team: Team, now: datetime) -> None:
    ada = someone(username="ada")
    granted = commands.grant_role(ada, role="release_manager", team=team, actor=administrator, now=now)
    assert isinstance(granted, RoleAssignment)
    assert commands.grant_role(ada, role="release_manager", team=team, actor=administrator, now=now) == granted
    assert ada.roles_in(team.pk) == {"release_manager"}
    commands.revoke_role(granted, actor=administrator)
    commands.revoke_role(granted, actor=administrator)
    assert ada.roles_in(team.pk) == set()
    assert kinds(ada) == ["accounts.user.grant_role", "accounts.user.revoke_role"]
    assert [event.data for event in queries.timeline(ada)] == [{"role": "release_manager", "team": "shop"}] * 2


@pytest.mark.parametrize(
    ("who", "role"), [("human", "king"), ("human", ""), ("human", "service"), ("service", "release_manager")]
)
def test_a_role_that_does_not_fit_is_refused(
    administrator: User, team: Team, now: datetime, who: str, role: str
) -> None:
    user = someone("service", team=team) if who == "service" else someone()
    refused(Invalid, lambda: commands.grant_role(user, role=role, team=team, actor=administrator, now=now), user)


def test_the_system_user_has_no_role_no_token_no_password_and_no_end(administrator: User, now: datetime) -> None:
    engine = commands.system()
    assert engine == commands.system()
    assert not engine.has_usable_password()
    later = now + timedelta(days=1)
    for act in (
        lambda: commands.grant_role(engine, role="administrator", team=None, actor=administrator, now=now),
        lambda: commands.create_token(engine, name="x", scopes=[], expires_at=later, actor=administrator, now=now),
        lambda: commands.deactivate(engine, actor=administrator, now=now),
    ):
        refused(Invalid, act, engine)


def token(user: User, actor: User, now: datetime, **fields: Any) -> tuple[ApiToken, str]:
    given: dict[str, Any] = {"name": "ci", "scopes": ["write"], "expires_at": now + timedelta(days=1)} | fields
    return commands.create_token(user, actor=actor, now=now, **given)


def test_a_person_makes_their_own_token_and_an_administrator_a_services(administrator: User, now: datetime) -> None:
    ada, ci = someone(username="ada"), someone("service", username="ci")
    for user, actor in ((ada, ada), (ci, administrator), (ada, commands.system())):
        made, secret = token(user, actor, now)
        assert secret.startswith("rmt_") and len(secret) > 40
        assert made.digest == commands.token_digest(secret)
        data = Event.objects.filter(stream=user.stream, kind="accounts.user.create_token").last().data  # type: ignore[union-attr]
        assert data["prefix"] == secret[:10]
        assert secret not in str(data)
    assert len({row.digest for row in ApiToken.objects.all()}) == 3


def test_a_token_for_somebody_else_is_refused(administrator: User, now: datetime) -> None:
    ada, ci = someone(username="ada"), someone("service", username="ci")
    refused(Invalid, lambda: token(ada, administrator, now), ada)
    manager = someone("release_manager")
    refused(NotPermitted, lambda: token(ada, manager, now), ada)
    refused(NotPermitted, lambda: token(ci, ci, now), ci)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"scopes": ["write", "root"]}, "scopes"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"expires_at": timedelta(0)}, "expires_at"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(now: datetime, fields: dict[str, Any], wrong: str) -> None:
    ada = someone(username="ada")
    given = {name: now + value if isinstance(value, timedelta) else value for name, value in fields.items()}
    error = refused(Invalid, lambda: token(ada, ada, now, **given), ada)
    assert list(error.errors) == [wrong]
    assert ApiToken.objects.count() == 0


def test_a_token_without_a_scope_reads(now: datetime) -> None:
    ada = someone(username="ada")
    assert token(ada, ada, now, scopes=[])[0].scopes == []
    assert set(Scope.values) == set(ada.scopes)


def test_a_token_is_revoked_by_its_owner_or_an_administrator(administrator: User, now: datetime) -> None:
    ada = someone(username="ada")
    manager = someone("release_manager")
    made, _secret = token(ada, ada, now)
    refused(NotPermitted, lambda: commands.revoke_token(made, actor=manager, now=now), ada)
    for actor in (administrator, ada):
        commands.revoke_token(made, actor=actor, now=now)
    assert kinds(ada).count("accounts.user.revoke_token") == 1


def test_deactivation_ends_tokens_and_reactivation_brings_none_back(administrator: User, now: datetime) -> None:
    ada = someone("deployer", username="ada")
    made, _secret = token(ada, ada, now)
    assert commands.deactivate(ada, actor=administrator, now=now).is_active is False
    made.refresh_from_db()
    assert made.revoked_at == now
    refused(Invalid, lambda: token(ada, commands.system(), now), ada)
    assert commands.reactivate(ada, actor=administrator).is_active is True
    made.refresh_from_db()
    assert made.revoked_at == now
    assert RoleAssignment.objects.filter(user=ada).count() == 1
    assert kinds(ada)[1:] == ["accounts.user.deactivate", "accounts.user.reactivate"]


def test_a_team_is_made_and_renamed_by_an_administrator(administrator: User) -> None:
    made = commands.create_team(key="shop", name="Shop", actor=administrator)
    commands.rename_team(made, name="The shop", actor=administrator)
    assert kinds(made) == ["accounts.team.create", "accounts.team.edit"]
    assert (
        refused(Conflict, lambda: commands.create_team(key="shop", name="X", actor=administrator), made).code
        == "exists"
    )
    assert refused(Invalid, lambda: commands.create_team(key="a b", name="X", actor=administrator)).errors.keys() == {
        "key"
    }
    assert refused(Invalid, lambda: commands.rename_team(made, name="", actor=administrator), made).errors.keys() == {
        "name"
    }


def test_a_token_without_the_scope_administrates_nothing() -> None:
    actor = someone("administrator")
    actor.scopes = frozenset()
    refused(NotPermitted, lambda: commands.create_user(username="bob", actor=actor))


def test_every_change_stands_in_an_unbroken_chain(administrator: User, team: Team, now: datetime) -> None:
    ada = commands.create_user(username="ada", actor=administrator)
    commands.grant_role(ada, role="deployer", team=team, actor=administrator, now=now)
    token(ada, ada, now)
    commands.deactivate(ada, actor=administrator, now=now)
    assert list(queries.breaks()) == []
