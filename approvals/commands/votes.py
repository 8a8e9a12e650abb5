"""Votes: cast on what their voter saw; the last one that is needed decides, in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from approvals import policies, queries
from approvals.commands.rounds import lock_with_changes
from approvals.models import ApprovalRound, ChangeRequest, Vote
from approvals.policies import Verdict
from approvals.queries import Standing, Subject
from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import Scope, User
from releasemgmt.workflow import fsm
from releasemgmt.workflow.commands import command, fire, lock, record
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted, Refused, Stale, WrongState

#: What a verdict does to a round: its state, the event, and the transition of the changes that wait for it.
ENDS = {
    Verdict.APPROVED: (ApprovalRound.State.APPROVED, "approvals.round.approve", "authorize"),
    Verdict.REJECTED: (ApprovalRound.State.REJECTED, "approvals.round.reject", "reject"),
}


def vote(
    round: ApprovalRound,
    *,
    decision: str,
    digest: str,
    comment: str = "",
    actor: User,
    now: datetime,
    channel: str = Vote.Channel.API,
) -> Vote:
    """Approve, reject or abstain, about the content of that digest; every refusal is audited.

    The vote that completes the count, or makes it impossible, ends the round here, and what waits for it moves on.
    """
    try:
        with command():
            _check_ballot(decision=decision, digest=digest, comment=comment)
            subject, changes = lock_with_changes(round.subject)
            round = ApprovalRound.objects.get(pk=round.pk)
            stands = queries.standing(round, subject=subject, changes=changes)
            _check_takes_votes(round, subject)
            _check_voter(stands, actor)
            _check_content(stands, digest)
            cast = _cast(stands, Vote(decision=decision, comment=comment, digest=digest, channel=channel), actor, now)
            _follow(stands, cast, changes=changes, actor=actor, now=now)
            return cast
    except Refused as refused:
        refused.audited = True
        raise


def revoke(vote: Vote, *, actor: User, now: datetime) -> Vote:
    """Take one's own vote back while the round is open; then one may vote again."""
    with command():
        subject = lock(vote.round.subject)
        vote = Vote.objects.select_related("round", "voter").get(pk=vote.pk)
        if vote.voter_id != actor.pk or not actor.has_scope(Scope.APPROVE):
            raise NotPermitted("Only its voter revokes a vote.")
        if vote.revoked_at is not None:
            return vote
        if vote.round.state != ApprovalRound.State.OPEN:
            raise _closed(vote.round)
        vote.revoked_at = now
        vote.save(update_fields=["revoked_at"])
        record(subject, "approvals.vote.revoke", actor=actor, data={"round": vote.round_id, "vote": vote.pk})
        return vote


def _check_ballot(*, decision: str, digest: str, comment: str) -> None:
    errors = {}
    if decision not in Vote.Decision.values:
        errors["decision"] = f"Choose one of {', '.join(Vote.Decision.values)}."
    if not digest:
        errors["digest"] = "Send the digest of the content that you saw."
    if decision == Vote.Decision.REJECT and not comment.strip():
        errors["comment"] = "Say why you reject it."
    if errors:
        raise Invalid(errors)


def _check_takes_votes(round: ApprovalRound, subject: Subject) -> None:
    if round.state != ApprovalRound.State.OPEN:
        raise _closed(round)
    if not queries.takes_votes(subject):
        allowed = [arrow.name for arrow in fsm.leaving(subject)]
        raise WrongState(f"{subject} is {subject.get_state_display().lower()} and takes no votes.", allowed=allowed)


def _check_voter(stands: Standing, actor: User) -> None:
    if actor.kind != User.Kind.HUMAN:
        raise NotPermitted("Only people vote.", code="services_never_vote")
    if reasons := stands.reasons_against(actor):
        raise NotPermitted(
            f"You may not vote on your own work: you are {', '.join(reasons)}.", code="conflict_of_interest"
        )
    if actor.pk not in stands.eligible or not actor.has_scope(Scope.APPROVE):
        asked = ", ".join(stage["role"].replace("_", " ") for stage in stands.round.stages)
        raise NotPermitted(f"You may not vote: the round asks those who were {asked} when it opened.")


def _check_content(stands: Standing, digest: str) -> None:
    if digest == stands.digest == stands.round.digest:
        return
    subject = stands.round.subject
    seen = queries.content_signed(subject, digest)
    changed = policies.diff(seen, stands.content) if seen else {}
    fields = f" ({', '.join(changed)})".replace("_", " ") if changed else ""
    hint = "A release manager opens the next round." if stands.is_stale else "Read it again, then decide."
    raise Stale(f"{subject} is not what you saw{fields}. {hint}", digest=stands.digest, changed=changed)


def _cast(stands: Standing, vote: Vote, actor: User, now: datetime) -> Vote:
    if any(other.voter_id == actor.pk for other in stands.votes):
        raise Conflict("You have voted in this round; revoke that vote first.", code="already_voted")
    vote.round, vote.voter, vote.at = stands.round, actor, now
    vote.save(force_insert=True)
    stands.votes.append(vote)
    return vote


def _follow(stands: Standing, vote: Vote, *, changes: Sequence[ChangeRequest], actor: User, now: datetime) -> None:
    round, subject = stands.round, stands.round.subject
    facts = {"round": round.pk, "vote": vote.pk, "decision": vote.decision, "comment": vote.comment}
    facts |= {"digest": vote.digest, "channel": vote.channel}
    end = ENDS.get(stands.verdict)
    if end is None:
        record(subject, "approvals.vote.cast", actor=actor, data=facts)
        return
    state, kind, transition = end
    round.settle(state, at=now)
    round.save(update_fields=["state", "decided_at"])
    record(subject, kind, actor=actor, data=facts)
    for change in [subject] if isinstance(subject, ChangeRequest) else changes:
        if change.state == ChangeRequest.State.AUTHORIZATION:
            fire(change, transition, actor=system(), on_behalf_of=actor, now=now, data={"round": round.pk})


def _closed(round: ApprovalRound) -> Conflict:
    return Conflict(f"The round is {round.get_state_display().lower()}.", code="round_closed", state=round.state)
