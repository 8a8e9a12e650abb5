"""Everybody votes on one release at the same moment, over HTTP: one outcome, and an answer for each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.utils import timezone

from approvals.models import ApprovalPolicy, ApprovalRound, Vote
from releasemgmt.accounts.commands import create_token
from releasemgmt.accounts.models import Scope
from releasemgmt.workflow import queries
from releasemgmt.workflow.models import Event
from tests.approvals.world import World
from tests.faults.servers import Web
from tests.scale import scaled

pytestmark = pytest.mark.skipif(settings.EMBEDDED, reason="of the processes of production")
VOTERS = scaled(short=60, long=1_000)
NEEDED = VOTERS // 2


async def ask_all(port: int, round: ApprovalRound, tokens: list[str]) -> list[httpx.Response]:
    """Every vote in a connection of its own, none waiting for another."""
    url = f"http://127.0.0.1:{port}/api/v1/approvals/{round.pk}/votes/"
    body = {"decision": "approve", "digest": round.digest}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=300, limits=limits) as client:
        posts = [client.post(url, json=body, headers={"Authorization": f"Bearer {token}"}) for token in tokens]
        return await asyncio.gather(*posts)


def test_all_vote_at_once(web: Web, record_property: Callable[[str, object], None]) -> None:
    ApprovalPolicy.objects.all().delete()
    stages = [{"step": 1, "role": "cab_member", "count": NEEDED, "veto": False}]
    ApprovalPolicy.objects.create(key="crowd", name="Crowd", state="accepted", bootstrap=True, stages=stages)
    world = World()
    now = timezone.now()
    voters = [world.someone("cab_member") for _ in range(VOTERS)]
    facts: Any = {"name": "vote", "scopes": [Scope.APPROVE.value], "expires_at": now + timedelta(days=1), "now": now}
    tokens = [create_token(voter, actor=voter, **facts)[1] for voter in voters]
    round = world.round(world.assessed(planned_start=now + timedelta(hours=1), planned_end=now + timedelta(hours=2)))
    answers = Counter(answer.status_code for answer in asyncio.run(ask_all(web.port, round, tokens)))
    record_property("attempts", VOTERS)
    record_property("outcomes", ", ".join(f"{status}: {count}" for status, count in sorted(answers.items())))
    assert answers == {201: NEEDED, 409: VOTERS - NEEDED}
    assert Vote.objects.filter(round=round).count() == NEEDED
    assert ApprovalRound.objects.get(pk=round.pk).state == "approved"
    ends = Event.objects.filter(stream=round.subject.stream, kind__startswith="approvals.round.").exclude(
        kind="approvals.round.open"
    )
    assert [end.kind for end in ends] == ["approvals.round.approve"]
    assert list(queries.breaks()) == []
