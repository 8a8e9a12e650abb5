"""Rounds: the one that counts for a subject, how it stands, and why a sign-off does not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from approvals import policies
from approvals.models import ApprovalRound, ChangeRequest, Condition, Model, Subject, Vote, subject_field
from approvals.models.round import CHANGE_STATE, RELEASE_STATES, RETROSPECTIVE_STATE, SUBJECTS
from approvals.queries.content import carriers, content, inheriting, riding
from approvals.queries.seats import claims, seats_of
from approvals.queries.standing import Standing
from approvals.queries.voters import conflicts, delegations, electorate, with_people
from releasemgmt.accounts.models import Role, User
from releasemgmt.catalog.models import Product
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import while_reading
from releasemgmt.workflow.gates import Blocker
from releasemgmt.workflow.prepared import prepared

MANAGER = Role.RELEASE_MANAGER.value


def takes_votes(subject: Subject) -> bool:
    """Whether the subject is in a state in which a round on it could be opened."""
    if isinstance(subject, ChangeRequest):
        late = subject.state == RETROSPECTIVE_STATE and needs_retrospective(subject)
        return late or subject.state == CHANGE_STATE
    return isinstance(subject, Model) or subject.state in RELEASE_STATES


def needs_retrospective(change: ChangeRequest) -> bool:
    """Whether it was acted on before there was time to ask everybody."""
    return change.type == ChangeRequest.Type.EMERGENCY or change.unauthorised


def current_round(subject: Subject) -> ApprovalRound | None:
    """The subject's newest round of the kind that its state asks for, however it ended."""
    return ApprovalRound.objects.in_question(subject).select_related("opened_by").first()


def round_in_sight(key: int, *, of: User) -> ApprovalRound | None:
    """The round, with no more than what it is about, if the user sees that. One statement beside the user's roles."""
    teams = of.visible_team_ids()
    if teams is None:
        return _named(key).first()
    return _in_sight(key, tuple(teams)).first() if teams else None


@prepared
def _named(key: int) -> QuerySet[ApprovalRound]:
    return ApprovalRound.objects.filter(pk=key).only(*SUBJECTS.values())


@prepared
def _in_sight(key: int, teams: tuple[int, ...]) -> QuerySet[ApprovalRound]:
    return ApprovalRound.objects.in_teams(teams).filter(pk=key).only(*SUBJECTS.values())


def standing(round: ApprovalRound, *, subject: Subject, changes: Sequence[ChangeRequest] | None = None) -> Standing:
    """How the round stands; `changes` are the riding ones, if they are read already. At most nine statements."""
    setattr(round, subject_field(subject), subject)
    return while_reading(("standing", round.pk), lambda: _standing(round, subject, changes))


def _standing(round: ApprovalRound, subject: Subject, changes: Sequence[ChangeRequest] | None) -> Standing:
    changes = riding(subject) if changes is None else changes
    held = claims(round.stages)
    people = seats_of(held, subject.owning_team_id, at=round.opened_at)
    given = delegations(round, people)
    return Standing(
        round=round,
        content=content(subject, changes=changes),
        claims=held,
        people=people,
        conflicts=conflicts(round, {*people, *(each.delegate for each in given)}, changes=changes),
        delegations=given,
        votes=with_people(_votes(round.pk), "voter", "on_behalf_of", known=people),
    )


@prepared
def _votes(round: int) -> QuerySet[Vote]:
    return Vote.objects.filter(round=round, revoked_at=None)


def fresh(round: ApprovalRound) -> ApprovalRound:
    """The round as it is now that its subject is locked."""
    return _round(round.pk).get()


@prepared
def _round(key: int) -> QuerySet[ApprovalRound]:
    return ApprovalRound.objects.filter(pk=key)


def voters_of(round: ApprovalRound, changes: Sequence[ChangeRequest]) -> policies.People:
    """Those who may vote in a round, whether it is saved already or not."""
    people = electorate(round)
    barred = conflicts(round, people, changes=changes)
    return {person.pk: seats for person, seats in people.items() if person.pk not in barred}


