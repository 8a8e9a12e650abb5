"""How a round stands: computed at every use from the content, the votes, the roles and the conflicts of now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import QuerySet

from approvals import policies
from approvals.models import ApprovalRound, ChangeRequest, Vote
from approvals.policies import Verdict
from approvals.queries.content import Subject, carriers, content, riding
from approvals.queries.voters import Conflicts, conflicts, electorate
from releasemgmt.accounts.models import Role, User
from releasemgmt.releases.models import Release
from releasemgmt.workflow.gates import Blocker

#: Where a release's round can be opened, and takes votes.
RELEASE_STATES = (
    Release.State.INTEGRATION_TESTED,
    Release.State.ACCEPTED,
    Release.State.DEPLOYED,
    Release.State.CLOSED,
)
#: The same for a change's own round.
CHANGE_STATES = (ChangeRequest.State.AUTHORIZATION,)
MANAGER = Role.RELEASE_MANAGER.value


@dataclass
class Standing:
    """A round as it stands now. `votes` are those not revoked; whether one counts is a matter of now."""

    round: ApprovalRound
    content: Mapping[str, Any]
    people: Mapping[User, frozenset[str]]
    conflicts: Conflicts
    votes: list[Vote] = field(default_factory=list)

    @cached_property
    def digest(self) -> str:
        """The digest of the subject's content now."""
        return policies.digest(self.content)

    @property
    def is_stale(self) -> bool:
        """Whether the subject is no longer what the round is about."""
        return self.round.digest != self.digest

    @property
    def eligible(self) -> dict[int, frozenset[str]]:
        """person → roles, of those who may vote now."""
        return {person.pk: roles for person, roles in self.people.items() if person.pk not in self.conflicts}

    @property
    def counting(self) -> list[Vote]:
        """The votes that count: for the present content, by people who may vote now."""
        eligible = self.eligible
        return [vote for vote in self.votes if vote.digest == self.digest and vote.voter_id in eligible]

    @property
    def verdict(self) -> Verdict:
        """What the votes that count amount to."""
        votes = {vote.voter_id: vote.decision for vote in self.counting}
        return policies.tally(self.round.stages, votes=votes, eligible=self.eligible)

    @property
    def missing(self) -> dict[str, int]:
        """How many approvals of each role are missing."""
        eligible = self.eligible
        approving = {
            vote.voter_id: eligible[vote.voter_id] for vote in self.counting if vote.decision == Vote.Decision.APPROVE
        }
        return policies.missing(self.round.stages, approving)

    @property
    def undecided(self) -> list[User]:
        """Those who may vote and have not."""
        voted = {vote.voter_id for vote in self.votes}
        return [person for person in self.people if person.pk in self.eligible and person.pk not in voted]

    def reasons_against(self, person: User) -> Sequence[str]:
        """Why this person may not judge."""
        return self.conflicts.get(person.pk, ())

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


def takes_votes(subject: Subject) -> bool:
    """Whether the subject is in a state in which its round could be opened."""
    return subject.state in (CHANGE_STATES if isinstance(subject, ChangeRequest) else RELEASE_STATES)


def current_round(subject: Subject) -> ApprovalRound | None:
    """The subject's newest round, however it ended."""
    return ApprovalRound.objects.about(subject).select_related("opened_by").first()


def standing(round: ApprovalRound, *, subject: Subject, changes: Sequence[ChangeRequest] | None = None) -> Standing:
    """How the round stands; `changes` are the riding ones, if they are read already. At most eight statements."""
    changes = riding(subject) if changes is None else changes
    setattr(round, "change" if isinstance(subject, ChangeRequest) else "release", subject)
    people = electorate(round)
    return Standing(
        round=round,
        content=content(subject, changes=changes),
        people=people,
        conflicts=conflicts(round, people, changes=changes),
        votes=list(round.votes.filter(revoked_at=None).select_related("voter")),
    )


def sign_off_blockers(release: Release, *, now: datetime) -> list[Blocker]:
    """Why the release's sign-off does not hold; empty where an approved round for the present content does."""
    return _blockers(release)


def is_signed_off(subject: Subject) -> bool:
    """Whether an approved round for the present content holds."""
    return not _blockers(subject)


def live_votes(subject: Subject) -> list[dict[str, Any]]:
    """The votes that count for the present content of a record, and of the releases it rides with, as JSON."""
    subjects: list[Subject] = [subject]
    if isinstance(subject, ChangeRequest):
        subjects += carriers(subject)
    return [_as_json(vote, each) for each in subjects for vote in _counting(each)]


def changed_since_last(round: ApprovalRound) -> dict[str, list[Any]]:
    """What differs from the content of the round before it; nothing where it is the first."""
    before = ApprovalRound.objects.about(round.subject).filter(pk__lt=round.pk).first()
    return policies.diff(before.content, round.content) if before else {}


def content_signed(subject: Subject, digest: str) -> Mapping[str, Any] | None:
    """What a digest stood for, if a round of the subject was about it."""
    known = ApprovalRound.objects.about(subject).filter(digest=digest).first()
    return known.content if known else None


def votable() -> QuerySet[ApprovalRound]:
    """The open rounds whose subject is in a state in which they take votes."""
    rounds = ApprovalRound.objects.open()
    return rounds.filter(release__state__in=RELEASE_STATES) | rounds.filter(change__state__in=CHANGE_STATES)


def _counting(subject: Subject) -> list[Vote]:
    round = ApprovalRound.objects.about(subject).standing().first()
    if round is None or not round.votes.filter(revoked_at=None).exists():
        return []
    return standing(round, subject=subject).counting


def _as_json(vote: Vote, subject: Subject) -> dict[str, Any]:
    facts = {"id": vote.pk, "round": vote.round_id, "subject": subject.number, "voter": vote.voter.username}
    return facts | {"decision": vote.decision, "at": vote.at.isoformat()}


def _blockers(subject: Subject) -> list[Blocker]:
    round = current_round(subject)
    if round is None:
        return [Blocker("no_sign_off", f"Nobody was asked to sign {subject} off; open a round.", (MANAGER,))]
    now = standing(round, subject=subject)
    if now.holds:
        return []
    if round.state == ApprovalRound.State.REJECTED and not now.is_stale:
        return [Blocker("sign_off_rejected", f"The sign-off of {subject} was rejected.", (MANAGER,))]
    if now.is_stale:
        fields = ", ".join(now.changed).replace("_", " ")
        return [Blocker("sign_off_stale", f"{subject} changed since its round opened ({fields}).", (MANAGER,))]
    if now.quorum_unreachable:
        return [Blocker("quorum_unreachable", f"Too few people are left who may sign {subject} off.", (MANAGER,))]
    roles = tuple(role for role, count in now.missing.items() if count)
    if round.state == ApprovalRound.State.OPEN:
        needed = " and ".join(f"{count} {role.replace('_', ' ')}" for role, count in now.missing.items() if count)
        return [Blocker("sign_off_open", f"Approvals are missing: {needed}.", roles)]
    return [Blocker("sign_off_lost", f"Too few votes on {subject} still count; open the next round.", (MANAGER,))]
