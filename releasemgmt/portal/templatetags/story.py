"""Events, and values of events, as people tell them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils.timesince import timesince

from releasemgmt.portal import story
from releasemgmt.workflow.models import Event

register = template.Library()

#: How a state, a decision, a severity or a risk looks; all else is neutral.
TONES = {
    "is-good": {
        "accepted", "deployed", "approved", "approve", "succeeded", "done", "scheduled", "verified", "fixed",
        "authorized",
    },
    "is-bad": {"rejected", "reject", "failed", "missed", "rolled_back", "blocker", "critical", "high"},
    "is-warn": {"medium", "major", "on_hold", "expired", "workaround_available"},
    "is-info": {"open", "in_progress", "running", "authorization", "implementation", "integration_tested", "ready"},
}  # fmt: skip


@register.filter
def told(event: Event) -> str:
    """What happened, as the rest of a sentence that begins with the actor's name."""
    return story.sentence(event)


@register.filter
def facts(event: Event) -> list[tuple[str, str]]:
    """What the sentence leaves out."""
    return story.facts(event)


@register.filter
def short(value: Any) -> str:
    """A value of an event or of signed content in few words."""
    return story.plain(value)


@register.filter
def tone(value: Any) -> str:
    """The class of a pill that shows this value."""
    return next((name for name, values in TONES.items() if str(value) in values), "")


@register.filter
def ago(at: datetime, now: datetime) -> str:
    """How long ago, in one unit."""
    return "just now" if now - at < timedelta(minutes=1) else f"{timesince(at, now, depth=1)} ago"
