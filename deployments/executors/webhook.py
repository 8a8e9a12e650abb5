"""Webhook tasks: a signed POST to the endpoint. What it writes back is not read: its status says it all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from deployments.executors.outward import NotSent, exchange, in_words
from deployments.models import DeploymentPlan, WebhookCall, WebhookEndpoint
from deployments.queries import running_deployment
from releasemgmt.integrations.standard_webhooks import signed
from releasemgmt.workflow.sealing import Unreadable, unseal

#: What the secrets of endpoints are sealed for.
PURPOSE = "webhook_endpoint"
#: Seconds for the whole exchange.
WHOLE = 10.0
TYPE = "deployment.task"


@dataclass(frozen=True)
class Message:
    """A POST as it leaves the service."""

    url: str
    headers: dict[str, str]
    body: bytes


def secret_of(endpoint: WebhookEndpoint) -> str:
    """The endpoint's secret in plain; raises NotSent where SECRET_KEY is another one now."""
    try:
        return unseal(endpoint.sealed_secret, purpose=PURPOSE)
    except Unreadable as error:
        raise NotSent("its secret can't be read, as SECRET_KEY was changed: give it another one") from error


def message(call: WebhookCall, *, now: datetime) -> Message:
    """The call as it is sent at that instant: the same body and id each time, under a new signature."""
    if not call.endpoint.is_active:
        raise NotSent("it is switched off")
    body = json.dumps(content(call)).encode()
    headers = signed(body, message_id=call.message_id, secret=secret_of(call.endpoint), now=now)
    return Message(url=call.endpoint.url, headers={**headers, "Content-Type": "application/json"}, body=body)


def content(call: WebhookCall) -> dict[str, Any]:
    """What the endpoint is told."""
    task, plan = call.task, call.task.plan
    began_at = task.started_at.isoformat() if task.started_at else ""
    task_facts = {
        "task": task.pk,
        "title": task.title,
        "purpose": task.purpose,
        "attempt": task.attempt,
        "is_backout": task.is_backout,
        "fencing_token": call.fencing_token,
    }
    place = {
        "plan": plan.number,
        "release": plan.release.number,
        "product": plan.release.product.key,
        "version": plan.release.version,
        "environment": plan.environment.key,
        "builds": _builds(plan),
    }
    way_back = {
        "callback_url": settings.PUBLIC_URL + reverse("webhook-callback", args=[call.endpoint_id]),
        "time_limit_minutes": call.endpoint.time_limit_minutes,
    }
    return {"type": TYPE, "timestamp": began_at, "data": task_facts | place | way_back}


def send(calls: Sequence[WebhookCall], *, now: datetime) -> list[str]:
    """Send the calls, all at once; for each why it did not get through, nothing where it did."""
    return asyncio.run(_send_all([_ready(call, now) for call in calls]))


def _builds(plan: DeploymentPlan) -> list[dict[str, str]]:
    """What is to run there: the builds of the attempt, or of its way back."""
    deployment = running_deployment(plan)
    builds = deployment.builds.select_related("component").order_by("component__key") if deployment else ()
    return [
        {"component": build.component.key, "digest": str(build.digest), "artifact_uri": build.artifact_uri}
        for build in builds
    ]


def _ready(call: WebhookCall, now: datetime) -> Message | str:
    try:
        return message(call, now=now)
    except NotSent as error:
        return str(error)


async def _send_all(messages: Sequence[Message | str]) -> list[str]:
    return await asyncio.gather(*map(_send, messages))


async def _send(message: Message | str) -> str:
    """One exchange within its time; whatever goes wrong with it is its own."""
    if isinstance(message, str):
        return message
    post = exchange("POST", message.url, networks="WEBHOOK_NETWORKS", headers=message.headers, body=message.body)
    try:
        async with asyncio.timeout(WHOLE), post as answer:
            return "" if answer.is_success else f"it answered {answer.status_code}"
    except Exception as error:
        return in_words(error, seconds=WHOLE)
