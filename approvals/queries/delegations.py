"""Delegations: one's own, and those that somebody watches over."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from approvals.models import Delegation
from approvals.models.delegation import DelegationQuerySet
from releasemgmt.accounts.models import Role, RoleAssignment, User

#: Who may know of other people's delegations where they hold the role.
WATCH = (Role.ADMINISTRATOR, Role.AUDITOR)


def delegations_known_to(user: User) -> DelegationQuerySet:
    """One's own; an administrator or auditor knows those given by the people of their teams too. Two statements."""
    teams = set(user.role_assignments.filter(role__in=WATCH).values_list("team", flat=True))
    rows = Delegation.objects.select_related("delegator", "delegate")
    if None in teams:
        return rows
    people = RoleAssignment.objects.filter(team__in=teams).values("user")
    return rows.filter(Q(delegator=user) | Q(delegate=user) | Q(delegator__in=people))


def delegations_under_watch(user: User, *, now: datetime) -> DelegationQuerySet:
    """Of these, other people's that are in force or to come."""
    others = delegations_known_to(user).exclude(Q(delegator=user) | Q(delegate=user))
    return others.live(now)
