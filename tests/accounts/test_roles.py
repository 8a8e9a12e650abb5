"""The roles of chair, deployer and administrator: one administrator asks, another one agrees."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from releasemgmt.accounts import commands
from releasemgmt.accounts.models import Role, RoleAssignment, RoleRequest, Team, User
from releasemgmt.workflow import queries
from releasemgmt.workflow.errors import Conflict, NotPermitted, Refused
from releasemgmt.workflow.models import Aggregate, Event
from tests.factories import TeamFactory, someone
from tests.web.world import picture

pytestmark = pytest.mark.django_db
LATER = timedelta(hours=1)
WEIGHTY = ["cab_chair", "deployer", "administrator"]


@pytest.fixture
def ada() -> User:
    return someone("administrator", username="ada")


@pytest.fixture
def bob() -> User:
    return someone("administrator", username="bob")


@pytest.fixture
def team() -> Team:
    team: Team = TeamFactory(key="shop")
    return team


@pytest.fixture
def mara() -> User:
    return someone(username="mara")


def asked(user: User, actor: User, now: datetime, *, role: str = "deployer", team: Team | None = None) -> RoleRequest:
    wanted = commands.grant_role(user, role=role, team=team, actor=actor, now=now, reason="on duty")
    assert isinstance(wanted, RoleRequest)
    return wanted


def refused(kind: type[Refused], act: Callable[[], Any], *subjects: Aggregate) -> Refused:
    """The refusal; every subject, every request and every role is as it was."""

    def all_of_it() -> Any:
        requests = list(RoleRequest.objects.values_list("pk", "state", "decided_by"))
        return [picture(each) for each in subjects], requests, RoleAssignment.objects.count(), Event.objects.count()

    before = all_of_it()
    with pytest.raises(kind) as caught:
        act()
    assert all_of_it() == before
    return caught.value


def told(user: User) -> list[tuple[str, str, Any]]:
    return [(event.kind.rpartition(".")[2], event.actor.username, event.data) for event in queries.timeline(user)][::-1]


@pytest.mark.parametrize("role", WEIGHTY)
@pytest.mark.parametrize("everywhere", [True, False])
def test_it_takes_effect_when_the_second_one_agrees(
    ada: User, bob: User, mara: User, team: Team, now: datetime, role: str, everywhere: bool
) -> None:
    where = None if everywhere else team
    wanted = asked(mara, ada, now, role=role, team=where)
    assert mara.roles_anywhere() == frozenset()
    granted = commands.accept_role(wanted, actor=bob, now=now + LATER)
    assert (granted.role, granted.team, granted.granted_at, granted.granted_by) == (role, where, now + LATER, bob)
    held = {"role": role, "team": where and "shop", "request": wanted.pk}
    assert told(mara) == [
        ("request_role", "ada", held | {"reason": "on duty"}),
        ("grant_role", "bob", held | {"proposed_by": str(ada)}),
    ]


@pytest.mark.parametrize("role", [role for role in Role.values if role not in (*WEIGHTY, "service")])
def test_other_roles_need_nobody_else(ada: User, bob: User, mara: User, now: datetime, role: str) -> None:
    assert isinstance(commands.grant_role(mara, role=role, team=None, actor=ada, now=now), RoleAssignment)


def test_nobody_agrees_to_what_they_asked_for(ada: User, bob: User, mara: User, now: datetime) -> None:
    wanted = asked(mara, ada, now)
    error = refused(NotPermitted, lambda: commands.accept_role(wanted, actor=ada, now=now), mara, ada)
    assert "Another person has to agree" in error.detail


def test_nobody_agrees_to_a_role_of_their_own(ada: User, bob: User, now: datetime) -> None:
    wanted = asked(bob, ada, now)
    error = refused(NotPermitted, lambda: commands.accept_role(wanted, actor=bob, now=now), bob)
    assert "ask another administrator" in error.detail
    mine = asked(ada, ada, now, role="cab_chair")
    refused(NotPermitted, lambda: commands.accept_role(mine, actor=ada, now=now), ada)
    commands.accept_role(mine, actor=bob, now=now)
    commands.decline_role(wanted, actor=bob, now=now)


@pytest.mark.parametrize("role", [role for role in Role.values if role != "administrator"])
def test_only_administrators_settle_it(ada: User, bob: User, mara: User, now: datetime, role: str) -> None:
    wanted, actor = asked(mara, ada, now), someone(role)
    for act in (commands.accept_role, commands.decline_role, commands.withdraw_role):
        refused(NotPermitted, lambda act=act: act(wanted, actor=actor, now=now), mara)  # type: ignore[misc]


def test_neither_an_administrator_of_a_team_nor_one_without_the_scope_settles_it(
    ada: User, bob: User, mara: User, team: Team, now: datetime
) -> None:
    wanted, local = asked(mara, ada, now, team=team), someone("administrator", team=team)
    bob.scopes = frozenset()
    for actor in (local, bob, someone("administrator", is_active=False)):
        refused(NotPermitted, lambda actor=actor: commands.accept_role(wanted, actor=actor, now=now), mara)  # type: ignore[misc]


def test_it_is_declined_or_taken_back_and_then_asked_for_again(ada: User, bob: User, mara: User, now: datetime) -> None:
    commands.decline_role(asked(mara, ada, now), actor=bob, now=now)
    commands.withdraw_role(asked(mara, ada, now), actor=ada, now=now)
    wanted = asked(mara, ada, now)
    refused(NotPermitted, lambda: commands.withdraw_role(wanted, actor=bob, now=now), mara)
    assert [kind for kind, _actor, _data in told(mara)] == [
        "request_role", "decline_role", "request_role", "withdraw_role", "request_role",
    ]  # fmt: skip
    assert mara.roles_anywhere() == frozenset()


def test_it_is_asked_for_once_and_settled_once(ada: User, bob: User, mara: User, now: datetime) -> None:
    wanted = asked(mara, ada, now)
    for actor in (ada, bob):
        again = lambda actor=actor: commands.grant_role(mara, role="deployer", team=None, actor=actor, now=now)  # noqa: E731
        assert refused(Conflict, again, mara).code == "proposed"
    commands.accept_role(wanted, actor=bob, now=now)
    cleo = someone("administrator")
    for act in (commands.accept_role, commands.decline_role):
        error = refused(Conflict, lambda act=act: act(wanted, actor=cleo, now=now), mara)  # type: ignore[misc]
        assert error.code == "settled"


def test_the_first_administrator_acts_alone_until_there_is_a_second(ada: User, mara: User, now: datetime) -> None:
    commands.grant_role(mara, role="deployer", team=None, actor=ada, now=now)
    zoe = someone(username="zoe")
    commands.grant_role(zoe, role="administrator", team=None, actor=ada, now=now)
    assert [data.get("bootstrap") for _kind, _actor, data in told(mara) + told(zoe)] == [True, True]
    assert RoleRequest.objects.filter(state="accepted", bootstrap=True, decided_by=ada).count() == 2
    asked(someone(), ada, now)


def test_whoever_takes_the_others_roles_away_is_not_the_first_again(ada: User, mara: User, now: datetime) -> None:
    commands.grant_role(mara, role="administrator", team=None, actor=ada, now=now)
    commands.revoke_role(mara.role_assignments.get(), actor=ada)
    assert mara.roles_anywhere() == frozenset()
    asked(someone(), ada, now)


def test_the_engine_sets_up_alone(ada: User, bob: User, mara: User, now: datetime) -> None:
    commands.grant_role(mara, role="cab_chair", team=None, actor=commands.system(), now=now)
    assert told(mara)[0][2]["bootstrap"] is True


def test_taking_a_role_away_is_never_held_up(ada: User, bob: User, now: datetime) -> None:
    commands.revoke_role(bob.role_assignments.get(), actor=ada)
    commands.revoke_role(ada.role_assignments.get(), actor=ada)
    assert not RoleAssignment.objects.filter(role="administrator").exists()
