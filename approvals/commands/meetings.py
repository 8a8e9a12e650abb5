"""Meetings of boards: called, cancelled, walked item by item and ended, each on the stream of its board.

The agenda is open until the cut-off and closed by it, not by the beginning of the meeting: members are told of it then
and prepare what they were told. What is asked later comes to the next meeting.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from approvals import queries
from approvals.models import AgendaItem, Board, Meeting
from releasemgmt.accounts import roles
from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import User
from releasemgmt.workflow.commands import command, lock, permit, record
from releasemgmt.workflow.errors import Conflict, Invalid

LONGEST = timedelta(days=1)


def call_meeting(
    board: Board, *, starts_at: datetime, actor: User, now: datetime, ends_at: datetime | None = None
) -> Meeting:
    """Call a meeting beside the rule; where it is sooner than the cut-off, its agenda closes now."""
    with command():
        board = lock(board)
        permit(actor, board, roles.run_boards, to=f"call the board {board}")
        ends_at = ends_at or starts_at + board.duration
        if starts_at <= now:
            raise Invalid({"starts_at": "Name an instant that is still ahead."})
        if not starts_at < ends_at <= starts_at + LONGEST:
            raise Invalid({"ends_at": "It ends after it starts, and within a day."})
        if there := board.meetings.filter(starts_at=starts_at).first():
            state = there.get_state_display().lower()
            raise Conflict(f"{board} has a meeting at that time already; it is {state}.", code="exists")
        cut_off_at = max(starts_at - board.cut_off, now)
        meeting = Meeting(board=board, starts_at=starts_at, ends_at=ends_at, cut_off_at=cut_off_at, extra=True)
        meeting.save(force_insert=True)
        record(board, "approvals.board.call", actor=actor, data=_named(meeting), revise=True)
        return meeting


def cancel_meeting(meeting: Meeting, *, reason: str, actor: User, now: datetime) -> Meeting:
    """It does not take place; what it had not decided comes to the next one."""
    with command():
        board, meeting = _locked(meeting)
        permit(actor, board, roles.run_boards, to=f"cancel meetings of {board}")
        if not reason.strip():
            raise Invalid({"reason": "Say the reason."})
        if meeting.state == Meeting.State.CANCELLED:
            return meeting
        _check_planned(meeting)
        if meeting.items.exclude(decision="").exists():
            raise Conflict("It has decided something already; end it.", code="meeting_decided")
        meeting.settle(Meeting.State.CANCELLED, by=actor, at=now)
        meeting.save()
        record(board, "approvals.board.cancel", actor=actor, data={**_told(meeting), "reason": reason}, revise=True)
        return meeting


def edit_meeting(meeting: Meeting, *, changes: Mapping[str, Any], actor: User) -> Meeting:
    """Write the meeting's notes, and who attends (`attendees`)."""
    with command():
        board, meeting = _locked(meeting)
        permit(actor, board, roles.run_boards, to=f"keep the minutes of {board}")
        _check_planned(meeting)
        changes = dict(changes)
        attendees: Collection[User] | None = changes.pop("attendees", None)
        diff = _set(meeting, changes)
        if attendees is not None:
            before = sorted(meeting.attendees.values_list("username", flat=True))
            after = sorted(person.username for person in attendees)
            if any(person.kind != User.Kind.HUMAN for person in attendees):
                raise Invalid({"attendees": "Only people attend."})
            if before != after:
                meeting.attendees.set(attendees)
                diff["attendees"] = [before, after]
        if diff:
            record(board, "approvals.board.note", actor=actor, data={**_named(meeting), "changes": diff}, revise=True)
        return meeting


