"""Delegation: who votes in whose place, counted once, judged by both people's conflicts, never passed on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from approvals.commands import delegate, end_delegation, vote
from approvals.models import ApprovalRound, Delegation, Vote
from approvals.queries import standing, waiting_for
from releasemgmt.accounts.commands import deactivate, revoke_role, system
from releasemgmt.accounts.models import User
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted
from releasemgmt.workflow.models import Event
from tests.approvals.world import World, holds, picture, say
from tests.conftest import NOW

WEEK = timedelta(days=7)


def give(giver: User, to: User, *roles: str, **times: Any) -> Delegation:
    when = {"starts_at": NOW - WEEK, "ends_at": NOW + WEEK, **times}
    return delegate(to, roles=roles or ("release_manager",), actor=giver, now=NOW, **when)


@pytest.fixture
def deputy(world: World) -> User:
    """Somebody of the team who could not vote themselves."""
    return world.someone("contributor")


def test_a_delegate_votes_in_the_place_of_another(world: World, deputy: User) -> None:
    give(world.signer, deputy)
    release = world.release()
    round = world.round(release)
    assert waiting_for(deputy, NOW) == [round]
    cast = say(round, deputy, on_behalf_of=world.signer)
    assert (cast.voter, cast.on_behalf_of, cast.seats) == (deputy, world.signer, ["release_manager"])
    assert holds(release)
    event = Event.objects.filter(stream=release.stream, kind="approvals.round.approve").get()
    assert (event.actor, event.on_behalf_of) == (deputy, world.signer)


def test_without_a_delegation_nobody_votes_for_another(world: World, deputy: User) -> None:
    round = world.round(world.release())
    before = picture(round.release)
    for voter in (deputy, world.manager):
        with pytest.raises(NotPermitted, match="in the place of"):
            say(round, voter, on_behalf_of=world.signer)
    assert picture(round.release) == before


@pytest.mark.parametrize("times", [{"ends_at": NOW}, {"starts_at": NOW + timedelta(seconds=1)}])
def test_a_delegation_counts_from_its_start_until_before_its_end(
    world: World, deputy: User, times: dict[str, datetime]
) -> None:
    Delegation.objects.create(
        delegator=world.signer,
        delegate=deputy,
        roles=["release_manager"],
        created_at=NOW - WEEK,
        **{"starts_at": NOW - WEEK, "ends_at": NOW + WEEK, **times},
    )
    round = world.round(world.release())
    assert waiting_for(deputy, NOW) == []
    with pytest.raises(NotPermitted):
        say(round, deputy, on_behalf_of=world.signer)


def test_a_vote_stays_when_the_delegation_ends_later_and_none_is_cast_after(world: World, deputy: User) -> None:
    given = give(world.signer, deputy)
    first, second = world.release(), world.release("2.0")
    say(world.round(first), deputy, on_behalf_of=world.signer)
    end_delegation(given, actor=world.signer, now=NOW + timedelta(seconds=1))
    assert holds(first)
    round = world.round(second)
    with pytest.raises(NotPermitted):
        vote(
            round,
            decision="approve",
            digest=round.digest,
            on_behalf_of=world.signer,
            actor=deputy,
            now=NOW + timedelta(seconds=1),
        )


def test_only_the_named_roles_are_delegated(world: World, deputy: User) -> None:
    both = world.someone("release_manager", "cab_member")
    give(both, deputy, "cab_member")
    release = world.release(risk="medium")
    round = world.round(release)
    cast = say(round, deputy, on_behalf_of=both)
    assert cast.seats == ["cab_member"]
    assert not holds(release)
    say(round, world.signer)
    assert holds(release)


def test_the_conflicts_of_both_people_count(world: World, deputy: User) -> None:
    writer, asker = world.someone("release_manager"), world.someone("release_manager")
    give(world.signer, writer)
    give(asker, deputy)
    release = world.release(author=writer.email, requested_by=asker)
    round = world.round(release)
    before = picture(release)
    for voter, owner in ((writer, world.signer), (deputy, asker)):
        with pytest.raises(NotPermitted) as refused:
            say(round, voter, on_behalf_of=owner)
        assert refused.value.code == "conflict_of_interest"
    assert waiting_for(writer, NOW) == waiting_for(deputy, NOW) == []
    assert picture(release) == before


def test_one_person_has_one_vote_and_so_has_one_place(world: World) -> None:
    give(world.signer, world.manager)
    release = world.release(risk="medium")
    round = world.round(release)
    say(round, world.manager, on_behalf_of=world.signer)
    for voter, owner in ((world.manager, None), (world.signer, None)):
        with pytest.raises(Conflict) as refused:
            say(round, voter, on_behalf_of=owner)
        assert refused.value.code == "already_voted"
    row = {"round": round, "decision": "approve", "digest": round.digest, "at": NOW}
    for people in ({"voter": world.signer}, {"voter": world.chair, "on_behalf_of": world.signer}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Vote.objects.create(**row, **people)


@pytest.mark.parametrize("lost", ["the role", "the delegator", "the delegate"])
def test_a_vote_goes_with_the_role_or_either_person(world: World, deputy: User, lost: str) -> None:
    give(world.signer, deputy)
    release = world.release()
    say(world.round(release), deputy, on_behalf_of=world.signer)
    if lost == "the role":
        revoke_role(world.signer.role_assignments.get(), actor=system())
    else:
        deactivate(world.signer if lost == "the delegator" else deputy, actor=system(), now=NOW)
    assert not holds(release)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"ends_at": None}, "ends_at"),
        ({"ends_at": NOW - timedelta(days=1)}, "ends_at"),
        ({"starts_at": NOW + WEEK, "ends_at": NOW + timedelta(days=1)}, "ends_at"),
    ],
)
def test_a_delegation_is_for_a_time(world: World, deputy: User, wrong: dict[str, Any], field: str) -> None:
    before = picture_of(world.signer)
    with pytest.raises(Invalid) as refused:
        give(world.signer, deputy, **wrong)
    assert list(refused.value.errors) == [field]
    assert picture_of(world.signer) == before


def test_nobody_delegates_to_themselves_or_what_they_do_not_hold(world: World, deputy: User) -> None:
    before = picture_of(world.signer)
    service = world.someone("service")
    for to, roles, field in (
        (world.signer, ("release_manager",), "delegate"),
        (service, ("release_manager",), "delegate"),
        (deputy, ("cab_chair",), "roles"),
    ):
        with pytest.raises(Invalid) as refused:
            give(world.signer, to, *roles)
        assert list(refused.value.errors) == [field]
    with pytest.raises(NotPermitted):
        give(service, deputy)
    assert picture_of(world.signer) == before


def test_a_delegation_is_not_passed_on_in_either_order(world: World, deputy: User) -> None:
    give(world.manager, world.signer)
    for giver, to in ((world.signer, deputy), (world.someone("release_manager"), world.manager)):
        with pytest.raises(Invalid) as refused:
            give(giver, to)
        assert refused.value.code == "chain"
    give(world.signer, deputy, starts_at=NOW + 2 * WEEK, ends_at=NOW + 3 * WEEK)


def test_refusals_over_rest_are_on_the_callers_stream(world: World, deputy: User) -> None:
    client = APIClient()
    client.force_authenticate(world.signer)
    body = {"delegate": deputy.username, "roles": ["release_manager"]}
    end = (NOW + 100 * WEEK).isoformat()
    assert client.post("/api/v1/delegations/", body).status_code == 400
    answer = client.post("/api/v1/delegations/", body | {"delegate": world.signer.username, "ends_at": end})
    assert (answer.status_code, answer.data["errors"][0]["pointer"]) == (400, "/delegate")
    refused = Event.objects.filter(stream=world.signer.stream, kind="workflow.refused")
    assert refused.count() == 2
    made = client.post("/api/v1/delegations/", body | {"ends_at": end})
    assert made.status_code == 201
    where = f"/api/v1/delegations/{made.data['id']}/"
    other = APIClient()
    other.force_authenticate(world.chair)
    assert other.get(where).status_code == other.patch(where, {"ended": True}).status_code == 404
    assert client.patch(where, {"ended": True}).data["revoked_at"] is not None


def test_the_standing_names_who_can_step_in(world: World, deputy: User) -> None:
    given = give(world.signer, deputy)
    round = world.round(world.release())
    stands = standing(ApprovalRound.objects.get(pk=round.pk), subject=round.subject)
    assert stands.delegations == [given]
    assert stands.seats_of(deputy, NOW) == [world.signer]
    assert stands.seats_of(world.signer, NOW) == [world.signer]


def picture_of(person: User) -> list[Any]:
    rows = User.objects.filter(pk=person.pk).values("revision", "event_seq", "event_hash")
    return [*rows, *Delegation.objects.values("delegator", "revoked_at")]
