"""Boards: made, changed and filled by a chair; their meetings stand where the rule says, for some weeks ahead."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import F

from approvals.models import Board, BoardMember, Meeting
from approvals.models.board import SEATED
from releasemgmt.accounts import roles
from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import Role, User
from releasemgmt.integrations import recurrence
from releasemgmt.workflow.commands import command, create, edit, lock, permit, record, validate
from releasemgmt.workflow.errors import Conflict, Invalid

#: How far ahead meetings are planned.
AHEAD = timedelta(weeks=8)
FIRST_DAYS = (date(2000, 1, 1), date(2199, 12, 31))
RULE = {"rule", "first_on", "start_time", "time_zone", "duration_minutes", "cut_off_minutes"}


def create_board(*, key: str, actor: User, now: datetime, members: Collection[User] = (), **fields: Any) -> Board:
    """A new board with its chair and members; its first meetings are planned at once."""
    with command():
        board = Board(key=key, **{"first_on": now.astimezone(UTC).date(), **fields})
        permit(actor, board, roles.run_boards, to="create boards here")
        _check(board)
        if Board.objects.filter(key=key).exists():
            raise Conflict(f"There is a board {key} already.", code="exists")
        board = create(board, actor=actor, data={"key": key, "kind": board.kind, "rule": board.rule})
        _seat(board, members, actor=actor, now=now)
        _plan(board, actor=actor, now=now)
        return board


def edit_board(board: Board, *, changes: Mapping[str, Any], actor: User, now: datetime) -> Board:
    """Change a board, `members` too; its key, kind and team stay.

    A changed rule moves the meetings ahead, but for those that were called by hand, have notes, or whose agenda is
    closed, because people were told of them: these a chair cancels.
    """
    with command():
        board = lock(board)
        permit(actor, board, roles.run_boards, to=f"edit the board {board}")
        changes = dict(changes)
        members = changes.pop("members", [member.user for member in board.members.select_related("user")])
        before = {name: getattr(board, name) for name in RULE}
        _check(_as_wanted(board, changes))
        board = edit(board, actor=actor, changes=changes)
        _seat(board, members, actor=actor, now=now)
        if before != {name: getattr(board, name) for name in RULE}:
            _move(board, actor=actor, now=now)
        return board


def plan_meetings(now: datetime) -> int:
    """Plan what the boards' rules say for the weeks ahead; answers how many meetings are new."""
    found = 0
    for board in Board.objects.exclude(rule="").order_by("pk"):
        if _missing(board, now):
            with command():
                found += _plan(lock(board), actor=system(), now=now)
    return found


def _check(board: Board) -> None:
    validate(board)
    if not FIRST_DAYS[0] <= board.first_on <= FIRST_DAYS[1]:
        raise Invalid({"first_on": "Name a day between the years 2000 and 2199."})
    if board.rule:
        try:
            recurrence.parsed(board.rule, first_on=board.first_on, start=board.start_time)
        except recurrence.BadRule as error:
            raise Invalid({"rule": str(error)}) from error
    if Role.CAB_CHAIR not in board.chair.roles_in(board.team_id) or not _may_sit(board.chair, board):
        raise Invalid({"chair": f"{board.chair} is no CAB chair {_place(board)}."})


def _as_wanted(board: Board, changes: Mapping[str, Any]) -> Board:
    """The board as it would be: what can't be is refused before the database does."""
    draft = Board.objects.get(pk=board.pk)
    for name, value in changes.items():
        setattr(draft, name, value)
    return draft


def _seat(board: Board, members: Collection[User], *, actor: User, now: datetime) -> None:
    """Fill the seats; who sits there already keeps the seat, and with it the day since when."""
    wanted = {person.pk: person for person in [board.chair, *members]}
    sitting = {member.user_id: member.user for member in board.members.select_related("user")}
    coming = [person for pk, person in wanted.items() if pk not in sitting]
    if barred := [str(person) for person in coming if not _may_sit(person, board)]:
        raise Invalid({"members": f"{', '.join(barred)}: no CAB member or chair {_place(board)}."})
    leaving = [pk for pk in sitting if pk not in wanted]
    if not coming and not leaving:
        return
    board.members.filter(user__in=leaving).delete()
    BoardMember.objects.bulk_create(BoardMember(board=board, user=person, since=now) for person in coming)
    names = [sorted(person.username for person in people.values()) for people in (sitting, wanted)]
    record(board, "approvals.board.set_members", actor=actor, data={"changes": {"members": names}}, revise=True)


def _may_sit(person: User, board: Board) -> bool:
    held = person.roles_in(board.team_id)
    return person.kind == User.Kind.HUMAN and person.is_active and not held.isdisjoint(SEATED)


def _place(board: Board) -> str:
    return f"in {board.team}" if board.team else "in every team"


def _wanted(board: Board, now: datetime) -> list[datetime]:
    """When it meets in the weeks ahead."""
    if not board.rule:
        return []
    found = recurrence.instants(
        board.rule,
        first_on=board.first_on,
        start=board.start_time,
        zone=board.time_zone,
        begin=now,
        end=now + AHEAD,
    )
    return [at for at in found if at > now]


def _missing(board: Board, now: datetime) -> list[datetime]:
    """When it meets according to its rule, and no meeting stands there, not even one that was cancelled."""
    there = set(board.meetings.filter(starts_at__gt=now).values_list("starts_at", flat=True))
    return [at for at in _wanted(board, now) if at not in there]


def _plan(board: Board, *, actor: User, now: datetime) -> int:
    """Plan the missing meetings of a locked board."""
    missing = _missing(board, now)
    Meeting.objects.bulk_create(
        Meeting(board=board, starts_at=at, ends_at=at + board.duration, cut_off_at=at - board.cut_off) for at in missing
    )
    if missing:
        record(board, "approvals.board.plan", actor=actor, data={"meetings": missing})
    return len(missing)


def _move(board: Board, *, actor: User, now: datetime) -> None:
    """Bring the meetings that nobody was told of yet to where the changed rule says."""
    loose = board.meetings.ahead(now).filter(extra=False, agenda_at=None, notes="")
    gone = loose.exclude(starts_at__in=_wanted(board, now))
    if dropped := list(gone.values_list("starts_at", flat=True)):
        gone.delete()
        record(board, "approvals.board.drop", actor=actor, data={"meetings": dropped})
    loose.update(ends_at=F("starts_at") + board.duration, cut_off_at=F("starts_at") - board.cut_off)
    _plan(board, actor=actor, now=now)
