"""The ticks of the plumbing."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from releasemgmt.web import idempotency
from releasemgmt.workflow import checkpoints


@shared_task
def forget_idempotency_keys() -> None:
    """Delete answers that are kept for longer than a day."""
    idempotency.forget(now=timezone.now())


@shared_task
def write_checkpoint() -> None:
    """Append to the checkpoints once an hour, where key and file are configured."""
    if settings.CHECKPOINT_KEY and settings.CHECKPOINT_FILE:
        every = settings.CHECKPOINT_EVERY
        checkpoints.append(settings.CHECKPOINT_FILE, key=settings.CHECKPOINT_KEY, now=timezone.now(), after=every)
