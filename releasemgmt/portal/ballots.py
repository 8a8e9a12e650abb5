"""The rounds that wait for a person, in the order in which they are voted on, and the walk through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from django.utils.timezone import localdate

from approvals.models import ApprovalRound, ChangeRequest
from approvals.policies import RISKS
from approvals.queries import waiting_for
from releasemgmt.accounts.models import User
from releasemgmt.releases.models import Release

LATER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Walk:
    """Where somebody is on the way through the rounds that wait for them; `done` of them are voted on."""

    here: ApprovalRound
    waiting: Sequence[ApprovalRound]
    done: int = 0

    @property
    def is_on_it(self) -> bool:
        """Whether the round at hand waits for their vote."""
        return self.here in self.waiting

    @property
    def place(self) -> int:
        """Which one of the walk this is, beginning with 1."""
        return self.done + self.waiting.index(self.here) + 1

    @property
    def total(self) -> int:
        """How many the walk has, those included that are done."""
        return self.done + len(self.waiting)

    @property
    def next(self) -> ApprovalRound | None:
        """The one that follows in the order; behind the last comes the first that was skipped."""
        others = [round for round in self.waiting if round != self.here]
        return next((each for each in others if urgency(each) > urgency(self.here)), next(iter(others), None))

    @property
    def previous(self) -> ApprovalRound | None:
        """The one before it."""
        before = [round for round in self.waiting if urgency(round) < urgency(self.here)]
        return before[-1] if before else None


def waiting(user: User, *, now: datetime) -> list[ApprovalRound]:
    """The rounds that wait for this person's vote: the day on which they are due, then risk, then planned start."""
    return sorted(waiting_for(user, now), key=urgency)


def urgency(round: ApprovalRound) -> tuple[date, int, datetime, int]:
    """What a round is sorted by; the day is one of the reader's zone."""
    risk = getattr(round.subject, "risk", RISKS[0])
    planned = getattr(round.subject, "planned_start", None)
    return localdate(round.due_at), -RISKS.index(risk), planned or LATER, round.pk


def title(round: ApprovalRound) -> str:
    """What it is about, beside the number."""
    subject = round.subject
    if isinstance(subject, Release):
        return f"{subject.product} {subject.version}{subject.title and f': {subject.title}'}"
    if isinstance(subject, ChangeRequest):
        return subject.title
    return f"Pre-approval of a {subject._meta.verbose_name}"


def for_whom(places: Sequence[User], user: User) -> str:
    """In whose place somebody votes, unless it is in their own name alone."""
    others = " and ".join(str(owner) for owner in places if owner != user)
    return f"{'also ' * (user in places)}for {others}" if others else ""
