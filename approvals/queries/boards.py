"""What a meeting talks about: the open rounds of its board that were asked before the cut-off, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from operator import itemgetter

from django.db.models import Q, QuerySet

from approvals.models import AgendaItem, ApprovalRound, Board, BoardMember, ChangeRequest, Meeting
from approvals.policies import place_on_agenda
from releasemgmt.accounts.models import User
from releasemgmt.releases.models import Release, Risk
from releasemgmt.workflow.models import Event

#: What a normal board talks about; an emergency board about every emergency.
TALKED_ABOUT = (Risk.MEDIUM, Risk.HIGH)
SETTLED = (AgendaItem.Decision.APPROVED, AgendaItem.Decision.REJECTED)


@dataclass(frozen=True)
class Entry:
    """A round on an agenda: computed until the agenda is closed, then as an item of it.

    `deferred` is the meeting that put it off, if it was on an agenda before.
    """

    position: int
    round: ApprovalRound
    item: AgendaItem | None = None
    deferred: Meeting | None = None


def agenda(meeting: Meeting, *, now: datetime) -> list[Entry]:
    """What the meeting talks about, in its order. A constant number of statements."""
    if meeting.agenda_at is None:
        rounds = _in_order(_asked_before(meeting, now=now)) if meeting.is_planned else []
        put_off = _put_off(meeting, rounds)
        return [Entry(n, round, deferred=put_off.get(round.pk)) for n, round in enumerate(rounds, start=1)]
    subjects = ("round__release__product", "round__change__product", "round__opened_by", "decided_by")
    items = list(meeting.items.select_related(*subjects).order_by("position"))
    put_off = _put_off(meeting, [item.round for item in items])
    return [Entry(item.position, item.round, item, put_off.get(item.round_id)) for item in items]


def asked_later(meeting: Meeting) -> list[ApprovalRound]:
    """The open rounds that came after the cut-off: the next meeting talks about them."""
    if not meeting.is_planned:
        return []
    return _in_order(_of(meeting.board).filter(opened_at__gt=meeting.cut_off_at))


def next_meeting(meeting: Meeting) -> Meeting | None:
    """The planned meeting of the board that follows."""
    return meeting.board.meetings.planned().filter(starts_at__gt=meeting.starts_at).order_by("starts_at").first()


def members_of(event: Event) -> list[User]:
    """Those who sit on the board in whose stream the event stands: they hear of agendas and of cancelled meetings."""
    _, _, board = event.stream.partition(":")
    return [seat.user for seat in BoardMember.objects.seated().filter(board=int(board)).select_related("user")]


def _of(board: Board) -> QuerySet[ApprovalRound]:
    """The open rounds that are the board's to talk about."""
    if board.kind == Board.Kind.EMERGENCY:
        type = ChangeRequest.Type.EMERGENCY.value
        rounds = ApprovalRound.objects.open().filter(Q(release__type=type) | Q(change__type=type))
    else:
        asked = Q(release__risk__in=TALKED_ABOUT) | Q(change__risk__in=TALKED_ABOUT)
        rounds = ApprovalRound.objects.open().filter(asked)
    if board.team_id is not None:
        rounds = rounds.filter(Q(release__product__team=board.team_id) | Q(change__product__team=board.team_id))
    return rounds.with_subject()


def _asked_before(meeting: Meeting, *, now: datetime) -> QuerySet[ApprovalRound]:
    """Those asked before its cut-off that no meeting has decided and that no earlier meeting is still to talk about."""
    decided = AgendaItem.objects.filter(meeting__board=meeting.board, decision__in=SETTLED)
    rounds = _of(meeting.board).filter(opened_at__lte=meeting.cut_off_at).exclude(pk__in=decided.values("round"))
    ahead = meeting.board.meetings.planned().filter(starts_at__lt=meeting.starts_at, ends_at__gt=now)
    earlier = ahead.order_by("starts_at").last()
    if earlier is None:
        return rounds
    put_off = earlier.items.filter(decision=AgendaItem.Decision.DEFERRED)
    return rounds.filter(Q(opened_at__gt=earlier.cut_off_at) | Q(pk__in=put_off.values("round")))


def _in_order(rounds: Iterable[ApprovalRound]) -> list[ApprovalRound]:
    found = ((place_on_agenda(round.record.risk, _planned(round.record), round.pk), round) for round in rounds)
    return [round for _place, round in sorted(found, key=itemgetter(0))]


def _planned(subject: Release | ChangeRequest) -> datetime | None:
    if subject.planned_start is None and isinstance(subject, Release) and subject.target_date:
        return datetime.combine(subject.target_date, time(), UTC)
    return subject.planned_start


def _put_off(meeting: Meeting, rounds: Sequence[ApprovalRound]) -> dict[int, Meeting]:
    """round → the last meeting before this one that deferred it."""
    items = AgendaItem.objects.filter(round__in=rounds, decision=AgendaItem.Decision.DEFERRED)
    before = items.filter(meeting__board=meeting.board, meeting__starts_at__lt=meeting.starts_at)
    return {item.round_id: item.meeting for item in before.select_related("meeting").order_by("meeting__starts_at")}
