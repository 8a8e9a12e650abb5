"""The tick of approvals: rounds whose subject has moved on are withdrawn."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from approvals import commands


@shared_task
def withdraw_rounds() -> None:
    """Withdraw the open rounds that take no votes any more."""
    commands.withdraw_rounds(timezone.now())
