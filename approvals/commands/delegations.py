"""Delegation: given for a time, for named roles, never passed on, ended at will."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from approvals.models import Delegation
from approvals.policies import VOTERS
from releasemgmt.accounts.models import Scope, User
from releasemgmt.workflow.commands import command, lock, record
from releasemgmt.workflow.errors import Invalid, NotPermitted, Refused


def delegate(
    to: User,
    *,
    roles: Sequence[str],
    starts_at: datetime,
    ends_at: datetime | None,
    actor: User,
    now: datetime,
    reason: str = "",
) -> Delegation:
    """Let somebody vote in one's place for a time, in these of one's roles. Refusals are audited."""
    try:
        with command():
            for person in sorted((actor, to), key=lambda each: each.pk):
                lock(person)
            giver = lock(actor)
            if giver.kind != User.Kind.HUMAN or not giver.is_active or not actor.has_scope(Scope.APPROVE):
                raise NotPermitted("Only people who may vote delegate their vote.")
            end = _check_times(starts_at, ends_at, now)
            _check_people(giver, to, roles)
            _check_chain(giver, to, roles, starts_at, end)
            given = Delegation.objects.create(
                delegator=giver,
                delegate=to,
                roles=sorted(set(roles)),
                starts_at=starts_at,
                ends_at=end,
                reason=reason,
                created_at=now,
            )
            facts = {"to": to.username, "roles": given.roles, "starts_at": starts_at, "ends_at": end, "reason": reason}
            record(giver, "approvals.delegation.give", actor=giver, data={"delegation": given.pk, **facts})
            return given
    except Refused as refused:
        refused.audited = True
        raise


def end_delegation(delegation: Delegation, *, actor: User, now: datetime) -> Delegation:
    """End a delegation before its time; who gave it may, and who was given it. Votes cast under it stay."""
    with command():
        giver = lock(delegation.delegator)
        delegation = Delegation.objects.select_related("delegator", "delegate").get(pk=delegation.pk)
        if actor.pk not in (delegation.delegator_id, delegation.delegate_id) or not actor.has_scope(Scope.APPROVE):
            raise NotPermitted("Only the two people of a delegation end it.")
        if delegation.revoked_at is None and now < delegation.ends_at:
            delegation.revoked_at = now
            delegation.save(update_fields=["revoked_at"])
            facts = {"delegation": delegation.pk, "to": delegation.delegate.username}
            record(giver, "approvals.delegation.end", actor=actor, data=facts)
        return delegation


def _check_times(starts_at: datetime, ends_at: datetime | None, now: datetime) -> datetime:
    if ends_at is None:
        raise Invalid({"ends_at": "Say when it ends: a delegation is for a time."})
    if ends_at <= max(starts_at, now):
        raise Invalid({"ends_at": "It ends after it starts, and in the future."})
    return ends_at


def _check_people(giver: User, to: User, roles: Sequence[str]) -> None:
    errors = {}
    if to.pk == giver.pk:
        errors["delegate"] = "Name somebody else: nobody delegates to themselves."
    elif to.kind != User.Kind.HUMAN or not to.is_active:
        errors["delegate"] = f"{to} can't vote; name a person who is active."
    if not roles:
        errors["roles"] = "Name the roles that you delegate."
    elif strange := sorted(set(roles) - (giver.roles_anywhere() & set(VOTERS))):
        errors["roles"] = f"You don't hold {', '.join(strange)}, so you can't delegate it."
    if errors:
        raise Invalid(errors)


def _check_chain(giver: User, to: User, roles: Sequence[str], starts_at: datetime, ends_at: datetime) -> None:
    """What was delegated is not delegated on, in either order: neither by who was given it, nor to who gives it."""
    meanwhile = Delegation.objects.overlapping(starts_at, ends_at)
    held = [each for each in meanwhile.filter(delegate=giver) if set(each.roles) & set(roles)]
    given = [each for each in meanwhile.filter(delegator=to) if set(each.roles) & set(roles)]
    if held:
        text = f"{held[0].delegator} delegates to you at that time; a delegation is not passed on."
        raise Invalid({"delegate": text}, code="chain")
    if given:
        text = f"{to} delegates to {given[0].delegate} at that time; name somebody who votes themselves."
        raise Invalid({"delegate": text}, code="chain")
