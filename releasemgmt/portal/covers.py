"""What covered each deployment: the round, or the pre-approval, that held when it started."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from approvals import policies
from approvals.models import ChangeRequest
from deployments.models import Deployment
from releasemgmt.workflow.models import Event

#: What makes, names and ends the sign-off of a release, as its stream tells it.
APPROVED, ACCEPTED = "approvals.round.approve", "releases.release.accept"
STARTED = "deployments.deploymentplan.start"
ENDED = ("approvals.round.withdraw", "releases.release.rework")
Cover = Mapping[str, Any]


def covers(deployments: Collection[Deployment]) -> dict[int, Cover]:
    """deployment → `{"round", "digest"}`, `{"pre_approval": …}`, `{"rollback": true}` or `{"unauthorised": true}`.

    The last names the change that puts it on record, too.
    An empty one says that no sign-off held, as for a reported deployment of a release whose content had changed since.
    One statement.
    """
    streams = {each.release.stream for each in deployments if each.release} | {_plan(each) for each in deployments}
    kinds = [APPROVED, ACCEPTED, STARTED, *ENDED, *policies.EDITS]
    told: dict[str, list[Event]] = defaultdict(list)
    for event in Event.objects.filter(stream__in=streams, kind__in=kinds).order_by("stream", "seq"):
        told[event.stream].append(event)
    return {
        each.pk: _cover(each, told[each.release.stream] if each.release else (), at=_started(each, told[_plan(each)]))
        for each in deployments
    }


def _plan(deployment: Deployment) -> str:
    return f"deploymentplan:{deployment.plan_id or 0}"


def _started(deployment: Deployment, starts: Iterable[Event]) -> datetime:
    """When its gates were asked: its plan's event says so; a report only says when it began."""
    return next((event.at for event in starts if event.at >= deployment.started_at), deployment.started_at)


def _cover(deployment: Deployment, events: Iterable[Event], *, at: datetime) -> Cover:
    if deployment.unauthorised:
        recorded = {"change": f"{ChangeRequest.NUMBER_PREFIX}-{deployment.change_id}"} if deployment.change_id else {}
        return {"unauthorised": True, **recorded}
    if deployment.kind == Deployment.Kind.ROLLBACK:
        return {"rollback": True}
    cover: Cover = {}
    for event in events:
        if event.at > at:
            break
        cover = _after(event, cover, is_gated=deployment.plan_id is not None)
    return cover


def _after(event: Event, cover: Cover, *, is_gated: bool) -> Cover:
    """What covers the release once this has happened; a plan's gates saw themselves that the content was the same."""
    if event.kind == APPROVED:
        return {"round": event.data["round"], "digest": event.data["digest"]}
    if event.kind == ACCEPTED:
        return cover or {name: event.data[name] for name in ("round", "pre_approval") if name in event.data}
    if event.kind == "approvals.round.withdraw":
        return {} if event.data["round"] == cover.get("round") else cover
    edited = not is_gated and policies.is_edit(event.kind, event.data)
    return {} if edited or event.kind in ENDED else cover


def in_words(cover: Cover) -> str:
    """What covered a deployment, for people."""
    if "round" in cover:
        return f"round {cover['round']}"
    if "pre_approval" in cover:
        return f"pre-approval, round {cover['pre_approval']}"
    if "change" in cover:
        return f"unauthorised, on record as {cover['change']}"
    words = {"unauthorised": "unauthorised", "rollback": "rollback to what ran there before"}
    return next((text for name, text in words.items() if name in cover), "no sign-off held")
