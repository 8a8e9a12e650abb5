"""What waits for a person: votes, plans, tasks, and where releases stand. A constant number of statements."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Count, Q

from approvals.queries import waiting_for
from deployments.models import DeploymentPlan, DeploymentTask
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.notifications.models import Delivery
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import reading

SHOWN = 10
ON_THE_WAY = (DeploymentPlan.State.READY, DeploymentPlan.State.SCHEDULED, DeploymentPlan.State.IN_PROGRESS)


def waiting(user: User, *, now: datetime) -> dict[str, Any]:
    """The context of the home page."""
    with reading():
        releases = dict(
            Release.objects.visible_to(user).values_list("state").annotate(n=Count("pk")).values_list("state", "n")
        )
        plans = DeploymentPlan.objects.visible_to(user).filter(state__in=ON_THE_WAY)
        rounds = waiting_for(user)
        inbox = Delivery.objects.inbox_of(user).unread().order_by("-id")
        return {
            "rounds": rounds[:SHOWN],
            "rounds_total": len(rounds),
            "states": [
                {"value": value, "label": label, "n": releases.get(value, 0)} for value, label in Release.State.choices
            ],
            "plans": plans.select_related("release__product", "environment").order_by("planned_start", "pk")[:SHOWN],
            "tasks": _tasks(user)[:SHOWN],
            "inbox": inbox[:SHOWN],
            "is_empty": not roles.visible_to(user, Product.objects.all(), team="team").exists(),
            "may_administrate": roles.administrate(user, user),
            "now": now,
        }


def _tasks(user: User) -> Any:
    """Open tasks of running plans that are the person's own or their team's."""
    mine = Q(assigned_user=user) | Q(assigned_team__role_assignments__user=user)
    tasks = DeploymentTask.objects.filter(mine, state=DeploymentTask.State.IN_PROGRESS, is_backout=False)
    running = tasks.filter(plan__state=DeploymentPlan.State.IN_PROGRESS)
    return running.select_related("plan__release__product").order_by("plan_id", "position").distinct()
