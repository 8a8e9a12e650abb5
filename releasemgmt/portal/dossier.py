"""The dossier of a round: all that a reviewer needs to decide, on one page, as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from approvals import policies
from approvals.models import ApprovalRound, ChangeRequest, Model, Subject, Vote, subject_field
from approvals.policies import SIGNED_DOCUMENTS
from approvals.queries import (
    Standing,
    changed_since_last,
    conflicts_with,
    in_sight,
    riding,
    risk_reasons,
    standing,
    too_late,
)
from deployments.queries import comparison, plans_of
from releasemgmt.accounts.models import User
from releasemgmt.portal.differences import differences
from releasemgmt.portal.model_rules import model_dossier
from releasemgmt.portal.sign_offs import may_meet, seats_in_words, told_votes
from releasemgmt.releases import queries as releases
from releasemgmt.releases.models import Document, Release
from releasemgmt.workflow.gates import Blocker, blockers
from releasemgmt.workflow.models import Event
from releasemgmt.workflow.queries import timeline

COMMITS_SHOWN = 200
COMMENTS_SHOWN = 10
NEWS_SHOWN = 20
#: What a voter may want to hear of though nobody signs it; what is signed stands among the differences.
NEWS = (
    "releases.document.write",
    "releases.defect_link.set",
    "releases.release.edit",
    "approvals.changerequest.edit",
)


def dossier(round: ApprovalRound, user: User, *, now: datetime) -> dict[str, Any]:
    """The context of the page; a constant number of statements."""
    subject = round.subject
    changes = riding(subject)
    shown = [subject] if isinstance(subject, ChangeRequest) else changes
    stand = standing(round, subject=subject, changes=changes)
    mine = next((vote for vote in stand.votes if user.pk in (vote.voter_id, vote.owner_id)), None)
    places = stand.seats_of(user, now) if stand.is_open and round.takes_votes and mine is None else []
    earlier = _earlier_vote(round, user)
    signed_at = mine.at if mine else earlier.at if earlier else None
    parts: Mapping[str, Any] = _release(subject, now) if isinstance(subject, Release) else {}
    if isinstance(subject, Model):
        parts = model_dossier(subject, round, user, now=now)
    return {
        **parts,
        "round": round,
        "subject": subject,
        "kind": subject_field(subject),
        "standing": stand,
        "reasons": [] if isinstance(subject, Model) else risk_reasons(subject, changes=changes),
        "too_late": too_late(stand, changes=changes, now=now),
        "steps": [{"step": step, "stages": [_stage(each, stand) for each in step.stages]} for step in stand.steps],
        "votes": told_votes(stand),
        "may_meet": may_meet(user, round),
        "waiting": [_voter(person, stand, now) for person in in_sight(stand.waiting, of=subject, user=user)],
        "later": [_voter(person, stand, now) for person in in_sight(stand.later, of=subject, user=user)],
        "barred": _barred(stand, user),
        "mine": mine,
        "places": places,
        "may_vote": bool(places),
        "why_not": _why_not(user, stand),
        "earlier": earlier,
        "since_earlier": differences(subject, policies.diff(earlier.round.content, round.content)) if earlier else [],
        "since_last": [] if earlier else differences(subject, changed_since_last(round)),
        "changed": differences(subject, stand.changed) if stand.is_stale else [],
        "signed_at": signed_at,
        "news": _news(subject, signed_at) if signed_at else [],
        "changes": shown,
        "conflicts": conflicts_with(shown, user=user),
        "may_comment": user.may_comment_on(subject),
        "comments": timeline(subject).filter(kind="comment")[:COMMENTS_SHOWN],
        "now": now,
    }


def _earlier_vote(round: ApprovalRound, user: User) -> Vote | None:
    """What the person said last about the same record, in a round before this one."""
    about = {f"round__{subject_field(round.subject)}": round.subject, "round__retrospective": round.retrospective}
    said = Vote.objects.filter(**about, voter=user, revoked_at=None, round__lt=round.pk)
    return said.select_related("round").order_by("pk").last()


def _stage(asked: Any, stand: Standing) -> dict[str, Any]:
    """A stage, with how many could agree to it: the arithmetic of what is missing."""
    name = policies.seat(asked.stage)
    could = sum(name in seats for seats in stand.seated.values())
    return {"asked": asked, "got": asked.count - asked.missing, "could": could}


def _voter(person: User, stand: Standing, now: datetime) -> dict[str, Any]:
    """Somebody who may vote: in which seats, with a veto or not, and who may do it for them."""
    seats = stand.eligible[person.pk]
    vetoing = {policies.seat(stage) for stage in stand.round.stages if stage.get("veto")}
    given = [each for each in stand.delegations if each.delegator_id == person.pk and each.covers(now)]
    return {
        "person": person,
        "seats": seats_in_words(seats),
        "may_veto": not vetoing.isdisjoint(seats),
        "delegates": [each.delegate for each in given if each.delegate_id not in stand.conflicts],
    }


def _barred(stand: Standing, user: User) -> list[tuple[User, str]]:
    """Those who hold a seat that is asked for and can't vote, each with the reason."""
    given = {each.delegate for each in stand.delegations if each.delegate_id in stand.conflicts}
    own = [person for person in {**stand.people, **dict.fromkeys(given)} if person.pk in stand.conflicts]
    found = [(person, ", ".join(stand.conflicts[person.pk])) for person in own]
    team, opened_at = stand.round.subject.owning_team_id, stand.round.opened_at
    late = {
        claim.user
        for claim in stand.claims
        if claim.since > opened_at and (claim.team_id is None or team in (None, claim.team_id))
    }
    came = sorted(late - set(stand.people), key=str)
    found += [(person, "was given the role after the round opened") for person in came]
    told = in_sight([person for person, _why in found], of=stand.round.subject, user=user)
    return [(person, why) for person, why in found if person in told]


