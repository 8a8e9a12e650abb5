"""Votes: cast on what their voter saw; the last one that is needed decides, in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from approvals import policies, queries
from approvals.commands.rounds import lock_with_changes
from approvals.models import ApprovalRound, ChangeRequest, Condition, Subject, Vote, subject_field
from approvals.policies import Verdict
from approvals.queries import Standing
from releasemgmt.accounts import roles
from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import Scope, User
from releasemgmt.releases.models import Risk
from releasemgmt.workflow import fsm
from releasemgmt.workflow.commands import command, fire, lock, permit, record
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted, Refused, Stale, WrongState
from releasemgmt.workflow.models import StatefulModel

#: What a verdict does to a round: its state, the event, and the transition of the changes that wait for it.
ENDS = {
    Verdict.APPROVED: (ApprovalRound.State.APPROVED, "approvals.round.approve", "authorize"),
    Verdict.REJECTED: (ApprovalRound.State.REJECTED, "approvals.round.reject", "reject"),
}
#: Characters of one condition.
LONGEST_CONDITION = 500


def vote(  # noqa: PLR0913 - what a ballot says
    round: ApprovalRound,
    *,
    decision: str,
    digest: str,
    comment: str = "",
    conditions: Sequence[str] = (),
    on_behalf_of: User | None = None,
    is_fresh: bool = True,
    channel: str = Vote.Channel.API,
    actor: User,
    now: datetime,
) -> Vote:
    """Approve, reject or abstain, about the content of that digest; every refusal is audited.

    `conditions` are a “yes, if”: each is to be met before the deployment. `on_behalf_of` delegated the vote.
    `is_fresh`: whether the sign-in is recent enough for what weighs much; a token's always is.
    The vote that completes the count, or makes it impossible, ends the round here, and what waits for it moves on.
    """
    ballot = Ballot(decision, digest, comment, tuple(filter(None, map(str.strip, conditions))), channel)
    try:
        with command():
            _check_ballot(ballot)
            subject, changes = lock_with_changes(round.subject_key)
            round = queries.fresh(round)
            setattr(round, subject_field(subject), subject)
            stands = queries.standing(round, subject=subject, changes=changes)
            _check_takes_votes(round, subject)
            owner = _check_voter(stands, actor, on_behalf_of, now)
            _check_recent(subject, is_fresh)
            _check_content(stands, digest)
            cast = _cast(stands, ballot, actor, owner, now)
            _follow(stands, cast, ballot, changes=changes, actor=actor, now=now)
            return cast
    except Refused as refused:
        refused.audited = True
        raise


class Ballot(NamedTuple):
    """What a voter says."""

    decision: str
    digest: str
    comment: str
    conditions: tuple[str, ...]
    channel: str


def meet_condition(condition: Condition, *, evidence: str, actor: User, now: datetime) -> Condition:
    """Say that what a voter asked for is done, and how one can see it."""
    with command():
        subject = lock(condition.vote.round.subject)
        permit(actor, subject, roles.edit_records, to="meet conditions")
        condition = Condition.objects.select_related("vote").get(pk=condition.pk)
        if not evidence.strip():
            raise Invalid({"evidence": "Say how one can see that it is met."})
        if condition.met_at is None:
            condition.met_at, condition.met_by, condition.evidence = now, actor, evidence
            condition.save(update_fields=["met_at", "met_by", "evidence"])
            facts: dict[str, Any] = {
                "round": condition.vote.round_id,
                "vote": condition.vote_id,
                "condition": condition.pk,
            }
            facts |= {"text": condition.text, "evidence": evidence}
            record(subject, "approvals.condition.meet", actor=actor, data=facts)
        return condition


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


def _check_ballot(ballot: Ballot) -> None:
    errors = {}
    if ballot.decision not in Vote.Decision.values:
        errors["decision"] = f"Choose one of {', '.join(Vote.Decision.values)}."
    if not ballot.digest:
        errors["digest"] = "Send the digest of the content that you saw."
    if ballot.decision == Vote.Decision.REJECT and not ballot.comment.strip():
        errors["comment"] = "Say why you reject it."
    if ballot.conditions and ballot.decision != Vote.Decision.APPROVE:
        errors["conditions"] = "Only an approval can have conditions."
    if any(len(condition) > LONGEST_CONDITION for condition in ballot.conditions):
        errors["conditions"] = f"A condition has at most {LONGEST_CONDITION} characters."
    if errors:
        raise Invalid(errors)


def _check_takes_votes(round: ApprovalRound, subject: Subject) -> None:
    if round.state != ApprovalRound.State.OPEN:
        raise _closed(round)
    if not round.takes_votes:
        allowed = [arrow.name for arrow in fsm.leaving(subject)] if isinstance(subject, StatefulModel) else []
        raise WrongState(f"{subject} has moved on, and this round takes no votes any more.", allowed=allowed)


def _check_voter(stands: Standing, actor: User, on_behalf_of: User | None, now: datetime) -> User:
    """Whose seat the vote fills."""
    if actor.kind != User.Kind.HUMAN:
        raise NotPermitted("Only people vote.", code="services_never_vote")
    owner = on_behalf_of or actor
    for person in {actor, owner}:
        if reasons := stands.reasons_against(person):
            who = "You may not vote on your own work: you are" if person == actor else f"{person} is"
            raise NotPermitted(f"{who} {', '.join(reasons)}.", code="conflict_of_interest")
    seats = stands.seats_for(owner.pk, voter=actor.pk, at=now)
    if not seats or not actor.has_scope(Scope.APPROVE):
        asked = ", ".join(dict.fromkeys(policies.words(policies.seat(stage)) for stage in stands.round.stages))
        place = f" in the place of {owner}" if owner != actor else ""
        raise NotPermitted(f"You may not vote{place}: the round asks those who were {asked} when it opened.")
    if not stands.is_asked(owner.pk):
        before = [asked for step in stands.steps if step.is_open for asked in step.stages if asked.missing]
        first = " and ".join(f"{asked.missing} {asked.label}" for asked in before)
        raise Conflict(f"Your step is not open yet: {first} have to agree first.", code="step_not_open")
    return owner


def _check_recent(subject: Subject, is_fresh: bool) -> None:
    """A vote on high risk takes a sign-in that is not long ago."""
    if getattr(subject, "risk", "") == Risk.HIGH and not is_fresh:
        raise NotPermitted("Its risk is high: enter your password again, then vote.", code="step_up_required")


def _check_content(stands: Standing, digest: str) -> None:
    if digest == stands.digest == stands.round.digest:
        return
    subject = stands.round.subject
    seen = queries.content_signed(subject, digest)
    changed = policies.diff(seen, stands.content) if seen else {}
    fields = f" ({', '.join(changed)})".replace("_", " ") if changed else ""
    hint = "A release manager opens the next round." if stands.is_stale else "Read it again, then decide."
    raise Stale(f"{subject} is not what you saw{fields}. {hint}", digest=stands.digest, changed=changed)


def _cast(stands: Standing, ballot: Ballot, actor: User, owner: User, now: datetime) -> Vote:
    if any(other.voter_id == actor.pk for other in stands.votes):
        raise Conflict("You have voted in this round; revoke that vote first.", code="already_voted")
    if any(other.owner_id == owner.pk for other in stands.votes):
        whose = "For you" if owner == actor else f"In the place of {owner}"
        raise Conflict(f"{whose} somebody has voted already in this round.", code="already_voted")
    vote = Vote(
        round=stands.round,
        voter=actor,
        on_behalf_of=None if owner == actor else owner,
        seats=sorted(stands.seats_for(owner.pk, voter=actor.pk, at=now)),
        decision=ballot.decision,
        comment=ballot.comment,
        digest=ballot.digest,
        at=now,
        channel=ballot.channel,
    )
    vote.save(force_insert=True)
    if ballot.conditions:
        Condition.objects.bulk_create(Condition(vote=vote, text=text) for text in ballot.conditions)
    stands.votes.append(vote)
    return vote


def _follow(
    stands: Standing, vote: Vote, ballot: Ballot, *, changes: Sequence[ChangeRequest], actor: User, now: datetime
) -> None:
    round, subject = stands.round, stands.round.subject
    facts = {"round": round.pk, "vote": vote.pk, "decision": vote.decision, "comment": vote.comment}
    facts |= {"digest": vote.digest, "channel": vote.channel, "seats": vote.seats}
    facts |= {"conditions": list(ballot.conditions)}
    behalf = vote.on_behalf_of
    end = ENDS.get(stands.verdict)
    if end is None:
        record(subject, "approvals.vote.cast", actor=actor, on_behalf_of=behalf, data=facts)
        _open_next_step(stands, actor=actor)
        return
    state, kind, transition = end
    round.settle(state, at=now)
    round.save(update_fields=["state", "decided_at"])
    record(subject, kind, actor=actor, on_behalf_of=behalf, data=facts)
    for change in _waiting_changes(round, changes):
        fire(change, transition, actor=system(), on_behalf_of=actor, now=now, data={"round": round.pk})


def _waiting_changes(round: ApprovalRound, changes: Sequence[ChangeRequest]) -> list[ChangeRequest]:
    """The changes that move on with the round's end: its subject, or those that ride with it."""
    subject = round.subject
    concerned = [subject] if isinstance(subject, ChangeRequest) else changes
    return [change for change in concerned if change.state == ChangeRequest.State.AUTHORIZATION]


def _open_next_step(stands: Standing, *, actor: User) -> None:
    """Ask the next step where all before it have agreed; its shares become counts."""
    round, step = stands.round, stands.open_step
    if step > round.step:
        for opened in range(round.step + 1, step + 1):
            round.stages = policies.resolve(round.stages, stands.seated, step=opened)
        round.step = step
        round.save(update_fields=["step", "stages"])
        facts = {"round": round.pk, "step": step, "stages": policies.until(round.stages, step)}
        record(round.subject, "approvals.round.advance", actor=system(), on_behalf_of=actor, data=facts)


def _closed(round: ApprovalRound) -> Conflict:
    return Conflict(f"The round is {round.get_state_display().lower()}.", code="round_closed", state=round.state)
