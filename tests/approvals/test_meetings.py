"""Meetings: what is on the agenda and when it closes, what is decided there, and minutes that stay as they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from approvals.commands import (
    call_meeting,
    cancel_meeting,
    close_agendas,
    edit_meeting,
    hold_meeting,
    write_item,
)
from approvals.models import AgendaItem, ApprovalRound, Board, Meeting
from approvals.policies import place_on_agenda
from approvals.queries import agenda, asked_later, members_of, minutes, next_meeting
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted
from releasemgmt.workflow.models import Event
from tests.approvals.boards import ask, picture_of_boards, weekly
from tests.approvals.world import World, say
from tests.conftest import NOW

DAY = timedelta(days=1)


def meetings(board: Board) -> list[Meeting]:
    return list(board.meetings.select_related("board").order_by("starts_at"))


def titles(meeting: Meeting, now: datetime = NOW) -> list[str]:
    return [entry.round.record.title for entry in agenda(Meeting.objects.get(pk=meeting.pk), now=now)]


def closed(meeting: Meeting) -> Meeting:
    """With its agenda closed, just after the cut-off."""
    close_agendas(meeting.cut_off_at)
    return Meeting.objects.select_related("board").get(pk=meeting.pk)


EARLY, LATE = datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("high", LATE, 9), ("medium", EARLY, 1)),
        (("medium", EARLY, 9), ("medium", LATE, 1)),
        (("medium", LATE, 9), ("medium", None, 1)),
        (("medium", None, 1), ("medium", None, 9)),
        (("medium", None, 9), ("low", EARLY, 1)),
    ],
)
def test_the_highest_risk_stands_first_then_what_is_planned_first(first: Any, second: Any) -> None:
    assert place_on_agenda(*first) < place_on_agenda(*second)


def test_the_agenda_builds_itself_from_the_open_rounds(world: World) -> None:
    meeting = meetings(weekly(world))[0]
    tomorrow = {"planned_start": NOW + DAY, "planned_end": NOW + 2 * DAY}
    ask(world, "Today")
    ask(world, "Tomorrow", **tomorrow)
    ask(world, "Risky", risk="high")
    ask(world, "Small", risk="low")
    ask(World(), "Somebody else's", risk="high")
    decided = ask(world, "Decided")
    say(decided, world.signer)
    say(decided, world.members[0])
    assert titles(meeting) == ["Risky", "Today", "Tomorrow"]


def test_a_board_of_every_team_talks_about_all(world: World) -> None:
    ask(world, "Mine")
    ask(World(), "Theirs")
    board = weekly(world)
    Board.objects.filter(pk=board.pk).update(team=None)
    assert titles(meetings(board)[0]) == ["Mine", "Theirs"]


def test_an_emergency_board_talks_about_emergencies(world: World) -> None:
    board = weekly(world, kind="emergency")
    ask(world, "Ordinary", risk="high")
    ask(world, "Fire", risk="low")
    world.product.changes.filter(title="Fire").update(type="emergency")
    assert titles(meetings(board)[0]) == ["Fire"]


def test_what_is_asked_after_the_cut_off_comes_to_the_next_meeting(world: World) -> None:
    first, second, *_ = meetings(weekly(world))
    ask(world, "In time")
    ask(world, "Late", at=first.cut_off_at + timedelta(seconds=1))
    assert titles(first) == ["In time"]
    assert [round.record.title for round in asked_later(first)] == ["Late"]
    assert next_meeting(first) == second
    assert titles(second) == ["Late"]
    assert titles(closed(first), first.cut_off_at) == ["In time"]
    assert titles(second, first.cut_off_at) == ["Late"]


def test_the_agenda_closes_once_and_stays_as_members_were_told(world: World) -> None:
    board = weekly(world)
    meeting = meetings(board)[0]
    ask(world, "Told")
    assert close_agendas(meeting.cut_off_at - timedelta(seconds=1)) == 0
    assert close_agendas(meeting.cut_off_at) == 1
    assert close_agendas(meeting.cut_off_at) == 0
    ask(world, "Backdated")
    assert titles(meeting, meeting.cut_off_at) == ["Told"]
    event = Event.objects.get(kind="approvals.board.close_agenda")
    assert (event.stream, event.data["agenda"]) == (board.stream, [world.product.changes.get(title="Told").number])
    assert {person.pk for person in members_of(event)} == {world.chair.pk, *(member.pk for member in world.members)}


def test_a_cut_off_that_passed_unseen_is_made_up_for(world: World) -> None:
    meeting = meetings(weekly(world))[0]
    ask(world, "In time")
    ask(world, "Late", at=meeting.cut_off_at + timedelta(hours=1))
    close_agendas(meeting.starts_at)
    assert titles(meeting, meeting.starts_at) == ["In time"]


@pytest.mark.parametrize(
    ("decision", "again"), [("deferred", ["It"]), ("approved", []), ("rejected", []), ("", ["It"])]
)
def test_what_is_deferred_or_left_comes_again(world: World, decision: str, again: list[str]) -> None:
    first, second, *_ = meetings(weekly(world))
    ask(world, "It")
    first = closed(first)
    item = first.items.get()
    write_item(item, changes={"decision": decision}, actor=world.chair, now=first.starts_at)
    hold_meeting(first, actor=world.chair, now=first.ends_at)
    assert titles(second, first.ends_at) == again
    entries = agenda(second, now=first.ends_at)
    assert [entry.deferred for entry in entries] == ([first] if decision == "deferred" else [None] * len(again))


def test_what_is_deferred_shows_on_the_next_agenda_before_the_meeting_ends(world: World) -> None:
    first, second, *_ = meetings(weekly(world))
    ask(world, "It")
    item = closed(first).items.get()
    assert titles(second, first.starts_at) == []
    write_item(item, changes={"decision": "deferred"}, actor=world.chair, now=first.starts_at)
    assert titles(second, first.starts_at) == ["It"]


def test_a_cancelled_meeting_leaves_its_agenda_to_the_next(world: World) -> None:
    first, second, *_ = meetings(weekly(world))
    ask(world, "It")
    first = closed(first)
    cancel_meeting(first, reason="Ill.", actor=world.chair, now=NOW)
    assert titles(second, first.cut_off_at) == ["It"]
    assert Meeting.objects.get(pk=first.pk).state == "cancelled"
    before = picture_of_boards()
    cancel_meeting(first, reason="Ill.", actor=world.chair, now=NOW)
    assert picture_of_boards() == before


def test_the_decision_of_a_meeting_votes_for_nobody(world: World) -> None:
    meeting = meetings(weekly(world))[0]
    round = ask(world, "It")
    item = closed(meeting).items.get()
    write_item(item, changes={"decision": "approved", "notes": "Go."}, actor=world.chair, now=meeting.starts_at)
    assert ApprovalRound.objects.get(pk=round.pk).state == "open"
    assert not round.votes.exists()
    say(round, world.signer)
    say(round, world.members[0])
    assert ApprovalRound.objects.get(pk=round.pk).state == "approved"


def test_the_minutes_say_who_what_and_how_and_are_fixed_by_the_end(world: World) -> None:
    meeting = meetings(weekly(world))[0]
    round = ask(world, "Larger disk", risk="high")
    say(round, world.members[0], comment="Looks\ngood.")
    meeting = closed(meeting)
    edit_meeting(meeting, changes={"notes": "Short one.", "attendees": [world.chair]}, actor=world.chair)
    item, at = meeting.items.get(), meeting.starts_at + timedelta(minutes=10)
    write_item(item, changes={"decision": "deferred", "notes": "Ask the *vendor*."}, actor=world.chair, now=at)
    assert "Ended: not yet" in minutes(Meeting.objects.get(pk=meeting.pk), now=at)
    held = hold_meeting(meeting, actor=world.chair, now=at)
    change = round.subject
    for line in (
        "# Weekly CAB, 5 March 2026",
        "- Planned: 14:00 to 15:00, times in Europe/Zurich",
        "- Agenda closed: 4 March 2026, 14:00",
        f"- Ended: 5 March 2026, 14:10, by {world.chair}",
        f"- Attended: {world.chair}",
        f"- Did not attend: {', '.join(sorted(str(member) for member in world.members))}",
        "Short one.",
        f"## 1. {change}: Larger disk",
        f"- Decision of the meeting: **deferred**, 14:10, noted by {world.chair}",
        f"- Vote of {world.members[0]} on 2 March, 10:00: approve: Looks good.",
        "- Approvals missing: 1 CAB member, 1 CAB chair",
        "Ask the *vendor*.",
    ):
        assert line in held.minutes.splitlines()
    say(round, world.members[1])
    assert minutes(Meeting.objects.get(pk=meeting.pk), now=at) == held.minutes


def test_what_is_over_does_not_change(world: World) -> None:
    meeting = meetings(weekly(world))[0]
    ask(world, "It")
    meeting = closed(meeting)
    hold_meeting(meeting, actor=world.chair, now=meeting.ends_at)
    before, items = picture_of_boards(), list(AgendaItem.objects.values())
    for act in (
        lambda: edit_meeting(meeting, changes={"notes": "x"}, actor=world.chair),
        lambda: write_item(meeting.items.get(), changes={"notes": "x"}, actor=world.chair, now=NOW),
        lambda: cancel_meeting(meeting, reason="x", actor=world.chair, now=NOW),
    ):
        with pytest.raises(Conflict):
            act()
    hold_meeting(meeting, actor=world.chair, now=meeting.ends_at)
    assert (picture_of_boards(), list(AgendaItem.objects.values())) == (before, items)


@pytest.mark.parametrize("role", ["cab_member", "release_manager", "contributor", "auditor"])
def test_meetings_are_run_by_chairs(world: World, role: str) -> None:
    board = weekly(world)
    ask(world, "It")
    meeting = closed(meetings(board)[0])
    before, items, somebody = picture_of_boards(), list(AgendaItem.objects.values()), world.someone(role)
    for act in (
        lambda: call_meeting(board, starts_at=NOW + DAY, actor=somebody, now=NOW),
        lambda: cancel_meeting(meeting, reason="x", actor=somebody, now=NOW),
        lambda: edit_meeting(meeting, changes={"notes": "x"}, actor=somebody),
        lambda: write_item(meeting.items.get(), changes={"notes": "x"}, actor=somebody, now=NOW),
        lambda: hold_meeting(meeting, actor=somebody, now=meeting.ends_at),
    ):
        with pytest.raises(NotPermitted):
            act()
    assert (picture_of_boards(), list(AgendaItem.objects.values())) == (before, items)


def test_refusals_of_meetings_leave_all_as_it_is(world: World) -> None:
    board = weekly(world)
    ask(world, "It")
    meeting, other, *_ = meetings(board)
    item = closed(meeting).items.get()
    write_item(item, changes={"decision": "approved"}, actor=world.chair, now=NOW)
    robot, ahead = world.someone("service"), NOW + DAY
    before, items = picture_of_boards(), list(AgendaItem.objects.values())
    for error, act in (
        (Invalid, lambda: call_meeting(board, starts_at=NOW, actor=world.chair, now=NOW)),
        (Invalid, lambda: call_meeting(board, starts_at=ahead, ends_at=ahead, actor=world.chair, now=NOW)),
        (Invalid, lambda: call_meeting(board, starts_at=ahead, ends_at=ahead + 2 * DAY, actor=world.chair, now=NOW)),
        (Conflict, lambda: call_meeting(board, starts_at=other.starts_at, actor=world.chair, now=NOW)),
        (Invalid, lambda: cancel_meeting(other, reason=" ", actor=world.chair, now=NOW)),
        (Conflict, lambda: cancel_meeting(meeting, reason="x", actor=world.chair, now=NOW)),
        (Conflict, lambda: hold_meeting(meeting, actor=world.chair, now=meeting.starts_at - DAY)),
        (Invalid, lambda: write_item(item, changes={"decision": "maybe"}, actor=world.chair, now=NOW)),
        (Invalid, lambda: edit_meeting(meeting, changes={"attendees": [robot]}, actor=world.chair)),
    ):
        with pytest.raises(error):
            act()
    assert (picture_of_boards(), list(AgendaItem.objects.values())) == (before, items)


def test_a_meeting_that_is_called_at_short_notice_talks_about_what_is_open_now(world: World) -> None:
    board = weekly(world)
    ask(world, "Now", at=NOW - timedelta(minutes=5))
    called = call_meeting(board, starts_at=NOW + timedelta(hours=2), actor=world.chair, now=NOW)
    assert (called.cut_off_at, called.ends_at) == (NOW, NOW + timedelta(hours=3))
    assert titles(called) == ["Now"]
    assert titles(meetings(board)[1]) == []


def test_the_same_again_writes_nothing(world: World) -> None:
    meeting = meetings(weekly(world))[0]
    ask(world, "It")
    item = closed(meeting).items.get()
    changes = {"decision": "approved", "notes": "Yes."}
    write_item(item, changes=changes, actor=world.chair, now=NOW)
    edit_meeting(meeting, changes={"notes": "N", "attendees": world.members}, actor=world.chair)
    before, items = picture_of_boards(), list(AgendaItem.objects.values())
    write_item(item, changes=changes, actor=world.chair, now=NOW + DAY)
    edit_meeting(meeting, changes={"notes": "N", "attendees": world.members}, actor=world.chair)
    assert (picture_of_boards(), list(AgendaItem.objects.values())) == (before, items)
