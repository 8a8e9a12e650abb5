"""The tick of the plumbing."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from releasemgmt.web import idempotency


@shared_task
def forget_idempotency_keys() -> None:
    """Delete answers that are kept for longer than a day."""
    idempotency.forget(now=timezone.now())
