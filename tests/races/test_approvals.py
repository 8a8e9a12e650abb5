"""Voters, editors and whoever accepts, all at once: one transition, and never on content that nobody signed."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

import pytest

from approvals.commands import edit_change
from approvals.models import ApprovalRound, Vote
from releasemgmt.releases.commands import edit_release
from releasemgmt.releases.models import Release
from releasemgmt.workflow import queries
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Blocked, Conflict
from releasemgmt.workflow.models import Event
from tests.approvals.world import World, holds, say, state_of
from tests.races.test_kernel import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(settings: Any) -> World:
    gates = {
        key: [path for path in paths if path.startswith("approvals.")] for key, paths in settings.WORKFLOW_GATES.items()
    }
    settings.WORKFLOW_GATES = gates
    settings.RISK_FACTS = []
    return World()


def events(subject: Any, kind: str) -> int:
    return Event.objects.filter(stream=subject.stream, kind=kind).count()


def test_of_two_last_approvals_one_decides(world: World) -> None:
    for _ in range(5):
        change = world.assessed()
        round = world.round(change)
        results = at_once(*[partial(say, round, voter) for voter in (world.signer, world.manager)])
        refused = [result for result in results if isinstance(result, Conflict)]
        assert [each.code for each in refused] == ["round_closed"]
        assert state_of(change) == "scheduled"
        assert events(change, "approvals.changerequest.authorize") == events(change, "approvals.round.approve") == 1
    assert list(queries.breaks()) == []


def test_two_who_complete_the_count_together_both_count(world: World) -> None:
    for _ in range(5):
        change = world.assessed(risk="medium")
        round = world.round(change)
        results = at_once(*[partial(say, round, voter) for voter in (world.signer, world.members[0])])
        assert [type(result) for result in results] == [Vote, Vote]
        assert events(change, "approvals.changerequest.authorize") == 1
    assert list(queries.breaks()) == []


def test_one_person_who_votes_eight_times_at_once_has_one_vote(world: World) -> None:
    round = world.round(world.release())
    results = at_once(*[partial(say, round, world.signer, "abstain")] * 8)
    assert sum(isinstance(result, Vote) for result in results) == 1
    assert Vote.objects.count() == 1


def test_nothing_is_accepted_that_was_edited_in_the_same_moment(world: World, now: datetime) -> None:
    for n in range(8):
        release = world.release(f"1.{n}")
        round = world.round(release)
        results = at_once(
            partial(edit_release, release, changes={"type": "major"}, actor=world.author, now=now),
            partial(say, round, world.signer),
            partial(fire, release, "accept", actor=world.manager, now=now),
        )
        release = Release.objects.get(pk=release.pk)
        accepted = release.state == "accepted"
        assert accepted or isinstance(results[2], Blocked)
        assert not accepted or (release.type == "minor" and holds(release))
        assert not holds(release) or release.type == "minor"


def test_a_change_and_its_release_are_edited_and_signed_without_a_deadlock(world: World, now: datetime) -> None:
    for n in range(5):
        release = world.release(f"1.{n}")
        changes = [world.assessed(releases=[release]) for _ in range(2)]
        round = world.round(release)
        results = at_once(
            *[
                partial(edit_change, change, changes={"test_plan": "Twice."}, actor=world.author, now=now)
                for change in changes
            ],
            partial(say, round, world.signer),
            partial(edit_release, release, changes={"title": "Other"}, actor=world.author, now=now),
        )
        assert [result for result in results if isinstance(result, Exception) and not hasattr(result, "code")] == []
        states = {state_of(change) for change in changes}
        approved = ApprovalRound.objects.get(pk=round.pk).state == "approved"
        assert states == ({"scheduled"} if approved else {"authorization"})
    assert list(queries.breaks()) == []