def _why_not(user: User, stand: Standing) -> str:
    round = stand.round
    if round.state != ApprovalRound.State.OPEN:
        return f"This round is {round.get_state_display().lower()}."
    if stand.is_stale:
        return "The content has changed since this round opened; a release manager opens the next one."
    if not round.takes_votes:
        return f"{round.subject} has moved on, and takes no votes now."
    if reasons := stand.reasons_against(user):
        return f"You can't vote on your own work: you are {', '.join(reasons)}."
    if user.pk in stand.eligible and not stand.is_asked(user.pk):
        return "Your turn comes later: those of the step before you have to agree first."
    return "The policies ask others than you, or your role came after the round opened."


def _news(subject: Subject, since: datetime) -> list[Event]:
    """What happened since then that nobody signs."""
    told = timeline(subject).filter(at__gt=since, kind__in=NEWS)
    return [each for each in told if not policies.is_edit(each.kind, each.data)][:NEWS_SHOWN]


def _release(release: Release, now: datetime) -> Mapping[str, Any]:
    production = release.product.environments.filter(tier="production").order_by("rank").first()
    written = {kind: found.body for kind, found in releases.documents(release, Document.Kind.values).items()}
    compared = comparison(release, production) if production else None
    return {
        "production": production,
        "comparison": compared,
        "commits": compared.commits[:COMMITS_SHOWN] if compared else [],
        "documents": [
            {"label": label, "body": written.get(kind, ""), "is_signed": kind in SIGNED_DOCUMENTS}
            for kind, label in Document.Kind.choices
        ],
        "suites": releases.test_plan(release),
        "plans": plans_of(release),
        "gates": _other_gates(release, now) if release.state == "integration_tested" else [],
    }


def _other_gates(release: Release, now: datetime) -> list[Blocker]:
    """What is in the way of acceptance beside the votes of this round."""
    return [each for each in blockers(release, "accept", now=now) if each.code != "sign_off_open"]
