"""Separation of duties: whoever had a hand in the work does not judge it, and a lost role is a lost vote."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from approvals.commands import edit_change
from approvals.models import ApprovalRound
from approvals.queries import riding, standing, waiting_for
from releasemgmt.accounts.commands import deactivate, edit_user, grant_role, revoke_role, system
from releasemgmt.accounts.models import User
from releasemgmt.releases.commands import (
    create_defect,
    create_release,
    edit_release,
    link_defect,
    set_builds,
    write_document,
)
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import NotPermitted
from tests.approvals.world import World, holds, picture, say
from tests.conftest import NOW

Involve = Callable[[World, User, datetime], Release]


def requested(world: World, person: User, now: datetime) -> Release:
    return world.release(requested_by=person)


def created(world: World, person: User, now: datetime) -> Release:
    world.author = person
    return world.release()


def edited(world: World, person: User, now: datetime) -> Release:
    release = world.release()
    edit_release(release, changes={"type": "major"}, actor=person, now=now)
    return release


def documented(world: World, person: User, now: datetime) -> Release:
    release = world.release()
    write_document(release, kind="impact", body="Some.", actor=person, now=now)
    return release


def built(world: World, person: User, now: datetime) -> Release:
    other = world.release("0.9")
    release, _ = create_release(product=world.product, version="1.0", actor=world.author, now=now)
    set_builds(release, builds=list(other.builds.all()), actor=person, now=now)
    return moved_on(world, release, now)


def judged_a_defect(world: World, person: User, now: datetime) -> Release:
    release = world.release()
    defect = create_defect(product=world.product, title="Slow", severity="major", actor=world.author, now=now)
    link_defect(release, defect=defect, relation="affects", disposition="deferred", actor=person, now=now)
    return release


def wrote_a_commit(world: World, person: User, now: datetime) -> Release:
    return world.release(author=f"Some One <{person.email.upper()}>")


def wrote_a_commit_under_a_former_address(world: World, person: User, now: datetime) -> Release:
    release = wrote_a_commit(world, person, now)
    edit_user(person, changes={"email": "another@example.org"}, actor=person)
    return release


def requested_a_change(world: World, person: User, now: datetime) -> Release:
    release = world.release()
    world.assessed(releases=[release], requested_by=person)
    return release


def implements_a_change(world: World, person: User, now: datetime) -> Release:
    release = world.release()
    world.assessed(releases=[release], implementer=person)
    return release


def edited_a_change(world: World, person: User, now: datetime) -> Release:
    release = world.release()
    change = world.assessed(releases=[release])
    edit_change(change, changes={"test_plan": "Twice."}, actor=person, now=now)
    return release


def added_a_change(world: World, person: User, now: datetime) -> Release:
    release = world.release()
    edit_change(world.assessed(), changes={"releases": [release]}, actor=person, now=now)
    return release


def moved_on(world: World, release: Release, now: datetime) -> Release:
    fire(release, "build", actor=world.manager, now=now)
    return fire(release, "pass_integration", actor=world.manager, now=now)


INVOLVED = [
    requested,
    created,
    edited,
    documented,
    built,
    judged_a_defect,
    wrote_a_commit,
    wrote_a_commit_under_a_former_address,
    requested_a_change,
    implements_a_change,
    edited_a_change,
    added_a_change,
]


@pytest.mark.parametrize("superuser", [False, True], ids=["", "superuser"])
@pytest.mark.parametrize("involve", INVOLVED)
def test_who_had_a_hand_in_a_release_does_not_sign_it(
    world: World, now: datetime, involve: Involve, superuser: bool
) -> None:
    person = world.someone("release_manager", is_superuser=superuser)
    release = involve(world, person, now)
    round = world.round(release)
    before = picture(release)
    with pytest.raises(NotPermitted) as refused:
        say(round, person)
    assert refused.value.code == "conflict_of_interest"
    assert picture(release) == before
    assert waiting_for(person, NOW) == []
    assert waiting_for(world.signer, NOW) == [round]
    say(round, world.signer)
    assert holds(release)


def test_who_only_changed_words_may_sign(world: World, now: datetime) -> None:
    release = world.release()
    edit_release(release, changes={"title": "Summer"}, actor=world.signer, now=now)
    write_document(release, kind="release_notes", body="News.", actor=world.signer, now=now)
    defect = create_defect(product=world.product, title="A typo", severity="minor", actor=world.signer, now=now)
    link_defect(release, defect=defect, relation="affects", actor=world.signer, now=now)
    world.signed(release)
    assert holds(release)


def test_who_edits_while_the_round_is_open_is_out_even_if_they_put_it_back(world: World, now: datetime) -> None:
    release = world.release()
    round = world.round(release)
    for kind in ("major", "minor"):
        edit_release(release, changes={"type": kind}, actor=world.signer, now=now)
    with pytest.raises(NotPermitted):
        say(round, world.signer)


def test_an_edit_after_voting_takes_the_editors_vote_out(world: World, now: datetime) -> None:
    release = world.release()
    world.signed(release)
    for kind in ("major", "minor"):
        edit_release(release, changes={"type": kind}, actor=world.signer, now=now, void_signoffs=True)
    assert not holds(release)


def test_the_next_round_remembers_who_worked_before_the_first(world: World, now: datetime) -> None:
    release = edited(world, world.signer, now)
    world.round(release)
    write_document(release, kind="impact", body="Some.", actor=world.author, now=now)
    with pytest.raises(NotPermitted):
        say(world.round(release), world.signer)


@pytest.mark.parametrize("role", ["requested_by", "implementer"])
def test_who_asks_for_a_change_or_carries_it_out_does_not_authorise_it(world: World, role: str) -> None:
    person = world.someone("release_manager")
    change = world.assessed(**{role: person})
    round = world.round(change)
    before = picture(change)
    with pytest.raises(NotPermitted):
        say(round, person)
    assert picture(change) == before


def test_a_superuser_without_the_role_does_not_sign(world: World) -> None:
    round = world.round(world.release())
    with pytest.raises(NotPermitted):
        say(round, world.someone("administrator", is_superuser=True))


def test_a_role_taken_away_takes_the_vote_out_at_once(world: World) -> None:
    release = world.release()
    world.signed(release)
    revoke_role(world.signer.role_assignments.get(), actor=system())
    assert not holds(release)


def test_a_role_given_back_later_does_not_revive_the_vote(world: World, now: datetime) -> None:
    release = world.release()
    world.signed(release)
    revoke_role(world.signer.role_assignments.get(), actor=system())
    team = world.product.team
    grant_role(world.signer, role="release_manager", team=team, actor=system(), now=now + timedelta(hours=1))
    assert not holds(release)


def test_a_person_who_left_takes_their_vote_along(world: World, now: datetime) -> None:
    release = world.release()
    world.signed(release)
    deactivate(world.signer, actor=system(), now=now)
    assert not holds(release)


def test_a_role_granted_after_the_round_opened_does_not_count_in_it(world: World, now: datetime) -> None:
    release = world.release()
    round = world.round(release)
    late = world.someone()
    team = world.product.team
    grant_role(late, role="release_manager", team=team, actor=system(), now=now + timedelta(seconds=1))
    with pytest.raises(NotPermitted):
        say(round, late)
    assert waiting_for(late, NOW) == []


def test_a_quorum_that_is_out_of_reach_is_shown_and_the_next_round_asks_anew(world: World, now: datetime) -> None:
    release = world.release()
    round = world.round(release)
    for person in (world.manager, world.signer):
        revoke_role(person.role_assignments.get(), actor=system())
    stands = standing(round, subject=release, changes=riding(release))
    assert stands.quorum_unreachable and not stands.holds
    world.manager = world.someone()
    later = now + timedelta(hours=1)
    grant_role(world.manager, role="release_manager", team=world.product.team, actor=system(), now=later)
    assert world.round(release, now=later).pk != round.pk
    assert ApprovalRound.objects.get(pk=round.pk).state == "withdrawn"


def test_what_waits_for_me_takes_the_same_statements_however_many(
    world: World, django_assert_max_num_queries: Any
) -> None:
    for n in range(5):
        world.round(world.release(f"1.{n}"))
    with django_assert_max_num_queries(7):
        assert len(waiting_for(world.signer, NOW)) == 5
