"""What waits for a person: votes, what they asked for, plans and tasks. At most twelve statements a page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Count, Q

from approvals.models import ApprovalPolicy
from approvals.queries import Requested, docket
from deployments.models import DeploymentPlan, DeploymentTask
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import GroupMapping, Proposal, RoleRequest, User
from releasemgmt.catalog.models import Product
from releasemgmt.notifications.models import Delivery
from releasemgmt.portal.ballots import for_whom, urgency
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import reading

SHOWN = 10
#: As many votes as somebody may have on a day.
VOTES_SHOWN = 30
ON_THE_WAY = (DeploymentPlan.State.READY, DeploymentPlan.State.SCHEDULED, *DeploymentPlan.UNDER_WAY)


def waiting(user: User, *, now: datetime) -> dict[str, Any]:
    """The context of the home page. Where releases stand is told to whom no vote keeps busy."""
    with reading():
        told = docket(user, now)
        plans = DeploymentPlan.objects.visible_to(user).filter(state__in=ON_THE_WAY)
        inbox = Delivery.objects.inbox_of(user).unread().order_by("-id")
        states = [] if told.waiting else _states(user)
        return {
            "votes": [(round, for_whom(told.waiting[round], user)) for round in sorted(told.waiting, key=urgency)],
            "votes_shown": VOTES_SHOWN,
            "requested": sorted(told.requested, key=_trouble_first),
            "conditions": told.conditions,
            "shown": SHOWN,
            "states": states,
            "plans": plans.select_related("release__product", "environment").order_by("planned_start", "pk")[:SHOWN],
            "tasks": _tasks(user)[:SHOWN],
            "inbox": inbox[:SHOWN],
            "is_empty": not told.waiting and not any(state["n"] for state in states) and not _sees_products(user),
            "may_administrate": roles.administrate(user, user),
            "second_person": _waits_for_consent(user) if roles.administrate(user, user) else 0,
            "now": now,
        }


def _states(user: User) -> list[dict[str, Any]]:
    """How many releases are in which state."""
    rows = Release.objects.visible_to(user).values_list("state").annotate(n=Count("pk"))
    found = dict(rows.values_list("state", "n"))
    return [{"value": value, "label": label, "n": found.get(value, 0)} for value, label in Release.State.choices]


def _sees_products(user: User) -> bool:
    return roles.visible_to(user, Product.objects.all(), team="team").exists()


def _trouble_first(asked: Requested) -> tuple[bool, bool, float]:
    """What can't go on, what is open by the day on which it is due, and what ended, the latest first."""
    ended = asked.round.decided_at
    return not asked.is_lost, ended is not None, -ended.timestamp() if ended else asked.round.due_at.timestamp()


def _waits_for_consent(user: User) -> int:
    """How many roles, mappings and policies wait until another administrator than the one who asked agrees."""
    waiting = {"state": Proposal.State.PROPOSED}
    asked = RoleRequest.objects.filter(**waiting).exclude(proposed_by=user).exclude(user=user)
    mappings = GroupMapping.objects.filter(**waiting).exclude(proposed_by=user)
    return asked.count() + mappings.count() + ApprovalPolicy.objects.waiting().exclude(proposed_by=user).count()


def _tasks(user: User) -> Any:
    """Open tasks of running plans that are the person's own or their team's."""
    mine = Q(assigned_user=user) | Q(assigned_team__role_assignments__user=user)
    there = Q(is_backout=False, plan__state=DeploymentPlan.State.IN_PROGRESS)
    back = Q(is_backout=True, plan__state=DeploymentPlan.State.BACKING_OUT)
    running = DeploymentTask.objects.filter(mine, there | back, state=DeploymentTask.State.IN_PROGRESS)
    return running.select_related("plan__release__product").order_by("plan_id", "position").distinct()
