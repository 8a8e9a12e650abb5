"""SIGTERM under load, as every upgrade sends it: no request that was taken fails, no task is lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from django.conf import settings
from django.utils import timezone

from releasemgmt.accounts.commands import create_token
from releasemgmt.notifications.models import Delivery
from releasemgmt.workflow.models import Event, Pending
from tests.background import Background, Mailbox, eventually
from tests.factories import ProductFactory, TeamFactory, someone
from tests.faults.servers import Web
from tests.notifications.world import tell
from tests.scale import scaled

pytestmark = pytest.mark.skipif(settings.EMBEDDED, reason="of the processes of production")
CALLERS, STOPS, EVENTS = 8, scaled(1, 10), scaled(60, 1_000)


def test_a_web_process_that_is_told_to_stop_answers_each_request_that_it_has_taken(
    web: Web, record_property: Callable[[str, object], None]
) -> None:
    team = TeamFactory(key="shop")
    product, actor = ProductFactory(key="p", team=team), someone("release_manager", team=team)
    until = timezone.now() + timedelta(days=1)
    _, token = create_token(actor, name="t", scopes=["write"], expires_at=until, actor=actor, now=timezone.now())
    answers: Counter[str] = Counter()
    for _ in range(STOPS):
        threads = [threading.Thread(target=call, args=[web, token, answers]) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        before = answers.total()
        eventually(lambda before=before: answers.total() > before + 40)  # type: ignore[misc]
        assert web.stop() == 0
        for thread in threads:
            thread.join()
        web.start()
    assert set(answers) == {"201"}
    done = Event.objects.filter(stream=product.stream, kind="comment").count()
    assert done == answers["201"]
    record_property("attempts", answers.total())
    record_property("outcomes", f"{STOPS} stops, requests failed 0")


def call(web: Web, token: str, answers: Counter[str]) -> None:
    """Comment until nobody takes it. A kept connection may be closed just as the next request is on its way; nothing
    of that request has happened then, as the count of comments shows."""
    url = f"http://127.0.0.1:{web.port}/api/v1/products/p/comments/"
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        while True:
            try:
                answers[str(client.post(url, json={"body": "still here"}).status_code)] += 1
            except httpx.TransportError:
                return


def test_a_worker_that_is_told_to_stop_ends_its_task_and_loses_none(
    transactional_db: None, tmp_path: Path, mailbox: Mailbox
) -> None:
    team = TeamFactory(key="shop")
    actor, reader = someone("release_manager", team=team), someone("contributor", team=team)
    installation = Background(tmp_path, settings_module="tests.notifications.installation", EMAIL_URL=mailbox.url)
    for turn in range(STOPS):
        installation.start()
        for n in range(EVENTS):
            tell(team, reader, actor=actor, news=f"{turn}-{n}")
        eventually(lambda turn=turn: Delivery.objects.filter(state="sent").count() > turn * EVENTS)  # type: ignore[misc]
        installation.stop()
    installation.start()
    try:
        eventually(lambda: not Pending.objects.exists() and not Delivery.objects.exclude(state="sent").exists())
    finally:
        installation.stop()
    assert Delivery.objects.filter(lease_until=None).count() == Delivery.objects.count()
    assert len(mailbox.mails) == STOPS * EVENTS
