"""What waits for a person: incidents, votes, what they asked for, plans, tasks. At most twelve statements a page."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import CharField, Count, Q, Value

from approvals.models import ApprovalPolicy
from approvals.queries import Requested, docket
from deployments.models import DeploymentPlan, DeploymentTask, Incident
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
        incidents, plans = _going_on(user)
        inbox = Delivery.objects.inbox_of(user).unread().order_by("-id")
        states = [] if told.waiting else _states(user)
        return {
            "votes": [(round, for_whom(told.waiting[round], user)) for round in sorted(told.waiting, key=urgency)],
            "votes_shown": VOTES_SHOWN,
            "requested": sorted(told.requested, key=_trouble_first),
            "conditions": told.conditions,
            "shown": SHOWN,
            "states": states,
            "incidents": incidents,
            "plans": plans,
            "tasks": _tasks(user)[:SHOWN],
            "inbox": inbox[:SHOWN],
            "is_empty": not told.waiting and not any(state["n"] for state in states) and not _sees_products(user),
            "may_administrate": roles.administrate(user, user),
            "second_person": _waits_for_consent(user) if roles.administrate(user, user) else 0,
            "now": now,
        }


class Going(NamedTuple):
    """An incident that is open since an instant, or a plan for one."""

    prefix: str
    pk: int
    product: str
    what: str
    environment: str | None
    at: datetime
    state: str
    remark: str

    @property
    def number(self) -> str:
        return f"{self.prefix}-{self.pk}"


def _going_on(user: User) -> tuple[list[Going], list[Going]]:
    """The latest incidents that are open and the next plans on their way, in one statement."""
    incidents = Incident.objects.visible_to(user).going_on().order_by("-started_at", "-pk")
    plans = DeploymentPlan.objects.visible_to(user).filter(state__in=ON_THE_WAY).order_by("planned_start", "pk")
    where = "environment__name"
    troubles = _first(incidents, "product__name", "title", where, "started_at", "kind", "severity")
    planned = _first(plans, "release__product__name", "release__version", where, "planned_start", "state", "held_up_by")
    found = sorted((Going(*row) for row in troubles.union(planned, all=True)), key=lambda each: (each.at, each.pk))
    of_kind = [[each for each in found if each.prefix == kind.NUMBER_PREFIX] for kind in (Incident, DeploymentPlan)]
    return of_kind[0][::-1], of_kind[1]


def _first(rows: Any, *columns: str) -> Any:
    """The first of some records as rows of a union, which has no order of its own."""
    prefix = Value(rows.model.NUMBER_PREFIX, output_field=CharField())
    shown = rows.model.objects.filter(pk__in=rows.values("pk")[:SHOWN]).order_by()
    return shown.values_list(prefix, "pk", *columns)


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
