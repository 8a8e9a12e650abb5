"""Webhook tasks: a signed POST to the endpoint, to the very address that was checked, with little time to answer.

Whoever calls this is in no transaction. What the endpoint writes back is not read: its status says it all.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from ipaddress import ip_address
from typing import Any

import httpx
from django.conf import settings
from django.urls import reverse

from deployments.models import DeploymentPlan, WebhookCall, WebhookEndpoint
from deployments.policies import may_reach
from deployments.queries import running_deployment
from releasemgmt.integrations.standard_webhooks import signed
from releasemgmt.workflow.sealing import Unreadable, unseal

#: What the secrets of endpoints are sealed for.
PURPOSE = "webhook_endpoint"
#: Seconds: for each step of an exchange, and for all of it.
STEP, WHOLE = 5.0, 10.0
TYPE = "deployment.task"


class NotSent(Exception):
    """Why a call did not get through, in words for people; nothing of what the other side wrote."""


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
    try:
        async with asyncio.timeout(WHOLE):
            status = await _post(message)
    except (TimeoutError, httpx.TimeoutException):
        return f"no answer within {WHOLE:.0f} seconds"
    except NotSent as error:
        return str(error)
    except Exception as error:  # what a stranger's server can make of a connection has no end
        return f"no connection ({type(error).__name__})"
    return "" if httpx.codes.is_success(status) else f"it answered {status}"


async def _post(message: Message) -> int:
    url = httpx.URL(message.url)
    address = await _checked_address(url)
    headers = {**message.headers, "Host": url.netloc.decode(), "User-Agent": "releasemgmt"}
    #: No proxy and no redirect: either would connect to an address that nobody has checked.
    async with httpx.AsyncClient(trust_env=False, follow_redirects=False, verify=_trust(), timeout=STEP) as client:
        request = client.build_request(
            "POST",
            url.copy_with(host=address),
            content=message.body,
            headers=headers,
            extensions={"sni_hostname": url.host},
        )
        answer = await client.send(request, stream=True)
        await answer.aclose()
        return answer.status_code


async def _checked_address(url: httpx.URL) -> str:
    """An address of the host to which a call may go; a name that leads elsewhere is not called at all."""
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise NotSent("its name leads to no address") from error
    addresses = [str(each[4][0]).partition("%")[0] for each in found]
    for address in addresses:
        if not may_reach(ip_address(address), scheme=url.scheme, networks=settings.WEBHOOK_NETWORKS):
            raise NotSent("its address is not public, nor in WEBHOOK_NETWORKS")
    return addresses[0]


@cache
def _trust() -> ssl.SSLContext:
    """The authorities that are known everywhere, and those of this machine (SSL_CERT_FILE names a company's own)."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context
