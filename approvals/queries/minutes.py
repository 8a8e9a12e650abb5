"""The minutes of a meeting as Markdown: who was there, what was talked about and decided, and how the votes stood."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from approvals.models import Meeting
from approvals.policies import words
from approvals.queries.boards import Entry, agenda
from approvals.queries.rounds import standing
from approvals.queries.standing import Standing
from releasemgmt.accounts.models import User
from releasemgmt.releases.models import Release


def minutes(meeting: Meeting, *, now: datetime, ended_by: User | None = None) -> str:
    """The minutes as they were fixed; before that, as they would be now."""
    if meeting.minutes:
        return meeting.minutes
    zone = ZoneInfo(meeting.board.time_zone)
    lines = [*_head(meeting, zone, now, ended_by), *_text(meeting.notes)]
    for entry in agenda(meeting, now=now):
        lines += ["", *_entry(entry, zone)]
    return "\n".join(lines) + "\n"


def _head(meeting: Meeting, zone: ZoneInfo, now: datetime, ended_by: User | None) -> Iterator[str]:
    here = list(meeting.attendees.order_by("first_name", "username"))
    seats = meeting.board.members.select_related("user").exclude(user__in=here)
    begin, end = meeting.starts_at.astimezone(zone), meeting.ends_at.astimezone(zone)
    yield f"# {meeting.board}, {begin:%-d %B %Y}"
    yield ""
    yield f"- Planned: {begin:%H:%M} to {end:%H:%M}, times in {zone.key}"
    closed = meeting.agenda_at.astimezone(zone) if meeting.agenda_at else None
    yield f"- Agenda closed: {closed:%-d %B %Y, %H:%M}" if closed else "- Agenda: still open"
    yield f"- Ended: {now.astimezone(zone):%-d %B %Y, %H:%M}, by {ended_by}" if ended_by else "- Ended: not yet"
    yield f"- Chair: {meeting.board.chair}"
    yield f"- Attended: {_names(here)}"
    yield f"- Did not attend: {_names([seat.user for seat in seats])}"


def _entry(entry: Entry, zone: ZoneInfo) -> Iterator[str]:
    round, subject, item = entry.round, entry.round.record, entry.item
    stands = standing(round, subject=subject)
    title = f"{subject.alias} {subject.title}" if isinstance(subject, Release) else subject.title
    yield f"## {entry.position}. {subject}: {_line(title)}"
    yield ""
    if item and item.decided_at:
        at = item.decided_at.astimezone(zone)
        yield f"- Decision of the meeting: **{item.decision}**, {at:%H:%M}, noted by {item.decided_by}"
    else:
        yield "- Decision of the meeting: none"
    yield f"- Risk: {subject.risk}"
    yield f"- Round {round.pk}: {_state(stands)}, asked by {round.opened_by}, content `{round.digest}`"
    yield from _votes(stands, zone)
    yield from _text(item.notes if item else "")


def _state(stands: Standing) -> str:
    return f"{stands.round.state}, the content has changed since" if stands.is_stale else stands.round.state


def _votes(stands: Standing, zone: ZoneInfo) -> Iterator[str]:
    counting = stands.counting
    for vote in stands.votes:
        comment = f": {_line(vote.comment)}" if vote.comment else ""
        lost = "" if vote in counting else " (does not count now)"
        at = vote.at.astimezone(zone)
        place = f" for {vote.on_behalf_of}" if vote.on_behalf_of else ""
        yield f"- Vote of {vote.voter}{place} on {at:%-d %B, %H:%M}: {vote.decision}{lost}{comment}"
    if missing := [f"{n} {words(seat)}" for seat, n in stands.missing.items() if n]:
        yield f"- Approvals missing: {', '.join(missing)}"


def _names(people: list[User]) -> str:
    return ", ".join(str(person) for person in people) or "nobody"


def _line(text: str) -> str:
    return " ".join(text.split())


def _text(text: str) -> list[str]:
    return ["", text.strip()] if text.strip() else []
