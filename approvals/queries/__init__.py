"""Reading approvals: what is signed, how a round stands, and who is asked."""

from approvals.queries.content import Subject, carriers, content, digest, riding, risk_reasons
from approvals.queries.rounds import (
    Standing,
    changed_since_last,
    content_signed,
    current_round,
    is_signed_off,
    live_votes,
    sign_off_blockers,
    standing,
    takes_votes,
    votable,
)
from approvals.queries.voters import askers, conflicts, electorate, eligible_voters, waiting_for, work_on

__all__ = [
    "Standing",
    "Subject",
    "askers",
    "carriers",
    "changed_since_last",
    "conflicts",
    "content",
    "content_signed",
    "current_round",
    "digest",
    "electorate",
    "eligible_voters",
    "is_signed_off",
    "live_votes",
    "riding",
    "risk_reasons",
    "sign_off_blockers",
    "standing",
    "takes_votes",
    "votable",
    "waiting_for",
    "work_on",
]
