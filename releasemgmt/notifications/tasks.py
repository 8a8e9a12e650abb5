"""The ticks of notifications: publish what happened, send what is due."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from releasemgmt.notifications import commands, fanout


@shared_task
def drain() -> None:
    """Publish pending events and write their deliveries."""
    fanout.drain(now=timezone.now())


@shared_task(soft_time_limit=40, time_limit=50)
def deliver() -> None:
    """Send due e-mail, batch by batch; its time limit is shorter than a lease."""
    while commands.deliver(now=timezone.now()):
        pass
