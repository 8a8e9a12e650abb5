"""The pages of a meeting: its agenda, and each item with what is known of it, in a constant number of statements."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from approvals.models import Meeting
from approvals.policies import words
from approvals.queries import Entry, Standing, agenda, asked_later, next_meeting, riding, risk_reasons, standing
from deployments.queries import comparison
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.releases.models import Release
from releasemgmt.workflow.queries import timeline

COMMENTS_SHOWN = 10
COMMITS_SHOWN = 50


def overview(meeting: Meeting, user: User, *, now: datetime) -> dict[str, Any]:
    """The context of the meeting's own page."""
    entries = agenda(meeting, now=now)
    return {
        "meeting": meeting,
        "board": meeting.board,
        "entries": entries,
        "decided": sum(1 for entry in entries if entry.item and entry.item.decision),
        "later": asked_later(meeting),
        "following": next_meeting(meeting),
        "members": meeting.board.members.select_related("user"),
        "attendees": list(meeting.attendees.order_by("first_name", "username")),
        "may_run": roles.run_boards(user, meeting.board) and meeting.is_planned,
        "has_begun": meeting.starts_at <= now,
        "is_over": meeting.ends_at <= now,
        "now": now,
    }


def item(meeting: Meeting, round: int, user: User, *, now: datetime) -> dict[str, Any] | None:
    """The context of one item's page; None where the agenda has no such round."""
    entries = agenda(meeting, now=now)
    place = next((n for n, entry in enumerate(entries) if entry.round.pk == round), None)
    if place is None:
        return None
    entry = entries[place]
    subject = entry.round.record
    changes = riding(subject) if isinstance(subject, Release) else [subject]
    stand = standing(entry.round, subject=subject)
    mine = next((vote for vote in stand.votes if user.pk in (vote.voter_id, vote.owner_id)), None)
    places = stand.seats_of(user, now) if stand.is_open and entry.round.takes_votes and mine is None else []
    return {
        "meeting": meeting,
        "board": meeting.board,
        "entries": entries,
        "entry": entry,
        "round": entry.round,
        "subject": subject,
        "is_release": isinstance(subject, Release),
        "previous": entries[place - 1] if place else None,
        "next": entries[place + 1] if place + 1 < len(entries) else None,
        "changes": changes,
        "reasons": risk_reasons(subject, changes=[] if subject in changes else changes),
        "standing": stand,
        "missing": [(n, words(seat)) for seat, n in stand.missing.items() if n],
        "mine": mine,
        "places": places,
        "why_not": _why_not(user, stand),
        "comments": timeline(subject).filter(kind="comment")[:COMMENTS_SHOWN],
        "may_run": roles.run_boards(user, meeting.board) and meeting.is_planned,
        "now": now,
        **(_release(subject) if isinstance(subject, Release) else {}),
    }


def after(meeting: Meeting, round: int, *, now: datetime) -> Entry | None:
    """The item that follows on the agenda."""
    entries = agenda(meeting, now=now)
    places = [n for n, entry in enumerate(entries, start=1) if entry.round.pk == round]
    return entries[places[0]] if places and places[0] < len(entries) else None


def _why_not(user: User, stand: Standing) -> str:
    if reasons := stand.reasons_against(user):
        return f"You can't vote on your own work: you are {', '.join(reasons)}."
    if not stand.is_open:
        return "The round takes no votes now."
    return "The policies ask others than you, or your role came after the round opened."


def _release(release: Release) -> dict[str, Any]:
    production = release.product.environments.filter(tier="production").order_by("rank").first()
    compared = comparison(release, production) if production else None
    return {
        "production": production,
        "comparison": compared,
        "commits": compared.commits[:COMMITS_SHOWN] if compared else [],
    }
