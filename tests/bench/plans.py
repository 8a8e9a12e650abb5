"""How long two workers take to start a thousand plans that are due in the same moment."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from django.db.models import Max
from django.utils import timezone

from deployments.models import DeploymentPlan
from releasemgmt.accounts.models import Team
from releasemgmt.workflow.models import Event, Pending
from tests.background import Background, eventually
from tests.faults.plans import scheduled_plans

PLANS, WORKERS = 1_000, 2
#: Seconds until workers and beat are up.
STARTING = 15


def seconds_to_start(team: Team) -> float:
    """From the moment in which all are due to the start of the last; what was written before has been told."""
    plans = scheduled_plans(team, count=PLANS, due=timezone.now() + timedelta(days=1))
    due = timezone.now() + timedelta(seconds=STARTING)
    ours = DeploymentPlan.objects.filter(pk__in=[plan.pk for plan in plans])
    ours.update(planned_start=due)
    Pending.objects.all().delete()
    with tempfile.TemporaryDirectory() as name:
        fleet = []
        for n in range(WORKERS):
            folder = Path(name, str(n))
            folder.mkdir()
            fleet.append(Background(folder, parts=("worker", "beat") if n == 0 else ("worker",)))
        for each in fleet:
            each.start()
        eventually(lambda: not ours.filter(state="scheduled").exists(), seconds=300)
        for each in fleet:
            each.stop()
    started = Event.objects.filter(kind="deployments.deploymentplan.start").aggregate(last=Max("at"))
    took: timedelta = started["last"] - due
    return took.total_seconds()
