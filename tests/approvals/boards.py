"""A board of the world's people, and what a refusal leaves as it is."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from approvals.commands import create_board
from approvals.models import ApprovalRound, Board, BoardMember, Meeting
from releasemgmt.workflow.models import Event
from tests.approvals.world import World
from tests.conftest import NOW


def weekly(world: World, **fields: Any) -> Board:
    """The CAB of the world's team: every Thursday at 14:00 in Zürich, its agenda closed a day before."""
    facts: dict[str, Any] = {
        "key": "cab",
        "name": "Weekly CAB",
        "team": world.product.team,
        "chair": world.chair,
        "members": world.members,
        "rule": "FREQ=WEEKLY;BYDAY=TH",
        "start_time": time(14),
        "time_zone": "Europe/Zurich",
        "actor": world.chair,
        "now": NOW,
    }
    return create_board(**(facts | fields))


def ask(world: World, title: str, *, at: datetime = NOW, **fields: Any) -> ApprovalRound:
    """A round that opened then, on a change of medium risk if nothing else is said."""
    round = world.round(world.assessed(**{"title": title, "risk": "medium", **fields}))
    ApprovalRound.objects.filter(pk=round.pk).update(opened_at=at)
    return ApprovalRound.objects.get(pk=round.pk)


def picture_of_boards() -> list[Any]:
    """Boards, seats, meetings and their streams."""
    return [
        list(Board.objects.order_by("pk").values()),
        list(BoardMember.objects.order_by("pk").values()),
        list(Meeting.objects.order_by("pk").values()),
        Event.objects.filter(stream__startswith="board:").count(),
    ]
