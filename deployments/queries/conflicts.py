"""What else is scheduled for the time of a plan: other plans of the product there, and changes of its own."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import OuterRef, QuerySet, Subquery, Sum

from approvals.queries import changes_in_the_way
from deployments.models import DeploymentPlan, DeploymentTask
from releasemgmt.workflow.commands import while_reading

State = DeploymentPlan.State
#: Those that hold the environment at their time, or will.
TAKEN = (State.SCHEDULED, State.IN_PROGRESS, State.BACKING_OUT)


class Obstacle(NamedTuple):
    """A plan or a change that is scheduled for the same time, and that time; half-open."""

    record: Any
    starts_at: datetime
    ends_at: datetime

    def overlaps(self, begin: datetime, end: datetime) -> bool:
        """Whether it takes place between these; what takes no time takes place at its start."""
        return self.starts_at == begin or (self.starts_at < end and begin < self.ends_at)


def obstacles(plan: DeploymentPlan, *, now: datetime) -> list[Obstacle]:
    """What stands in the way of a plan. At most four statements.

    Being scheduled it is held, from its planned start to its latest one and the estimates of its tasks, against every
    plan of the product that holds the environment then. When it starts, against those that come before it: so of two
    that overlap one goes first. What runs at that moment is another gate's.
    """
    if plan.state == State.READY:
        begin, end = max(plan.planned_start, now), plan.latest_start + _estimate(plan)
        plans = [each for each in map(_taken, _rivals(plan)) if each.overlaps(begin, end)]
    else:
        begin, end = now, plan.latest_start
        place = plan.planned_start, plan.pk or 0
        first = [each for each in _rivals(plan) if (each.planned_start, each.pk) < place]
        plans = [each for each in map(_taken, first) if each.record.state == State.SCHEDULED and each.ends_at > now]
    changes = changes_in_the_way(plan.release, plan.environment, starts_at=begin, ends_at=end)
    return plans + [
        Obstacle(each, each.planned_start, each.planned_end)
        for each in changes
        if each.planned_start and each.planned_end
    ]


def _rivals(plan: DeploymentPlan) -> list[Any]:
    """The other plans of the product that hold the environment, or will; without a plan, those of other releases."""
    environment, product = plan.environment_id, plan.release.product_id
    taken = while_reading(("taken", environment, product), lambda: list(_plans_in(environment, product)))
    return [each for each in taken if (each.pk != plan.pk if plan.pk else each.release_id != plan.release_id)]


def _plans_in(environment: int, product: int) -> QuerySet[Any]:
    """With the minutes of their tasks."""
    there = DeploymentPlan.objects.filter(environment=environment, release__product=product, state__in=TAKEN)
    tasks = DeploymentTask.objects.filter(plan=OuterRef("pk"), is_backout=False).order_by().values("plan")
    minutes = Subquery(tasks.annotate(minutes=Sum("estimate_minutes")).values("minutes"))
    return there.annotate(minutes=minutes).select_related("release").order_by("planned_start", "pk")


def _estimate(plan: DeploymentPlan) -> timedelta:
    """How long its tasks take, one after the other, as far as anybody estimated it."""
    if plan.pk is None:
        return timedelta()
    tasks = plan.tasks.filter(is_backout=False)
    minutes = while_reading(("estimate", plan.pk), lambda: tasks.aggregate(sum=Sum("estimate_minutes"))["sum"])
    return timedelta(minutes=minutes or 0)


def _taken(plan: Any) -> Obstacle:
    return Obstacle(plan, plan.planned_start, plan.latest_start + timedelta(minutes=plan.minutes or 0))
