"""Boards: who may run them, who may sit on them, and meetings that stand where the rule says."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from approvals.commands import create_board, edit_board, plan_meetings
from approvals.models import Board, BoardMember, Meeting
from releasemgmt.accounts.models import RoleAssignment
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted
from releasemgmt.workflow.models import Event
from tests.approvals.boards import picture_of_boards, weekly
from tests.approvals.world import World
from tests.conftest import NOW
from tests.factories import someone

LATER = NOW + timedelta(days=3)


def starts(board: Board) -> list[str]:
    return [f"{at:%m-%d %H:%M}" for at in board.meetings.order_by("starts_at").values_list("starts_at", flat=True)]


def kinds(board: Board) -> list[str]:
    return list(Event.objects.filter(stream=board.stream).order_by("seq").values_list("kind", flat=True))


def test_a_chair_makes_a_board_and_it_meets_where_the_rule_says(world: World) -> None:
    board = weekly(world)
    found = ["03-05 13:00", "03-12 13:00", "03-19 13:00", "03-26 13:00"]  # winter time, then summer time
    assert starts(board) == [*found, "04-02 12:00", "04-09 12:00", "04-16 12:00", "04-23 12:00"]
    first = board.meetings.earliest("starts_at")
    assert (first.ends_at - first.starts_at, first.starts_at - first.cut_off_at) == (
        timedelta(hours=1),
        timedelta(days=1),
    )
    assert kinds(board) == ["approvals.board.create", "approvals.board.set_members", "approvals.board.plan"]


def test_the_chair_sits_on_the_board_too(world: World) -> None:
    seats = weekly(world).members.all()
    assert {seat.user for seat in seats} == {world.chair, *world.members}
    assert {seat.since for seat in seats} == {NOW}


@pytest.mark.parametrize("role", ["contributor", "release_manager", "cab_member", "deployer", "auditor"])
def test_boards_are_for_chairs(world: World, role: str) -> None:
    board, before, somebody = weekly(world), picture_of_boards(), world.someone(role)
    with pytest.raises(NotPermitted):
        weekly(world, key="other", actor=somebody)
    edits: list[dict[str, Any]] = [{"name": "Mine"}, {"members": []}]
    for changes in edits:
        with pytest.raises(NotPermitted):
            edit_board(board, changes=changes, actor=somebody, now=NOW)
    assert picture_of_boards() == before


def test_a_board_for_every_team_needs_a_chair_of_every_team(world: World) -> None:
    with pytest.raises(NotPermitted):
        weekly(world, team=None)
    chair = someone("cab_chair")
    with pytest.raises(Invalid, match="no CAB member or chair in every team"):
        weekly(world, team=None, chair=chair, actor=chair)
    assert weekly(world, team=None, chair=chair, members=[someone("cab_member")], actor=chair).members.count() == 2


@pytest.mark.parametrize("kind", Board.Kind.values)
def test_only_people_with_a_role_of_the_cab_sit_on_a_board(world: World, kind: str) -> None:
    before = picture_of_boards()
    gone = world.someone("cab_member", is_active=False)
    for person in (world.manager, someone("service", "cab_member", team=world.product.team), gone, someone()):
        with pytest.raises(Invalid) as refused:
            weekly(world, kind=kind, members=[person])
        assert list(refused.value.errors) == ["members"]
    with pytest.raises(Invalid) as refused:
        weekly(world, kind=kind, chair=world.members[0])
    assert list(refused.value.errors) == ["chair"]
    assert picture_of_boards() == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time_zone", "Europe/Atlantis"),
        ("rule", "FREQ=HOURLY"),
        ("rule", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"),
        ("cut_off_minutes", 0),
        ("cut_off_minutes", 15 * 24 * 60),
        ("duration_minutes", 0),
        ("first_on", date(1, 1, 1)),
        ("key", "No key"),
    ],
)
def test_what_no_meeting_can_be_planned_by_is_refused(world: World, field: str, value: Any) -> None:
    board, before = weekly(world, key="there"), picture_of_boards()
    with pytest.raises(Invalid) as refused:
        weekly(world, **{field: value})
    assert list(refused.value.errors) == [field]
    if field != "key":
        with pytest.raises(Invalid):
            edit_board(board, changes={field: value}, actor=world.chair, now=NOW)
    assert picture_of_boards()[1:] == before[1:]
    assert Board.objects.get().revision == board.revision


def test_a_key_is_taken_once(world: World) -> None:
    weekly(world)
    with pytest.raises(Conflict):
        weekly(world)


def test_a_board_without_a_rule_meets_only_when_called(world: World) -> None:
    board = create_board(
        key="ecab", name="Emergency", kind="emergency", team=world.product.team, chair=world.chair,
        start_time=time(9), actor=world.chair, now=NOW,
    )  # fmt: skip
    assert plan_meetings(NOW) == 0
    assert starts(board) == []


def test_who_stays_keeps_the_seat_and_who_comes_sits_from_now_on(world: World) -> None:
    board, newcomer = weekly(world), world.someone("cab_member")
    edit_board(board, changes={"members": [world.members[0], newcomer]}, actor=world.chair, now=LATER)
    since = dict(board.members.values_list("user", "since"))
    assert since == {world.chair.pk: NOW, world.members[0].pk: NOW, newcomer.pk: LATER}


def test_who_comes_back_sits_from_then_on(world: World) -> None:
    board = weekly(world)
    edit_board(board, changes={"members": []}, actor=world.chair, now=NOW)
    edit_board(board, changes={"members": world.members}, actor=world.chair, now=LATER)
    assert {seat.since for seat in board.members.exclude(user=world.chair)} == {LATER}


def test_a_seat_is_filled_while_its_holder_has_the_role(world: World) -> None:
    board = weekly(world)
    assert board.members.seated().count() == 3
    RoleAssignment.objects.filter(user=world.members[0]).update(role="auditor")
    RoleAssignment.objects.filter(user=world.members[1]).update(team=World().product.team)
    assert [seat.user for seat in BoardMember.objects.seated()] == [world.chair]


def test_the_same_again_writes_nothing(world: World) -> None:
    board = weekly(world)
    before = picture_of_boards()
    changes = {"name": board.name, "rule": board.rule, "members": world.members}
    edit_board(board, changes=changes, actor=world.chair, now=NOW)
    assert plan_meetings(NOW) == 0
    assert picture_of_boards()[1:] == before[1:]


def test_the_tick_plans_the_weeks_that_come_into_sight(world: World) -> None:
    board = weekly(world)
    assert plan_meetings(NOW + timedelta(weeks=2)) == 2
    assert starts(board)[-2:] == ["04-30 12:00", "05-07 12:00"]
    assert plan_meetings(NOW + timedelta(weeks=2)) == 0


def test_a_cancelled_meeting_is_not_planned_again(world: World) -> None:
    board = weekly(world)
    first = board.meetings.earliest("starts_at")
    first.settle(Meeting.State.CANCELLED, by=world.chair, at=NOW)
    first.save()
    assert plan_meetings(NOW) == 0


def test_a_changed_rule_moves_the_meetings_of_which_nobody_was_told(world: World) -> None:
    board = weekly(world)
    told, noted, extra, *_ = board.meetings.order_by("starts_at")
    Meeting.objects.filter(pk=told.pk).update(agenda_at=NOW)
    Meeting.objects.filter(pk=noted.pk).update(notes="The auditor comes.")
    Meeting.objects.filter(pk=extra.pk).update(extra=True)
    changes = {"rule": "FREQ=WEEKLY;INTERVAL=4;BYDAY=FR", "duration_minutes": 90}
    edit_board(board, changes=changes, actor=world.chair, now=NOW)
    assert starts(board) == ["03-05 13:00", "03-06 13:00", "03-12 13:00", "03-19 13:00", "04-03 12:00"]
    assert kinds(board)[-3:] == ["approvals.board.edit", "approvals.board.drop", "approvals.board.plan"]


def test_a_changed_length_keeps_the_meetings(world: World) -> None:
    board = weekly(world)
    before = list(board.meetings.order_by("pk").values_list("pk", "starts_at"))
    changes = {"duration_minutes": 30, "cut_off_minutes": 60}
    edit_board(board, changes=changes, actor=world.chair, now=NOW)
    assert list(board.meetings.order_by("pk").values_list("pk", "starts_at")) == before
    for meeting in board.meetings.all():
        assert meeting.ends_at - meeting.starts_at == timedelta(minutes=30)
        assert meeting.starts_at - meeting.cut_off_at == timedelta(hours=1)


def test_past_meetings_stay(world: World) -> None:
    board = weekly(world)
    edit_board(board, changes={"rule": ""}, actor=world.chair, now=datetime.fromisoformat("2026-03-20T00:00:00+00:00"))
    assert starts(board) == ["03-05 13:00", "03-12 13:00", "03-19 13:00"]
