"""The ticks of deployments: plans start and end, tasks are called for, artifacts looked up, windows laid out ahead."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from deployments import commands


@shared_task
def start_due_plans() -> None:
    """Start the plans whose time has come; those that are too late are missed."""
    commands.start_due_plans(timezone.now())


@shared_task
def finish_plans() -> None:
    """End the plans whose last task is done."""
    commands.finish_plans(timezone.now())


@shared_task(soft_time_limit=40, time_limit=50)
def call_webhooks() -> None:
    """Call who does webhook tasks, batch by batch; its time limit is shorter than a lease."""
    while commands.call_webhooks(now=timezone.now()):
        pass


@shared_task(soft_time_limit=40, time_limit=50)
def look_up_artifacts() -> None:
    """Look artifacts up where they are kept, one batch a tick; its time limit is shorter than a lease."""
    commands.look_up_artifacts(now=timezone.now())


@shared_task
def lay_out_windows() -> None:
    """Lay out more times of the windows that go on."""
    commands.lay_out_windows(timezone.now())
