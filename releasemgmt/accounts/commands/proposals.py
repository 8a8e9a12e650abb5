"""The second person: what one proposes, another one agrees to. Commands of every app settle theirs by these."""

from __future__ import annotations

from datetime import datetime

from releasemgmt.accounts.models import Proposal, Role, RoleAssignment, RoleRequest, User
from releasemgmt.workflow.errors import Conflict, NotPermitted, Refused


def may_act_alone(actor: User) -> bool:
    """Whether nobody needs to agree: the engine's own set-up, and the first administrator until there is a second.

    Whoever has been an administrator counts, so that shutting the others out makes nobody powerful; where one is
    left, `manage.py create_administrator` makes the second.
    """
    if actor.kind == User.Kind.SYSTEM:
        return True
    role = {"role": Role.ADMINISTRATOR, "team": None}
    others = User.objects.exclude(pk=actor.pk)
    ever = RoleRequest.objects.filter(**role, state=Proposal.State.ACCEPTED, user__in=others)
    now = RoleAssignment.objects.filter(**role)
    return now.filter(user=actor).exists() and not (now.filter(user__in=others).exists() or ever.exists())


def propose(proposal: Proposal, *, actor: User, now: datetime) -> bool:
    """Note on a new row who asks; answers whether it is accepted at once, marked `bootstrap`. The caller saves it."""
    proposal.proposed_by, proposal.proposed_at = actor, now
    proposal.bootstrap = may_act_alone(actor)
    if proposal.bootstrap:
        proposal.decide(Proposal.State.ACCEPTED, by=actor, at=now)
    return proposal.bootstrap


def consent(proposal: Proposal, *, actor: User, now: datetime) -> None:
    """Agree as the second person. The caller has locked the row, asked for the role, and records the event."""
    _settle(proposal, Proposal.State.ACCEPTED, actor=actor, now=now)


def decline(proposal: Proposal, *, actor: User, now: datetime) -> None:
    """Say no as the second person; the one who asks takes it back instead. The caller as for `consent`."""
    _settle(proposal, Proposal.State.DECLINED, actor=actor, now=now)


def withdraw(proposal: Proposal, *, actor: User, now: datetime) -> None:
    """Take back what one has proposed oneself. The caller as for `consent`."""
    _settle(proposal, Proposal.State.WITHDRAWN, actor=actor, now=now)


def objection(proposal: Proposal, state: str, *, actor: User) -> Refused | None:
    """Why this person can't settle it so, whatever their roles; None where they can."""
    mine = proposal.proposed_by_id == actor.pk
    if not proposal.is_open:
        return Conflict(f"This is {proposal.state} already.", code="settled")
    if state == Proposal.State.WITHDRAWN and not mine:
        return NotPermitted("Only the one who proposed it takes it back; you can decline it.")
    if state != Proposal.State.WITHDRAWN and mine:
        return NotPermitted("Another person has to agree: you have proposed this yourself.")
    return None


def _settle(proposal: Proposal, state: str, *, actor: User, now: datetime) -> None:
    if refused := objection(proposal, state, actor=actor):
        raise refused
    proposal.decide(state, by=actor, at=now)
    proposal.save(update_fields=["state", "decided_by", "decided_at"])
