"""The ticks of approvals: rounds are withdrawn, reminded of and expired; meetings planned, agendas closed."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from approvals import commands


@shared_task
def withdraw_rounds() -> None:
    """Withdraw the open rounds that take no votes any more."""
    commands.withdraw_rounds(timezone.now())


@shared_task
def run_boards() -> None:
    """Plan the meetings of the weeks ahead, and close the agendas whose cut-off has passed."""
    now = timezone.now()
    commands.plan_meetings(now)
    commands.close_agendas(now)


@shared_task
def follow_up() -> None:
    """Remind, escalate and expire what waits for votes."""
    commands.follow_up(timezone.now())


@shared_task
def watch_quorums() -> None:
    """Tell the owners of rounds that nobody can decide any more."""
    commands.watch_quorums(timezone.now())


@shared_task
def watch_retrospectives() -> None:
    """Say which changes were not looked back at in time."""
    commands.watch_retrospectives(timezone.now())
