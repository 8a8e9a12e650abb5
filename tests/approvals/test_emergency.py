"""An emergency at night: two members of the emergency board agree over the API, or the chair alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals.commands import submit
from approvals.models import ApprovalRound, ChangeRequest
from releasemgmt.accounts.models import User
from tests.approvals.boards import weekly
from tests.approvals.world import World, state_of
from tests.web.world import Caller

HOUR = timedelta(hours=1)


@pytest.fixture
def change(world: World) -> ChangeRequest:
    """An emergency that one of the board asked for; the board has three members and a chair."""
    now = timezone.now()
    world.author = world.someone("contributor", "cab_member")
    world.members = [*world.members, world.author]
    weekly(world, key="ecab", kind="emergency", now=now - 2 * HOUR)
    facts = {"planned_start": now - HOUR, "planned_end": now + HOUR, "implementer": world.someone("deployer")}
    return submit(world.emergency(**facts), actor=world.author, now=now)


def votes(person: User, round: ApprovalRound, expect: int = 201) -> Any:
    body = {"decision": "approve", "digest": round.digest}
    answer = Caller(person).post(f"/api/v1/approvals/{round.pk}/votes/", body)
    assert answer.status_code == expect, answer.content
    return answer.json()


def test_two_of_the_emergency_board_agree(world: World, change: ChangeRequest) -> None:
    round = world.round(change)
    refused = votes(world.author, round, 403)
    assert refused["code"] == "conflict_of_interest"
    votes(world.members[0], round)
    assert state_of(change) == "authorization"
    votes(world.members[1], round)
    assert state_of(change) == "scheduled"


def test_the_chair_alone_agrees(world: World, change: ChangeRequest) -> None:
    votes(world.chair, world.round(change))
    assert state_of(change) == "scheduled"


def test_who_asked_does_not_agree_though_in_the_chair(world: World, change: ChangeRequest) -> None:
    ChangeRequest.objects.filter(pk=change.pk).update(requested_by=world.chair)
    assert votes(world.chair, world.round(change), 403)["code"] == "conflict_of_interest"
    assert state_of(change) == "authorization"
