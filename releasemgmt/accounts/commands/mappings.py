"""Which groups of the identity provider hold which roles: one administrator proposes, another one agrees."""

from __future__ import annotations

from datetime import datetime

from releasemgmt.accounts import roles
from releasemgmt.accounts.commands import proposals
from releasemgmt.accounts.commands.roles import take_away
from releasemgmt.accounts.models import GroupMapping, Proposal, Team, User
from releasemgmt.workflow.commands import command, create, lock, permit, record, validate
from releasemgmt.workflow.errors import Conflict


def map_group(
    *, group: str, role: str, team: Team | None, actor: User, now: datetime, reason: str = ""
) -> GroupMapping:
    """Propose that the members of a group hold a role; in force at once only where nobody else is there to ask."""
    with command():
        permit(actor, actor, roles.administrate_or_system, to="map groups to roles")
        mapping = GroupMapping(group=group.strip(), role=role, team=team, reason=reason)
        validate(mapping)
        alive = GroupMapping.objects.filter(group=mapping.group, role=role, team=team, ended_at=None)
        if alive.filter(state__in=[Proposal.State.PROPOSED, Proposal.State.ACCEPTED]).exists():
            raise Conflict("This group is mapped to this role already, or waits to be.", code="exists")
        at_once = proposals.propose(mapping, actor=actor, now=now)
        return create(mapping, actor=actor, data={**mapping.as_data(), **({"bootstrap": True} if at_once else {})})


def accept_mapping(mapping: GroupMapping, *, actor: User, now: datetime) -> GroupMapping:
    """Agree, as another administrator: from their next sign-in on the group's members hold the role."""
    with command():
        mapping = _open_mapping(mapping, actor=actor)
        proposals.consent(mapping, actor=actor, now=now)
        record(mapping, "accounts.groupmapping.accept", actor=actor, data=mapping.as_data(), revise=True)
        return mapping


def decline_mapping(mapping: GroupMapping, *, actor: User, now: datetime) -> GroupMapping:
    """Say no, as another administrator."""
    with command():
        mapping = _open_mapping(mapping, actor=actor)
        proposals.decline(mapping, actor=actor, now=now)
        record(mapping, "accounts.groupmapping.decline", actor=actor, data=mapping.as_data(), revise=True)
        return mapping


def withdraw_mapping(mapping: GroupMapping, *, actor: User, now: datetime) -> GroupMapping:
    """Take back what one has proposed oneself."""
    with command():
        mapping = _open_mapping(mapping, actor=actor)
        proposals.withdraw(mapping, actor=actor, now=now)
        record(mapping, "accounts.groupmapping.withdraw", actor=actor, data=mapping.as_data(), revise=True)
        return mapping


def end_mapping(mapping: GroupMapping, *, actor: User, now: datetime) -> GroupMapping:
    """End a mapping and, at once, every role that rests on it. It is never held up."""
    with command():
        permit(actor, actor, roles.administrate_or_system, to="end mappings")
        mapping = lock(mapping)
        if mapping.in_force:
            mapping.ended_at = now
            record(mapping, "accounts.groupmapping.end", actor=actor, data=mapping.as_data(), save=["ended_at"])
            for held in mapping.role_assignments.select_related("user", "team").order_by("user"):
                take_away(held, actor=actor, group=mapping.group)
        return mapping


def _open_mapping(mapping: GroupMapping, *, actor: User) -> GroupMapping:
    permit(actor, actor, roles.administrate_or_system, to="decide about mappings of groups")
    return lock(mapping)
