"""Ticks of any number of workers plan a meeting once and close an agenda once; a chair and the tick don't cross."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from approvals.commands import close_agendas, hold_meeting, plan_meetings
from approvals.models import AgendaItem, Meeting
from releasemgmt.workflow import queries
from releasemgmt.workflow.models import Event
from tests.approvals.boards import ask, weekly
from tests.approvals.world import World
from tests.conftest import NOW
from tests.races.test_kernel import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(settings: Any) -> World:
    settings.WORKFLOW_GATES, settings.RISK_FACTS = {}, []
    return World()


def count(kind: str) -> int:
    return Event.objects.filter(kind=f"approvals.board.{kind}").count()


def test_eight_ticks_plan_a_meeting_once(world: World) -> None:
    board = weekly(world)
    found = at_once(*[partial(plan_meetings, NOW + timedelta(weeks=2))] * 8)
    assert sorted(found) == [0] * 7 + [2]
    assert (board.meetings.count(), count("plan")) == (10, 2)
    assert list(queries.breaks()) == []


def test_eight_ticks_close_an_agenda_once_while_the_chair_ends_the_meeting(world: World) -> None:
    meeting = weekly(world).meetings.earliest("starts_at")
    ask(world, "It")
    hold = partial(hold_meeting, meeting, actor=world.chair, now=meeting.ends_at)
    found = at_once(*[partial(close_agendas, meeting.starts_at)] * 7, hold)
    assert [each for each in found if isinstance(each, Exception)] == []
    assert (count("close_agenda"), count("hold"), AgendaItem.objects.count()) == (1, 1, 1)
    held = Meeting.objects.get(pk=meeting.pk)
    assert "## 1. " in held.minutes
    assert list(queries.breaks()) == []
