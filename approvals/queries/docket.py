"""What rounds mean to a person: those that wait for their vote, those they asked for, and what is still to be met."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, F, FilteredRelation, OuterRef, Q
from django.db.models.functions import Lower

from approvals import policies
from approvals.models import ApprovalRound, ChangeRequest, Vote
from approvals.models.round import RoundQuerySet
from approvals.queries.seats import Places, asked_in, on_boards, places_of
from approvals.queries.voters import Conflicts, conflicts_in
from releasemgmt.accounts.models import User
from releasemgmt.releases.models import ReleaseCommit

#: So long who asked is told that a round has ended.
RECENT = timedelta(days=7)
#: The live votes of each round, each with what it asked for and is not met: as often as it asked.
Votes = Mapping[int, Sequence[Any]]


@dataclass(frozen=True)
class Requested:
    """A round that a person waits for; `missing` is what it waits for itself: seat → how many approvals."""

    round: ApprovalRound
    missing: Mapping[str, int]

    @property
    def lacks(self) -> str:
        """Who is waited for, in words."""
        return " and ".join(f"{count} × {policies.words(seat)}" for seat, count in self.missing.items() if count)

    @property
    def is_lost(self) -> bool:
        """Whether it was found that too few people are left who could approve."""
        return self.round.state == ApprovalRound.State.OPEN and self.round.unreachable_at is not None


@dataclass(frozen=True)
class Unmet:
    """A condition that nobody has met yet, and the vote that asks for it."""

    text: str
    vote: Vote
    round: ApprovalRound


@dataclass(frozen=True)
class Docket:
    """What concerns one person. `waiting` has for each round those in whose place they may vote, themselves first."""

    waiting: Mapping[ApprovalRound, Sequence[User]]
    requested: Sequence[Requested]
    conditions: Sequence[Unmet]


def waiting_for(user: User, now: datetime) -> list[ApprovalRound]:
    """The open rounds that wait for this person's vote, in their own place or another's; the most urgent first."""
    places = places_of(user, now)
    rounds = list(_seen(user, places).votable())
    return list(_waiting(rounds, _votes(rounds), user, places))


def docket(user: User, now: datetime) -> Docket:
    """Everything at once. Five statements however many rounds there are, one more where a board is asked."""
    places = places_of(user, now)
    rounds = list(_seen(user, places).concerning(user, since=now - RECENT))
    votes = _votes(rounds)
    votable = [round for round in rounds if round.state == ApprovalRound.State.OPEN and round.takes_votes]
    newest = {round.subject: round for round in sorted(rounds, key=lambda round: round.pk)}
    return Docket(
        waiting=_waiting(votable, votes, user, places),
        requested=[_requested(each, votes[each.pk]) for each in newest.values() if user.pk in each.awaited_by],
        conditions=[
            Unmet(vote.unmet, vote, round)
            for round in rounds
            if round.has_conditions_to_meet
            for vote in votes[round.pk]
            if vote.unmet
        ],
    )


def _seen(user: User, places: Places) -> RoundQuerySet:
    """The rounds that the person sees, each with who of these people wrote commits of its release."""
    commits = ReleaseCommit.objects.annotate(author=Lower("commit__author")).filter(release=OuterRef("release"))
    wrote = {_wrote(person): Exists(commits.filter(author__in=person.addresses)) for person in places}
    return (
        ApprovalRound.objects.visible_to(user)
        .with_subject()
        .defer("content")
        .annotate(**wrote)
        .order_by("due_at", "pk")
    )


def _wrote(person: User) -> str:
    return f"written_by_{person.pk}"


def _votes(rounds: Collection[ApprovalRound]) -> Votes:
    unmet = FilteredRelation("conditions", condition=Q(conditions__met_at=None))
    votes = Vote.objects.filter(round__in=rounds, revoked_at=None).select_related("voter")
    found: dict[int, list[Vote]] = defaultdict(list)
    for vote in votes.annotate(asks=unmet).annotate(unmet=F("asks__text")).order_by("pk", "asks__pk"):
        found[vote.round_id].append(vote)
    return found


def _waiting(
    rounds: Iterable[ApprovalRound], votes: Votes, user: User, places: Places
) -> dict[ApprovalRound, list[User]]:
    """Those of the rounds that the person may judge, from places that nobody has voted in."""
    rounds = [round for round in rounds if user.pk not in {vote.voter_id for vote in votes[round.pk]}]
    places = on_boards(places, user, [stage for round in rounds for stage in round.stages])
    taken = {
        (vote.round_id, person) for each in votes.values() for vote in each for person in (vote.voter_id, vote.owner_id)
    }
    asked = {
        round: [owner for owner in asked_in(round, places) if (round.pk, owner.pk) not in taken] for round in rounds
    }
    barred = _barred([round for round, owners in asked.items() if owners], places)
    free = {
        round: [owner for owner in owners if owner.pk not in barred[round.pk]]
        for round, owners in asked.items()
        if owners and user.pk not in barred[round.pk]
    }
    return {round: owners for round, owners in free.items() if owners}


def _barred(rounds: Sequence[ApprovalRound], people: Collection[User]) -> dict[int, Conflicts]:
    """Which of the people had a hand in which of the rounds. Two statements."""
    authors = {round.release_id: [each.pk for each in people if getattr(round, _wrote(each))] for round in rounds}
    return conflicts_in(rounds, people, changes=_riding(rounds), authors=authors)


def _riding(rounds: Iterable[ApprovalRound]) -> Mapping[int, list[ChangeRequest]]:
    """The changes that ride with each round's release."""
    releases = {round.release_id: round.pk for round in rounds if round.release_id}
    links = ChangeRequest.releases.through.objects.filter(release__in=list(releases))
    changes: dict[int, list[ChangeRequest]] = defaultdict(list)
    for link in links.select_related("changerequest").order_by("changerequest"):
        changes[releases[link.release_id]].append(link.changerequest)
    return changes


def _requested(round: ApprovalRound, votes: Iterable[Vote]) -> Requested:
    """As the votes filled their seats when they were cast; the round's own page counts them anew."""
    agreed = {vote.owner_id: frozenset(vote.seats) for vote in votes if vote.decision == Vote.Decision.APPROVE}
    open_now = round.state == ApprovalRound.State.OPEN
    return Requested(round, policies.missing(policies.until(round.stages, round.step), agreed) if open_now else {})