def write_item(item: AgendaItem, *, changes: Mapping[str, Any], actor: User, now: datetime) -> AgendaItem:
    """Write what the meeting said of a round (`notes`), and what it decided: its record, nobody's vote."""
    with command():
        board, meeting = _locked(item.meeting)
        item = meeting.items.select_related("round__release", "round__change").get(pk=item.pk)
        permit(actor, board, roles.run_boards, to=f"keep the minutes of {board}")
        _check_planned(meeting)
        decision = changes.get("decision", item.decision)
        if decision and decision not in AgendaItem.Decision.values:
            raise Invalid({"decision": f"Choose one of {', '.join(AgendaItem.Decision.values)}."})
        if decision != item.decision:
            item.decided_at, item.decided_by = (now, actor) if decision else (None, None)
        if diff := _set(item, changes):
            data = {**_named(meeting), "round": item.round_id, "about": item.round.subject.number, "changes": diff}
            record(board, "approvals.board.talk", actor=actor, data=data, revise=True)
        return item


def hold_meeting(meeting: Meeting, *, actor: User, now: datetime) -> Meeting:
    """End a meeting; its minutes are what they are now, for good. What it did not decide comes to the next one."""
    with command():
        board, meeting = _locked(meeting)
        permit(actor, board, roles.run_boards, to=f"end meetings of {board}")
        if meeting.state == Meeting.State.HELD:
            return meeting
        _check_planned(meeting)
        if now < meeting.starts_at:
            raise Conflict("It has not begun yet.", code="meeting_ahead")
        if meeting.agenda_at is None:
            _close(meeting, now=now)
        meeting.minutes = queries.minutes(meeting, now=now, ended_by=actor)
        meeting.settle(Meeting.State.HELD, by=actor, at=now)
        meeting.save()
        data = {**_named(meeting), "minutes": f"sha256:{sha256(meeting.minutes.encode()).hexdigest()}"}
        record(board, "approvals.board.hold", actor=actor, data=data, revise=True)
        return meeting


def close_agendas(now: datetime) -> int:
    """Close the agendas whose cut-off has passed, and tell the members; answers how many."""
    closed = 0
    for due in Meeting.objects.due_for_agenda(now).select_related("board"):
        with command():
            _board, meeting = _locked(due)
            if meeting.is_planned and meeting.agenda_at is None:
                _close(meeting, now=now)
                closed += 1
    return closed


def _close(meeting: Meeting, *, now: datetime) -> None:
    """Write the agenda of a meeting whose board is locked down, as it is now."""
    entries = queries.agenda(meeting, now=now)
    AgendaItem.objects.bulk_create(
        AgendaItem(meeting=meeting, round=entry.round, position=entry.position) for entry in entries
    )
    meeting.agenda_at = now
    meeting.save(update_fields=["agenda_at"])
    agenda = [entry.round.subject.number for entry in entries]
    record(meeting.board, "approvals.board.close_agenda", actor=system(), data={**_told(meeting), "agenda": agenda})


def _locked(meeting: Meeting) -> tuple[Board, Meeting]:
    """The meeting, read afresh under the lock of its board."""
    board = lock(meeting.board)
    meeting = Meeting.objects.get(pk=meeting.pk)
    meeting.board = board
    return board, meeting


def _check_planned(meeting: Meeting) -> None:
    if not meeting.is_planned:
        state = meeting.get_state_display().lower()
        raise Conflict(f"The meeting is {state}; nothing about it changes any more.", code="meeting_over")


def _set(row: Meeting | AgendaItem, changes: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Set fields of a row and save it; answers what differs."""
    diff = {name: [getattr(row, name), value] for name, value in changes.items() if getattr(row, name) != value}
    for name, value in changes.items():
        setattr(row, name, value)
    if diff:
        row.save()
    return diff


def _named(meeting: Meeting) -> dict[str, Any]:
    return {"meeting": meeting.pk, "starts_at": meeting.starts_at}


def _told(meeting: Meeting) -> dict[str, Any]:
    """With what members are told of it: the day and the hour where the board is."""
    local = meeting.starts_at.astimezone(ZoneInfo(meeting.board.time_zone))
    return {**_named(meeting), "when": f"{local:%A %-d %B %Y, %H:%M} ({local.tzname()})"}
