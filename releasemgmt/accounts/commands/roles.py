"""Roles granted and taken away; those that decide or deploy take a second administrator's consent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from releasemgmt.accounts import roles
from releasemgmt.accounts.commands import proposals
from releasemgmt.accounts.models import GroupMapping, Role, RoleAssignment, RoleRequest, Team, User
from releasemgmt.workflow.commands import command, lock, permit, record
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted

#: Who holds one of these decides about production or about people.
NEED_CONSENT = frozenset({Role.CAB_CHAIR, Role.DEPLOYER, Role.ADMINISTRATOR})


def grant_role(
    user: User, *, role: str, team: Team | None, actor: User, now: datetime, reason: str = ""
) -> RoleAssignment | RoleRequest:
    """Give a user a role in a team, or (team None) globally; one that is held already is answered as it is.

    The roles of chair, deployer and administrator are asked for: the answer is then the request, which another
    administrator accepts, or the role itself where nobody else is there to ask.
    """
    with command():
        permit(actor, actor, roles.administrate_or_system, to="grant roles")
        if role not in Role.values:
            raise Invalid({"role": f"There is no role {role}."})
        if user.kind == User.Kind.SYSTEM:
            raise Invalid({"user": "The system user holds no role."})
        if (user.kind == User.Kind.SERVICE) != (role == Role.SERVICE):
            raise Invalid({"role": "The role service is for service accounts, and they hold no other."})
        user = lock(user)
        held = user.role_assignments.filter(role=role, team=team).first()
        if held is not None and held.mapping_id is None:
            return held
        if role not in NEED_CONSENT:
            return assign(user, role=role, team=team, actor=actor, now=now)
        return _ask(RoleRequest(user=user, role=role, team=team, reason=reason), actor=actor, now=now)


def accept_role(request: RoleRequest, *, actor: User, now: datetime) -> RoleAssignment:
    """Agree, as another administrator, that somebody gets the role."""
    with command():
        request = _open_request(request, actor=actor, to="agree to roles")
        if request.user_id == actor.pk:
            raise NotPermitted("Nobody agrees to a role of their own; ask another administrator.")
        proposals.consent(request, actor=actor, now=now)
        facts = {"request": request.pk, "proposed_by": str(request.proposed_by)}
        return assign(request.user, role=request.role, team=request.team, actor=actor, now=now, facts=facts)


def decline_role(request: RoleRequest, *, actor: User, now: datetime) -> None:
    """Say no, as another administrator, to a role that was asked for."""
    with command():
        request = _open_request(request, actor=actor, to="decline roles")
        proposals.decline(request, actor=actor, now=now)
        record(request.user, "accounts.user.decline_role", actor=actor, data=request.as_data())


def withdraw_role(request: RoleRequest, *, actor: User, now: datetime) -> None:
    """Take back what one has asked for oneself."""
    with command():
        request = _open_request(request, actor=actor, to="withdraw requests for roles")
        proposals.withdraw(request, actor=actor, now=now)
        record(request.user, "accounts.user.withdraw_role", actor=actor, data=request.as_data())


def revoke_role(assignment: RoleAssignment, *, actor: User) -> None:
    """Take a role away; votes that rest on it stop counting at once. It is never held up."""
    with command():
        permit(actor, actor, roles.administrate_or_system, to="revoke roles")
        take_away(assignment, actor=actor)


def take_away(assignment: RoleAssignment, *, actor: User, on_behalf_of: User | None = None, **facts: Any) -> None:
    """Delete the role and write its event, in the caller's command; one that is gone already stays so."""
    user = lock(assignment.user)
    data = {"role": assignment.role, "team": assignment.team and assignment.team.key, **facts}
    if RoleAssignment.objects.filter(pk=assignment.pk).delete()[0]:
        record(user, "accounts.user.revoke_role", actor=actor, on_behalf_of=on_behalf_of, data=data)


def assign(
    user: User,
    *,
    role: str,
    team: Team | None,
    actor: User,
    now: datetime,
    mapping: GroupMapping | None = None,
    facts: Mapping[str, object] | None = None,
) -> RoleAssignment:
    """Write the role and its event, once whoever has to agree has agreed; the caller has locked the user.

    One that a group gave stays when people grant it, with the instant at which it was gained first.
    """
    granted, new = RoleAssignment.objects.get_or_create(
        user=user, role=role, team=team, defaults={"granted_at": now, "granted_by": actor, "mapping": mapping}
    )
    data = {"role": role, "team": team and team.key, **(facts or {})}
    if new or (granted.mapping_id and mapping is None):
        behalf = user if mapping else None
        RoleAssignment.objects.filter(pk=granted.pk).update(mapping=mapping)
        record(user, "accounts.user.grant_role", actor=actor, on_behalf_of=behalf, data=data)
    return granted


def _ask(request: RoleRequest, *, actor: User, now: datetime) -> RoleAssignment | RoleRequest:
    user = request.user
    if user.role_requests.filter(role=request.role, team=request.team, state=RoleRequest.State.PROPOSED).exists():
        raise Conflict("This role has been asked for already and waits for a second administrator.", code="proposed")
    at_once = proposals.propose(request, actor=actor, now=now)
    request.save(force_insert=True)
    if at_once:
        facts = {"request": request.pk, "bootstrap": True}
        return assign(user, role=request.role, team=request.team, actor=actor, now=now, facts=facts)
    record(user, "accounts.user.request_role", actor=actor, data=request.as_data())
    return request


def _open_request(request: RoleRequest, *, actor: User, to: str) -> RoleRequest:
    """The request read afresh under its person's lock, if the actor may settle any."""
    permit(actor, actor, roles.administrate_or_system, to=to)
    user = lock(request.user)
    request = RoleRequest.objects.select_related("team", "proposed_by").get(pk=request.pk)
    request.user = user
    return request
