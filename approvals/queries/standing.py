"""How a round stands: computed at every use from the content, the votes, the roles and the conflicts of now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from approvals import policies
from approvals.models import ApprovalRound, Delegation, Vote
from approvals.policies import Stage, Verdict
from approvals.queries.seats import Claim
from approvals.queries.voters import Conflicts
from releasemgmt.accounts.models import User


@dataclass(frozen=True)
class Asked:
    """A stage as it stands: how many approvals it asks for, and how many of these are missing."""

    stage: Stage
    count: int
    missing: int

    @property
    def label(self) -> str:
        """Who is asked, in words."""
        return policies.words(policies.seat(self.stage))

    @property
    def percent(self) -> int | None:
        """The share that it asks for, where it does."""
        return self.stage.get("percent")

    @property
    def veto(self) -> bool:
        """Whether each of them can end the round alone."""
        return self.stage.get("veto", False)

    @property
    def either(self) -> str:
        """Of stages with the same one is enough."""
        return self.stage.get("either", "")


@dataclass(frozen=True)
class Step:
    """The stages that are asked together."""

    number: int
    is_open: bool
    is_done: bool
    stages: Sequence[Asked]


@dataclass
class Standing:
    """A round as it stands now. `votes` are those not revoked; whether one counts is a matter of now."""

    round: ApprovalRound
    content: Mapping[str, Any]
    #: Every claim to one of its seats, of whatever team and since whenever.
    claims: Sequence[Claim]
    people: Mapping[User, frozenset[str]]
    conflicts: Conflicts
    delegations: Sequence[Delegation] = ()
    votes: list[Vote] = field(default_factory=list)

    @cached_property
    def digest(self) -> str:
        """The digest of the subject's content now."""
        return policies.digest(self.content)

    @property
    def is_stale(self) -> bool:
        """Whether the subject is no longer what the round is about."""
        return self.round.digest != self.digest

    @cached_property
    def eligible(self) -> dict[int, frozenset[str]]:
        """person → seats, of those in whose place a vote would count now."""
        return {person.pk: seats for person, seats in self.people.items() if person.pk not in self.conflicts}

    @property
    def counting(self) -> list[Vote]:
        """The votes that count: for the present content, by people who may vote now."""
        return [vote for vote in self.votes if vote.digest == self.digest and self.seats_of_vote(vote)]

    @property
    def verdict(self) -> Verdict:
        """What the votes that count amount to."""
        votes = {vote.owner_id: vote.decision for vote in self.counting}
        return policies.tally(self.round.stages, votes=votes, eligible=self.seated)

    @property
    def seated(self) -> dict[int, frozenset[str]]:
        """As `eligible`; whose vote was cast by another fills what is delegated to that one."""
        return self.eligible | {vote.owner_id: self.seats_of_vote(vote) for vote in self.counting}

    @property
    def approving(self) -> dict[int, frozenset[str]]:
        """person → seats, of those whose approval counts."""
        votes = [vote for vote in self.counting if vote.decision == Vote.Decision.APPROVE]
        return {vote.owner_id: self.seats_of_vote(vote) for vote in votes}

    @property
    def missing(self) -> dict[str, int]:
        """How many approvals are missing for each seat's name, over all steps."""
        return policies.missing(self.round.stages, self.approving, of=self.seated)

    @property
    def open_step(self) -> int:
        """The first step that has not agreed yet; the last one where all have."""
        return policies.open_step(self.round.stages, self.approving, of=self.seated)

    @property
    def steps(self) -> list[Step]:
        """The stages, step by step."""
        empty, now = self.missing, self.round.step
        numbers = sorted({policies.step_of(stage) for stage in self.round.stages})
        found = []
        for number in numbers:
            stages = [stage for stage in self.round.stages if policies.step_of(stage) == number]
            asked = [Asked(each, policies.needed(each, self.seated), empty[policies.seat(each)]) for each in stages]
            done = not any(policies.missing(policies.until(self.round.stages, number), self.approving).values())
            found.append(Step(number, is_open=number <= now and not done, is_done=done, stages=asked))
        return found

    @property
    def undecided(self) -> list[User]:
        """Those who may vote, now or at a later step, and have not."""
        voted = {vote.owner_id for vote in self.votes} | {vote.voter_id for vote in self.votes}
        return [person for person in self.people if person.pk in self.eligible and person.pk not in voted]

    @property
    def waiting(self) -> list[User]:
        """Those who can vote now."""
        return [person for person in self.undecided if self.is_asked(person.pk)]

    @property
    def later(self) -> list[User]:
        """Those whose step is not open yet."""
        return [person for person in self.undecided if not self.is_asked(person.pk)]

    @property
    def is_open(self) -> bool:
        """Whether it is open, for what the subject is now."""
        return self.round.state == ApprovalRound.State.OPEN and not self.is_stale

    @property
    def holds(self) -> bool:
        """Whether it was approved, and still is for the content, by the votes that count now."""
        return self.round.state == ApprovalRound.State.APPROVED and self.verdict == Verdict.APPROVED

    @property
    def quorum_unreachable(self) -> bool:
        """Whether too few people are left who could approve."""
        return self.verdict == Verdict.UNREACHABLE

    @property
    def changed(self) -> dict[str, list[Any]]:
        """What differs now from what the round is about."""
        return policies.diff(self.round.content, self.content)

    def reasons_against(self, person: User) -> Sequence[str]:
        """Why this person may not judge."""
        return self.conflicts.get(person.pk, ())

    def is_asked(self, owner: int) -> bool:
        """Whether a seat of that person is asked for at the step that is open, or was before."""
        open_now = {policies.seat(stage) for stage in policies.until(self.round.stages, self.round.step)}
        return not open_now.isdisjoint(self.eligible.get(owner, frozenset()))

    def seats_of(self, person: User, now: datetime) -> list[User]:
        """In whose place this person could vote now: their own first, then those who delegated to them."""
        if person.pk in self.conflicts:
            return []
        voted = {vote.owner_id for vote in self.votes}
        own = [person] if person.pk in self.eligible else []
        given = [each.delegator for each in self.delegations if each.delegate_id == person.pk and each.covers(now)]
        return [
            owner
            for owner in (*own, *given)
            if owner.pk not in voted and self.seats_for(owner.pk, voter=person.pk, at=now) and self.is_asked(owner.pk)
        ]

    def seats_of_vote(self, vote: Vote) -> frozenset[str]:
        """The seats that a vote can fill now; none where its voter, or the one they voted for, may not judge."""
        return self.seats_for(vote.owner_id, voter=vote.voter_id, at=vote.at)

    def seats_for(self, owner: int, *, voter: int, at: datetime) -> frozenset[str]:
        """The seats of one person that another may fill for them, by a delegation in force at that instant."""
        seats = self.eligible.get(owner, frozenset())
        if owner == voter:
            return seats
        if voter in self.conflicts:
            return frozenset()
        given = [each for each in self.delegations if (each.delegator_id, each.delegate_id) == (owner, voter)]
        return seats & frozenset(role for each in given if each.covers(at) for role in each.roles)
