"""Separation of duties over people made up at random: whoever had a hand in it, or has no seat, never votes."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from approvals.commands import delegate, edit_change
from approvals.models import ApprovalRound
from releasemgmt.accounts.commands import deactivate, system
from releasemgmt.accounts.models import Role, RoleAssignment, User
from releasemgmt.releases.commands import edit_release, write_document
from releasemgmt.releases.models import Release
from releasemgmt.workflow.errors import Refused
from tests.approvals.world import World, say
from tests.conftest import NOW
from tests.factories import TeamFactory, UserFactory
from tests.scale import scaled

ACTORS = scaled(short=120, long=10_000)
#: People who are tried on one release.
CROWD = 40
WEEK = timedelta(days=7)
ROLES = [*Role.values, Role.RELEASE_MANAGER.value, Role.RELEASE_MANAGER.value]


@dataclass
class Actor:
    """Somebody, and what the test knows of them."""

    user: User
    has_seat: bool
    involved: bool = False
    gone: bool = False
    stands_in_for: Actor | None = None

    @property
    def may_vote(self) -> bool:
        return self.has_seat and not (self.involved or self.gone)

    @property
    def may_stand_in(self) -> bool:
        owner = self.stands_in_for
        return owner is not None and owner.may_vote and not (self.involved or self.gone)


def come(dice: random.Random, world: World) -> Actor:
    """Somebody with up to three roles, in this team, in another one or everywhere, given early or too late."""
    human = dice.random() < 0.9
    kind = User.Kind.HUMAN if human else User.Kind.SERVICE
    user = UserFactory(kind=kind, is_superuser=dice.random() < 0.2)
    seat = False
    other = TeamFactory(key="elsewhere")
    for role in set(dice.choices(ROLES, k=dice.randint(0, 3))):
        team, early = dice.choice([world.product.team, world.product.team, other, None]), dice.random() < 0.8
        at = NOW - WEEK if early else NOW + timedelta(seconds=1)
        RoleAssignment.objects.create(user=user, role=role, team=team, granted_at=at, granted_by=system())
        seat |= role == Role.RELEASE_MANAGER and early and team != other
    return Actor(user, seat and human)


def work(dice: random.Random, release: Release, change: Any, actor: Actor) -> None:
    """One of the ways in which people have a hand in what is signed; or something that is not."""
    user = actor.user
    at: Any = {"actor": actor.user, "now": NOW, "void_signoffs": True}
    held = set(user.role_assignments.filter(team=release.product.team).values_list("role", flat=True))
    if user.kind != User.Kind.HUMAN or not held & {Role.CONTRIBUTOR, Role.RELEASE_MANAGER, Role.DEPLOYER}:
        return
    way = dice.randint(0, 5)
    if way == 0:
        edit_release(release, changes={"type": "major" if _type(release) == "minor" else "minor"}, **at)
    elif way == 1:
        write_document(release, kind="impact", body=f"As {user} saw it.", **at)
    elif way == 2 and Role.RELEASE_MANAGER in held:
        edit_change(change, changes={"test_plan": f"As {user} does it."}, **at)
    elif way == 3:
        write_document(release, kind="release_notes", body=f"News of {user}.", **at)
    actor.involved |= way <= 1 or (way == 2 and Role.RELEASE_MANAGER in held)


def _type(release: Release) -> str:
    return Release.objects.values_list("type", flat=True).get(pk=release.pk)


def lend(dice: random.Random, crowd: list[Actor]) -> None:
    """Some of those with a seat lend it to somebody."""
    for owner in crowd:
        deputy = dice.choice(crowd)
        if not owner.has_seat or deputy is owner or deputy.stands_in_for or deputy.user.kind != User.Kind.HUMAN:
            continue
        when: Any = {"starts_at": NOW - WEEK, "ends_at": NOW + WEEK}
        try:
            delegate(deputy.user, roles=[Role.RELEASE_MANAGER], actor=owner.user, now=NOW, **when)
        except Refused:
            continue
        deputy.stands_in_for = owner


def votes(round: ApprovalRound, user: User, **fields: Any) -> bool:
    """Whether the vote is taken; nothing stays of it."""
    with transaction.atomic():
        try:
            say(round, user, **fields)
        except Refused:
            return False
        finally:
            transaction.set_rollback(True)
    return True


@pytest.mark.parametrize("seed", range(ACTORS // CROWD))
def test_nobody_judges_their_own_work(world: World, seed: int, record_property: Any) -> None:
    dice = random.Random(seed)
    record_property("proof", "separation of duties")
    record_property("attempts", str(CROWD))
    release = world.release()
    change = world.assessed(releases=[release])
    crowd = [come(dice, world) for _ in range(CROWD)]
    for actor in dice.sample(crowd, CROWD // 2):
        work(dice, release, change, actor)
    lend(dice, crowd)
    round = world.round(Release.objects.get(pk=release.pk))
    for actor in dice.sample(crowd, CROWD // 4):
        if dice.random() < 0.5:
            deactivate(actor.user, actor=system(), now=NOW)
            actor.gone = True
        else:
            work(dice, release, change, actor)
    round = ApprovalRound.objects.get(pk=world.round(Release.objects.get(pk=release.pk)).pk)
    for actor in crowd:
        person = User.objects.get(pk=actor.user.pk)
        assert votes(round, person) == actor.may_vote, (actor, round.stages)
        if actor.stands_in_for:
            assert votes(round, person, on_behalf_of=actor.stands_in_for.user) == actor.may_stand_in, actor
    if seed == 0:  # the dice were fair
        assert any(actor.may_vote for actor in crowd)
        assert any(actor.has_seat and not actor.may_vote for actor in crowd)
