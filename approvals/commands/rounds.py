"""Rounds: opened about one content, withdrawn when their subject moves on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from approvals import policies, queries
from approvals.gates import AUTHORISED
from approvals.models import ApprovalPolicy, ApprovalRound, ChangeRequest
from approvals.models.round import subject_field
from approvals.policies import Rule
from approvals.queries import Subject
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
        permit(actor, subject, roles.manage_releases, to=f"open a round on {subject}")
        _check_opens(subject, changes)
        last = queries.current_round(subject)
        if last is not None:
            stands = queries.standing(last, subject=subject, changes=changes)
            if stands.holds or (stands.is_open and not stands.quorum_unreachable):
                return last
        withdraw(subject, actor=actor, now=now)
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
    """Open a round on a locked subject that has none."""
    asks = [(subject_field(each), each.risk) for each in (subject, *changes)]
    rules = {policy: Rule(policy.subject, policy.conditions, policy.stages) for policy in _newest_policies()}
    matching = [policy for policy, rule in rules.items() if any(rule.applies(*each) for each in asks)]
    content = queries.content(subject, changes=changes)
    last = queries.current_round(subject)
    round = ApprovalRound.objects.create(
        **{subject_field(subject): subject},
        digest=policies.digest(content),
        content=content,
        policies=[{"key": policy.key, "version": policy.version} for policy in matching],
        stages=policies.stages_for(rules.values(), asks),
        editors=queries.work_on([subject, *changes], known=last.editors if last else {}),
        opened_by=actor,
        opened_at=now,
    )
    facts = {"round": round.pk, "digest": round.digest, "risk": subject.risk, "stages": round.stages}
    record(subject, "approvals.round.open", actor=actor, data=facts)
    return round


def withdraw(subject: Subject, *, actor: User, now: datetime) -> None:
    """End the round on a locked subject that is open or approved, if there is one."""
    round = ApprovalRound.objects.about(subject).standing().first()
    if round is not None:
        round.settle(ApprovalRound.State.WITHDRAWN, at=now)
        round.save(update_fields=["state", "decided_at"])
        record(subject, "approvals.round.withdraw", actor=actor, data={"round": round.pk})


def withdraw_rounds(now: datetime) -> int:
    """Withdraw the open rounds whose subject has moved to a state in which it takes no votes; answers how many."""
    left = ApprovalRound.objects.open().exclude(pk__in=queries.votable().values("pk"))
    withdrawn = 0
    for round in left.with_subject().order_by("pk"):
        with command():
            subject = lock(round.subject)
            if not queries.takes_votes(subject):
                withdraw(subject, actor=system(), now=now)
                withdrawn += 1
    return withdrawn


def _newest_policies() -> list[ApprovalPolicy]:
    newest: dict[str, ApprovalPolicy] = {}
    for policy in ApprovalPolicy.objects.order_by("key", "-version"):
        newest.setdefault(policy.key, policy)
    return list(newest.values())


def _check_opens(subject: Subject, changes: Sequence[ChangeRequest]) -> None:
    if not queries.takes_votes(subject):
        allowed = [arrow.name for arrow in fsm.leaving(subject)]
        state = subject.get_state_display().lower()
        raise WrongState(f"{subject} is {state}; no round is opened on it now.", allowed=allowed)
    if isinstance(subject, ChangeRequest) and (releases := queries.carriers(subject)):
        raise Conflict(f"{subject} rides with {releases[0]}, whose round decides about it.", code="rides_with_release")
    manager = (Role.RELEASE_MANAGER.value,)
    found = [
        Blocker("change_not_ready", f"{change} is {change.get_state_display().lower()}; assess it first.", manager)
        for change in changes
        if change.state not in READY
    ]
    if found:
        reasons = " ".join(blocker.reason for blocker in found)
        raise Blocked(f"No round opens on {subject} yet. {reasons}", blockers=found)
