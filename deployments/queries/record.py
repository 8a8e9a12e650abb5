"""How production deployments under a release model went: what its pre-approval stands or falls with."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef

from deployments.models import Deployment
from deployments.queries.incidents import caused_by
from releasemgmt.catalog.models import ReleaseModel, Tier
from releasemgmt.workflow.models import Event

#: How many deployments are looked at.
LAST = 20


def track_record(model: ReleaseModel) -> tuple[int, int]:
    """How many of the last production deployments under any version of the model are known, and how many went wrong.

    Wrong are those that failed, those that a rollback followed, and those that caused an incident. Two statements.
    """
    back = Deployment.objects.filter(remediates=OuterRef("pk"), kind=Deployment.Kind.ROLLBACK)
    over = Deployment.objects.filter(
        release__model__key=model.key,
        environment__tier=Tier.PRODUCTION,
        status__in=[Deployment.Status.SUCCEEDED, Deployment.Status.FAILED],
    ).exclude(kind=Deployment.Kind.ROLLBACK)
    over = over.annotate(did_harm=Exists(back) | caused_by(OuterRef("pk")))
    last: list[Any] = list(over.select_related("release").order_by("-started_at", "-pk")[:LAST])
    rolled_back = _rolled_back(last)
    wrong = [
        each for each in last if each.status == Deployment.Status.FAILED or each.did_harm or each.pk in rolled_back
    ]
    return len(last), len(wrong)


def _rolled_back(deployments: list[Any]) -> set[int]:
    """Those whose release was rolled back after them, and not deployed again in between."""
    streams = {each.release.stream: each.release_id for each in deployments if each.release}
    events = Event.objects.filter(stream__in=list(streams), kind="releases.release.roll_back")
    found: set[int] = set()
    for stream, at in events.values_list("stream", "at"):
        before = [d for d in deployments if d.release_id == streams[stream] and d.finished_at and d.finished_at <= at]
        found |= {max(before, key=lambda each: (each.started_at, each.pk)).pk} if before else set()
    return found
