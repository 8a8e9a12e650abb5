"""Ticks that come late, twice, or in another order do what one of each does."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.core import mail

from approvals.commands import open_round
from deployments.models import Deployment
from releasemgmt.celery import app
from releasemgmt.notifications.models import Delivery
from releasemgmt.workflow import queries
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.models import Event, Pending
from tests.conftest import NOW
from tests.deployments.conftest import shop as shop
from tests.deployments.world import HOUR, Shop, at, kinds

pytestmark = pytest.mark.django_db
TICKS: list[str] = sorted(entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values())


def test_every_tick_is_a_task_and_is_dropped_before_the_next_one_comes() -> None:
    app.loader.import_default_modules()
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        assert entry["task"] in app.tasks
        assert entry["options"]["expires"] < entry["schedule"]


@pytest.mark.parametrize("seed", range(5))
def test_each_tick_one_to_five_times_in_any_order(shop: Shop, seed: int) -> None:
    app.loader.import_default_modules()
    order = random.Random(seed)
    starting = shop.scheduled(shop.release("1.0"), autostart=True)
    missed = shop.scheduled(shop.release("2.0"), autostart=True, planned_start=at(1), latest_start=at(2))
    ending = shop.worked_off(shop.release("3.0"), shop.test)
    left = shop.release("4.0", to="integration_tested")
    open_round(left, actor=shop.manager, now=NOW)
    fire(left, "cancel", actor=shop.manager, now=NOW, reason="Not needed")

    runs = [name for name in TICKS for _ in range(order.randint(1, 5))]
    order.shuffle(runs)
    with time_machine.travel(NOW + HOUR, tick=False):
        for name in [*runs, *sorted(TICKS, key=lambda name: "deliver" in name), *runs]:
            app.tasks[name].apply(throw=True)

    happened = [kinds(plan).count(kind) for plan, kind in ((starting, "start"), (missed, "miss"), (ending, "succeed"))]
    assert [*happened, kinds(left).count("withdraw")] == [1, 1, 1, 1]
    assert Counter(Deployment.objects.values_list("status", flat=True)) == {"running": 1, "succeeded": 1}
    assert not Pending.objects.exists()
    positions = Event.objects.order_by("published__position").values_list("published__position", flat=True)
    assert list(positions) == list(range(1, Event.objects.count() + 1))
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}
    copies: Counter[Any] = Counter(sent.extra_headers["Message-ID"] for sent in mail.outbox)
    assert set(copies.values()) == {1}
    assert len(copies) == Delivery.objects.filter(channel="email").count() > 0
    assert list(queries.breaks()) == []
