"""Mappings of groups to roles: two administrators agree on each, and ending one ends what it gave."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from releasemgmt.accounts import commands
from releasemgmt.accounts.commands import Identity
from releasemgmt.accounts.models import GroupMapping, RoleAssignment, Team, User
from releasemgmt.workflow import queries
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted, Refused
from releasemgmt.workflow.models import Event
from tests.factories import TeamFactory, someone
from tests.portal.test_pages import signed_in
from tests.web.world import picture

pytestmark = pytest.mark.django_db
LATER = timedelta(hours=1)


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


def proposed(
    actor: User, now: datetime, *, group: str = "ops", role: str = "deployer", team: Any = None
) -> GroupMapping:
    return commands.map_group(group=group, role=role, team=team, actor=actor, now=now, reason="on call")


def refused(kind: type[Refused], act: Callable[[], Any], *mappings: GroupMapping) -> Refused:
    before = [picture(mapping) for mapping in mappings], GroupMapping.objects.count(), Event.objects.count()
    with pytest.raises(kind) as caught:
        act()
    assert ([picture(m) for m in mappings], GroupMapping.objects.count(), Event.objects.count()) == before
    return caught.value


def signs_in(*groups: str, subject: str = "u-1", now: datetime) -> User:
    identity = Identity("mock", subject, f"name-{subject}", "", "", frozenset(groups))
    return commands.sign_in_by_provider(identity, now=now)


def test_it_is_in_force_when_the_second_one_agrees(ada: User, bob: User, team: Team, now: datetime) -> None:
    mapping = proposed(ada, now, team=team)
    refused(NotPermitted, lambda: signs_in("ops", now=now), mapping)
    mapping = commands.accept_mapping(mapping, actor=bob, now=now)
    person = signs_in("ops", now=now + LATER)
    held = person.role_assignments.get()
    assert (held.role, held.team, held.mapping, held.granted_at) == ("deployer", team, mapping, now + LATER)
    kinds = [event.kind.rpartition(".")[2] for event in queries.timeline(mapping)][::-1]
    assert (kinds, mapping.revision) == (["create", "accept"], 2)


def test_nobody_agrees_to_their_own_and_it_is_settled_once(ada: User, bob: User, now: datetime) -> None:
    mapping = proposed(ada, now)
    for act in (commands.accept_mapping, commands.decline_mapping):
        refused(NotPermitted, lambda act=act: act(mapping, actor=ada, now=now), mapping)  # type: ignore[misc]
    refused(NotPermitted, lambda: commands.withdraw_mapping(mapping, actor=bob, now=now), mapping)
    commands.decline_mapping(mapping, actor=bob, now=now)
    refused(Conflict, lambda: commands.accept_mapping(mapping, actor=bob, now=now), mapping)
    again = proposed(ada, now)
    commands.withdraw_mapping(again, actor=ada, now=now)
    refused(NotPermitted, lambda: signs_in("ops", now=now), mapping, again)


@pytest.mark.parametrize("role", ["release_manager", "auditor", "deployer", "cab_chair"])
def test_only_administrators_of_the_installation_have_a_say(
    ada: User, bob: User, team: Team, now: datetime, role: str
) -> None:
    mapping = proposed(ada, now, team=team)
    for actor in (someone(role), someone("administrator", team=team)):
        for act in (commands.accept_mapping, commands.decline_mapping, commands.withdraw_mapping, commands.end_mapping):
            refused(NotPermitted, lambda act=act, actor=actor: act(mapping, actor=actor, now=now), mapping)  # type: ignore[misc]
        refused(NotPermitted, lambda actor=actor: proposed(actor, now, group="x"))  # type: ignore[misc]


@pytest.mark.parametrize("wrong", [{"group": " "}, {"group": "x" * 201}, {"role": "king"}, {"role": "service"}])
def test_what_makes_no_sense_is_refused(ada: User, now: datetime, wrong: dict[str, str]) -> None:
    error = refused(Invalid, lambda: proposed(ada, now, **wrong))
    assert isinstance(error, Invalid) and list(error.errors) == list(wrong)


def test_a_group_is_mapped_to_a_role_once(ada: User, bob: User, team: Team, now: datetime) -> None:
    mapping = proposed(ada, now, team=team)
    refused(Conflict, lambda: proposed(bob, now, team=team), mapping)
    commands.end_mapping(commands.accept_mapping(mapping, actor=bob, now=now), actor=ada, now=now)
    proposed(bob, now, team=team)
    proposed(bob, now)


def test_the_first_administrator_maps_alone(ada: User, now: datetime) -> None:
    mapping = proposed(ada, now)
    assert (mapping.state, mapping.bootstrap, mapping.in_force) == ("accepted", True, True)
    assert Event.objects.get(stream=mapping.stream).data["bootstrap"] is True


def test_ending_it_takes_the_roles_away_at_once(ada: User, bob: User, team: Team, now: datetime) -> None:
    mapping = commands.accept_mapping(proposed(ada, now), actor=bob, now=now)
    one, two = (signs_in("ops", subject=subject, now=now) for subject in ("u-1", "u-2"))
    commands.grant_role(two, role="auditor", team=None, actor=ada, now=now)
    commands.end_mapping(mapping, actor=ada, now=now + LATER)
    commands.end_mapping(mapping, actor=ada, now=now + LATER)
    assert [set(each.roles_anywhere()) for each in (one, two)] == [set(), {"auditor"}]
    assert Event.objects.filter(kind="accounts.user.revoke_role").count() == 2
    assert signs_in("ops", now=now + LATER).roles_anywhere() == frozenset()


def test_two_groups_may_give_the_same_role(ada: User, bob: User, now: datetime) -> None:
    first, second = (
        commands.accept_mapping(proposed(ada, now, group=group), actor=bob, now=now) for group in ("ops", "night")
    )
    person = signs_in("ops", "night", now=now)
    assert person.role_assignments.get().mapping == first
    person = signs_in("night", now=now + LATER)
    held = person.role_assignments.get()
    assert (held.mapping, held.granted_at) == (second, now), "it was never lost"


def test_what_people_granted_stays_when_the_group_is_left(ada: User, bob: User, now: datetime) -> None:
    commands.accept_mapping(proposed(ada, now, group="cab", role="cab_member"), actor=bob, now=now)
    person = signs_in("cab", now=now)
    granted = commands.grant_role(person, role="cab_member", team=None, actor=ada, now=now + LATER)
    assert isinstance(granted, RoleAssignment)
    assert RoleAssignment.objects.get(pk=granted.pk).mapping is None
    assert granted.granted_at == now, "gained first by the group"
    assert signs_in(now=now + LATER).roles_anywhere() == {"cab_member"}


def test_the_page_asks_and_answers(ada: User, bob: User, now: datetime) -> None:
    address = "/admin/accounts/groupmapping/"
    proposer, other = signed_in(ada), signed_in(bob)
    made = proposer.post(f"{address}add/", {"group": "ops", "role": "deployer", "reason": "on call"}, follow=True)
    assert "once another administrator than Ada agrees" in made.content.decode()
    mapping = GroupMapping.objects.get()

    def answer(client: Client, step: str) -> str:
        page = client.post(f"{address}{mapping.pk}/change/answer/{step}/", follow=True)
        return page.content.decode()

    assert "you have proposed this yourself" in answer(proposer, "accept")
    assert "ops: Deployer" in other.get("/admin/accounts/rolerequest/").content.decode()
    assert "1 request of another administrator waits" in other.get("/admin/").content.decode()
    assert "next sign-in" in answer(other, "accept")
    person = signs_in("ops", now=now)
    assert str(person) in other.get(f"{address}{mapping.pk}/change/").content.decode()
    assert "by the group ops" in other.get(f"/admin/accounts/user/{person.pk}/change/").content.decode()
    assert "taken away" in answer(other, "end")
    stranger = signed_in(someone("release_manager", team=TeamFactory()))
    assert stranger.post(f"{address}{mapping.pk}/change/answer/end/").status_code == 404
    assert other.post(f"{address}{mapping.pk}/change/answer/burn/").status_code == 404
