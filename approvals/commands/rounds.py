"""Rounds: opened about one content, withdrawn when their subject moves on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from django.conf import settings

from approvals import policies, queries
from approvals.gates import AUTHORISED
from approvals.models import ApprovalRound, ChangeRequest, Model, Subject, subject_field
from releasemgmt.accounts import roles
from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import Role, User
from releasemgmt.releases.models import Release
from releasemgmt.workflow import fsm
from releasemgmt.workflow.commands import command, edit, lock, permit, record
from releasemgmt.workflow.errors import Blocked, Conflict, WrongState
from releasemgmt.workflow.gates import Blocker

S = TypeVar("S", bound=Release | ChangeRequest)

#: Where a riding change may be when its release's round opens.
READY = (ChangeRequest.State.AUTHORIZATION, *AUTHORISED)


def open_round(subject: Subject, *, actor: User, now: datetime) -> ApprovalRound:
    """Ask those whom the policies name to sign a subject off as it is now.

    Answers the round that is open and current, or approved and holding; otherwise withdraws the last and opens the
    next. It was opened just now where `opened_at` is `now`.
    """
    with command():
        subject, changes = lock_with_changes(subject)
        is_model = isinstance(subject, Model)
        opening = f"open a round on {subject}"
        permit(actor, subject, roles.ask_pre_approval if is_model else roles.manage_releases, to=opening)
        _check_opens(subject, changes)
        last = queries.current_round(subject)
        if last is not None:
            stands = queries.standing(last, subject=subject, changes=changes)
            holds = stands.holds and not queries.has_lapsed(last, now=now)
            if holds or (stands.is_open and not stands.quorum_unreachable):
                return last
        withdraw(subject, actor=actor, now=now)
        if not isinstance(subject, Model):
            subject = rate(subject, changes, actor=actor)
        return ask(subject, changes, actor=actor, now=now)


def lock_with_changes(subject: Subject) -> tuple[Subject, list[ChangeRequest]]:
    """The subject, locked after the changes that ride with it: the order of locks."""
    changes = [lock(change) for change in queries.riding(subject)]
    return lock(subject), changes


def rate(subject: S, changes: Sequence[ChangeRequest], *, actor: User) -> S:
    """Raise the risk to what the rules say; it never falls by itself."""
    reasons = queries.risk_reasons(subject, changes=changes)
    level = policies.risk(subject.risk, *(change.risk for change in changes), reasons=reasons)
    return edit(subject, actor=actor, changes={"risk": level}, kind="rate")


def ask(subject: Subject, changes: Sequence[ChangeRequest], *, actor: User, now: datetime) -> ApprovalRound:
    """Open a round on a locked subject that has none of the kind that its state asks for.

    What the policies ask for is the union over what the subject is now and what it was in the rounds before: lowering
    something keeps the higher quorum, until a rework starts a new cycle.
    """
    last = queries.current_round(subject)
    content = queries.content(subject, changes=changes)
    late = isinstance(subject, ChangeRequest) and subject.state == ChangeRequest.State.REVIEW
    asks = queries.asks(subject, changes=changes, retrospective=late)
    if last is not None and last.content.get("cycle") == content.get("cycle"):
        asks += [earlier for earlier in last.asks if earlier not in asks]
    matching, stages = queries.matching(asks, queries.in_force())
    due_at = _due_at(subject, late=late, now=now)
    round = ApprovalRound(
        **{subject_field(subject): subject},
        retrospective=late,
        digest=policies.digest(content),
        content=content,
        asks=asks,
        policies=[{"key": policy.key, "version": policy.version} for policy in matching],
        stages=stages,
        editors=queries.work_on([subject, *changes], known=last.editors if last else {}),
        opened_by=actor,
        opened_at=now,
        due_at=due_at,
        follow_up_at=now + (due_at - now) / 2,
    )
    _fix_shares(round, changes)
    round.save(force_insert=True)
    facts = {"round": round.pk, "digest": round.digest, "stages": round.stages, "due_at": due_at}
    facts |= {"retrospective": True} if late else {}
    facts |= {} if isinstance(subject, Model) else {"risk": subject.risk}
    record(subject, "approvals.round.open", actor=actor, data=facts)
    return round


def _fix_shares(round: ApprovalRound, changes: Sequence[ChangeRequest]) -> None:
    """Turn the shares that the first step asks for into counts; who may vote is known only with the round."""
    if any("percent" in stage for stage in round.stages):
        eligible = queries.voters_of(round, changes)
        round.stages = policies.resolve(round.stages, eligible, step=round.step)


def _due_at(subject: Subject, *, late: bool, now: datetime) -> datetime:
    """When the answer is wanted: before the work is planned to start, or in the time that settings give."""
    latest = now + (settings.RETROSPECTIVE_DUE if late else settings.ROUND_DUE)
    planned = None if late or isinstance(subject, Model) else subject.planned_start
    return min(planned, latest) if planned and planned > now else latest


def withdraw(subject: Subject, *, actor: User, now: datetime) -> None:
    """End the round on a locked subject that is open or approved, if there is one."""
    round = ApprovalRound.objects.in_question(subject).standing().first()
    if round is not None:
        _end(round, ApprovalRound.State.WITHDRAWN, subject, "approvals.round.withdraw", actor=actor, now=now)


def _end(round: ApprovalRound, state: str, subject: Subject, kind: str, *, actor: User, now: datetime) -> None:
    round.settle(state, at=now)
    round.save(update_fields=["state", "decided_at"])
    record(subject, kind, actor=actor, data={"round": round.pk})


def withdraw_rounds(now: datetime) -> int:
    """Withdraw the open rounds whose subject has moved to a state in which it takes no votes; answers how many."""
    left = ApprovalRound.objects.open().exclude(pk__in=ApprovalRound.objects.votable().values("pk"))
    withdrawn = 0
    for round in left.with_subject().order_by("pk"):
        with command():
            subject = lock(round.subject)
            round = ApprovalRound.objects.get(pk=round.pk)
            if round.state == ApprovalRound.State.OPEN and not _asked_for(round, subject):
                kind = "approvals.round.withdraw"
                _end(round, ApprovalRound.State.WITHDRAWN, subject, kind, actor=system(), now=now)
                withdrawn += 1
    return withdrawn


def _asked_for(round: ApprovalRound, subject: Subject) -> bool:
    setattr(round, subject_field(subject), subject)
    return round.takes_votes


def follow_up(now: datetime) -> int:
    """Remind of the open rounds that wait, escalate those that are overdue, and let them expire in the end.

    Each step is an event of its own; silence never approves. Answers how many rounds it spoke up about.
    """
    due = ApprovalRound.objects.votable().filter(follow_up_at__lte=now).order_by("follow_up_at")
    followed = 0
    for round in due.with_subject():
        with command():
            subject = lock(round.subject)
            round = ApprovalRound.objects.get(pk=round.pk)
            if round.state == ApprovalRound.State.OPEN and round.follow_up_at <= now:
                _follow_up(round, subject, now=now)
                followed += 1
    return followed


def _follow_up(round: ApprovalRound, subject: Subject, *, now: datetime) -> None:
    if now >= round.due_at + settings.ROUND_GRACE:
        _end(round, ApprovalRound.State.EXPIRED, subject, "approvals.round.expire", actor=system(), now=now)
        return
    overdue = now >= round.due_at
    round.follow_ups += 1
    round.follow_up_at = round.due_at + settings.ROUND_GRACE if overdue else round.due_at
    round.save(update_fields=["follow_ups", "follow_up_at"])
    kind = "approvals.round.escalate" if overdue else "approvals.round.remind"
    record(subject, kind, actor=system(), data={"round": round.pk, "due_at": round.due_at})


def watch_quorums(now: datetime) -> int:
    """Tell the owners of open rounds in which too few people are left to approve, once; answers how many."""
    told = 0
    for round in ApprovalRound.objects.votable().filter(unreachable_at=None).with_subject().order_by("pk"):
        if not queries.standing(round, subject=round.subject).quorum_unreachable:
            continue
        with command():
            subject = lock(round.subject)
            if ApprovalRound.objects.open().filter(pk=round.pk, unreachable_at=None).update(unreachable_at=now):
                record(subject, "approvals.round.lose_quorum", actor=system(), data={"round": round.pk})
                told += 1
    return told


def _check_opens(subject: Subject, changes: Sequence[ChangeRequest]) -> None:
    if isinstance(subject, Model):
        return
    if not queries.takes_votes(subject):
        allowed = [arrow.name for arrow in fsm.leaving(subject)]
        state = subject.get_state_display().lower()
        raise WrongState(f"{subject} is {state}; no round is opened on it now.", allowed=allowed)
    if isinstance(subject, ChangeRequest) and subject.state == ChangeRequest.State.AUTHORIZATION:
        _check_rides_alone(subject)
    manager = (Role.RELEASE_MANAGER.value,)
    found = [
        Blocker("change_not_ready", f"{change} is {change.get_state_display().lower()}; assess it first.", manager)
        for change in changes
        if change.state not in READY
    ]
    if found:
        reasons = " ".join(blocker.reason for blocker in found)
        raise Blocked(f"No round opens on {subject} yet. {reasons}", blockers=found)


def _check_rides_alone(change: ChangeRequest) -> None:
    if releases := queries.carriers(change):
        raise Conflict(f"{change} rides with {releases[0]}, whose round decides about it.", code="rides_with_release")
