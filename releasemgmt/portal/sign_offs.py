"""A round on the pages of records: its votes with what each asks for, and who may show that it is done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from approvals import policies
from approvals.models import ApprovalRound, Condition, Subject, Vote
from approvals.queries import Standing, standing
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User

#: Where it still matters whether what a voter asked for is done.
LIVE = (ApprovalRound.State.OPEN, ApprovalRound.State.APPROVED)


def sign_off(subject: Subject, round: ApprovalRound | None, user: User, *, now: datetime) -> dict[str, Any]:
    """What a record's page says of its round; one statement more than `standing`."""
    if round is None:
        return {"round": None, "standing": None}
    stand = standing(round, subject=subject)
    return {
        "round": round,
        "standing": stand,
        "votes": told_votes(stand),
        "missing": [(n, policies.words(name)) for name, n in stand.missing.items() if n] if stand.is_open else [],
        "may_vote": stand.is_open and bool(stand.seats_of(user, now)),
        "may_meet": may_meet(user, stand.round),
    }


def may_meet(user: User, round: ApprovalRound) -> bool:
    """Whether the page asks this person how the conditions of a round are met; the command decides in the end."""
    return round.state in LIVE and roles.edit_records(user, round.subject)


def told_votes(stand: Standing) -> list[dict[str, Any]]:
    """Each vote: in which seats and for whom, whether it counts now, and what it asks for. One statement."""
    counting = {vote.pk for vote in stand.counting}
    vetoing = {policies.seat(stage) for stage in stand.round.stages if stage.get("veto")}
    asked: dict[int, list[Condition]] = defaultdict(list)
    for condition in Condition.objects.filter(vote__in=stand.votes).select_related("met_by"):
        asked[condition.vote_id].append(condition)
    return [
        {
            "vote": vote,
            "seats": seats_in_words(vote.seats),
            "counts": vote.pk in counting,
            "is_veto": vote.decision == Vote.Decision.REJECT and not vetoing.isdisjoint(vote.seats),
            "conditions": asked[vote.pk],
        }
        for vote in stand.votes
    ]


def seats_in_words(names: Iterable[str]) -> str:
    """Seats as people call them."""
    return ", ".join(policies.words(name) for name in sorted(names))
