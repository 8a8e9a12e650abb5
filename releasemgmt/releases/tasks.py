"""The tick of releases: what their models let go fires by itself."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from releasemgmt.releases import commands


@shared_task
def advance() -> None:
    """Fire what release models let go by themselves, where the gates are open."""
    commands.advance(timezone.now())