def too_late(stands: Standing, *, changes: Sequence[ChangeRequest], now: datetime) -> str:
    """Why the quorum can't be reached before the planned start; empty where it can, or nothing is to start any more."""
    round, subject = stands.round, stands.round.subject
    if round.state != ApprovalRound.State.OPEN or round.retrospective or isinstance(subject, Model):
        return ""
    if stands.quorum_unreachable:
        return "Too few people are left who could approve."
    starts = [subject.planned_start, *(change.planned_start for change in changes)]
    if isinstance(subject, Release):
        starts += [import_string(path)(subject) for path in settings.PLANNED_STARTS]
    planned = min((start for start in starts if start), default=None)
    if planned is not None and planned <= now:
        return f"It was planned for {planned:%Y-%m-%d %H:%M %Z}, which has passed."
    return ""


def conditions_of(subject: Subject) -> list[Condition]:
    """What voters asked for in the round that counts, met or not. Two statements."""
    round = current_round(subject)
    if round is None:
        return []
    asked = Condition.objects.filter(vote__round=round, vote__revoked_at=None)
    return list(asked.select_related("vote__round", "vote__voter", "vote__on_behalf_of", "met_by"))


def open_conditions(subject: Subject) -> list[Condition]:
    """Those of them that nobody has met yet."""
    return [condition for condition in conditions_of(subject) if condition.met_at is None]


def is_signed_off(subject: Subject) -> bool:
    """Whether an approved round for the present content holds."""
    return not round_blockers(subject, current_round(subject))


def has_retrospective(change: ChangeRequest) -> bool:
    """Whether the retrospective of a change that needs one was approved and holds."""
    return change.state == RETROSPECTIVE_STATE and is_signed_off(change)


def live_votes(subject: Subject | Product) -> list[dict[str, Any]]:
    """The votes that count for the present content of a record, and of the releases it is part of, as JSON."""
    subjects: list[Subject] = inheriting(subject) if isinstance(subject, Product) else [subject]
    if isinstance(subject, ChangeRequest):
        subjects += carriers(subject)
    return [_as_json(vote, each) for each in subjects for vote in _counting(each)]


def changed_since_last(round: ApprovalRound) -> dict[str, list[Any]]:
    """What differs from the content of the round before it; nothing where it is the first."""
    earlier = ApprovalRound.objects.about(round.subject).filter(pk__lt=round.pk)
    before = earlier.filter(retrospective=round.retrospective).first()
    return policies.diff(before.content, round.content) if before else {}


def content_signed(subject: Subject, digest: str) -> Mapping[str, Any] | None:
    """What a digest stood for, if a round of the subject was about it."""
    known = ApprovalRound.objects.about(subject).filter(digest=digest).first()
    return known.content if known else None


def _counting(subject: Subject) -> list[Vote]:
    round = ApprovalRound.objects.in_question(subject).standing().first()
    if round is None or not round.votes.filter(revoked_at=None).exists():
        return []
    return standing(round, subject=subject).counting


def _as_json(vote: Vote, subject: Subject) -> dict[str, Any]:
    facts = {"id": vote.pk, "round": vote.round_id, "subject": subject.number, "voter": vote.voter.username}
    return facts | {"decision": vote.decision, "at": vote.at.isoformat()}


def round_blockers(subject: Subject, round: ApprovalRound | None) -> list[Blocker]:
    """Why the record's newest round does not hold; empty where it was approved for the present content and still is."""
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
    if round.state == ApprovalRound.State.OPEN:
        empty = {name: count for name, count in now.missing.items() if count}
        needed = " and ".join(f"{count} {policies.words(name)}" for name, count in empty.items())
        return [Blocker("sign_off_open", f"Approvals are missing: {needed}.", tuple(empty))]
    if round.state == ApprovalRound.State.EXPIRED:
        reason = f"The sign-off of {subject} expired unanswered; open the next round."
        return [Blocker("sign_off_expired", reason, (MANAGER,))]
    return [Blocker("sign_off_lost", f"Too few votes on {subject} still count; open the next round.", (MANAGER,))]
