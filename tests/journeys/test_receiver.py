"""The receiver of the guide about webhooks, saved and run as its reader does it, and called by the service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.utils import timezone

from deployments.commands import TaskDraft, call_webhooks, create_endpoint, finish_plans, start
from deployments.executors import webhook
from deployments.models import DeploymentPlan, DeploymentTask, WebhookCall
from releasemgmt.workflow.commands import fire
from tests.background import eventually, free_port
from tests.deployments.conftest import shop as shop
from tests.deployments.receiver import SECRET
from tests.deployments.world import Shop
from tests.factories import someone

pytestmark = pytest.mark.django_db(transaction=True)

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "webhooks.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass
class Running:
    """The receiver as a process, and what it printed."""

    url: str
    log: Path

    @property
    def printed(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Running]:
    (block,) = BLOCK.findall(GUIDE.read_text())
    file, log, port = tmp_path / "receiver.py", tmp_path / "log", free_port()
    file.write_text(block)
    with log.open("w") as printed, (tmp_path / "requests").open("w") as requests:
        shell = {**os.environ, "SECRET": SECRET}
        process = subprocess.Popen([sys.executable, file, str(port)], env=shell, stdout=printed, stderr=requests)
    running = Running(f"http://127.0.0.1:{port}/hooks/shop", log)
    try:
        eventually(lambda: answers(running.url))
        yield running
    finally:
        process.terminate()
        process.wait(10)


def answers(url: str) -> bool:
    """Whether it is up, and lets nobody in who signed nothing."""
    try:
        return httpx.post(url, content=b"{}").status_code == 401
    except httpx.ConnectError:
        return False


def test_it_does_a_task_once_and_says_so(shop: Shop, receiver: Running, live_server: Any, settings: Any) -> None:
    settings.WEBHOOK_NETWORKS, settings.PUBLIC_URL = [ip_network("127.0.0.0/8")], live_server.url
    administrator = someone("administrator", team=shop.product.team)
    create_endpoint(shop.product, key="deployer", url=receiver.url, secret=SECRET, actor=administrator)
    now = timezone.now()
    tasks = [TaskDraft("Swap the image", kind="webhook", endpoint="deployer")]
    times: dict[str, Any] = {"planned_start": now, "latest_start": now + timedelta(hours=1)}
    plan = shop.plan(shop.release("1.0"), tasks=tasks, **times)
    for step in ("prepare", "schedule"):
        plan = fire(plan, step, actor=shop.manager, now=now)
    start(plan, actor=shop.deployer, now=now)

    assert call_webhooks(now=timezone.now()) == 1
    done = DeploymentTask.objects.filter(plan=plan, state="done", evidence="job 7")
    eventually(done.exists)
    assert webhook.send(list(WebhookCall.objects.all()), now=timezone.now()) == [""], "it is sent again, and taken"

    finish_plans(timezone.now())
    assert DeploymentPlan.objects.get(pk=plan.pk).state == "succeeded"
    digests = plan.release.builds.order_by("component__key").values_list("digest", flat=True)
    worked = [line for line in receiver.printed if line.startswith("deploying")]
    assert worked == [f"deploying production {' '.join(digests)}"]
