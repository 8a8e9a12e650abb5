"""Template filters: names as words, Markdown, digests."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince, timeuntil
from markdown_it import MarkdownIt

register = template.Library()
markdown_parser = MarkdownIt("commonmark", {"html": False}).enable("table")

#: How a state, a decision, a severity or a risk looks; all else is neutral.
TONES = {
    "is-good": {
        "accepted", "deployed", "approved", "approve", "succeeded", "done", "scheduled", "verified", "fixed",
        "authorized", "in_force", "restored",
    },
    "is-bad": {
        "rejected", "reject", "failed", "missed", "rolled_back", "blocker", "critical", "high", "down", "refuted",
        "given_up",
    },
    "is-warn": {
        "medium", "major", "on_hold", "expired", "workaround_available", "deny", "backing_out", "degraded", "missing",
        "outdated",
    },
    "is-info": {
        "open", "in_progress", "running", "authorization", "implementation", "integration_tested", "ready",
        "proposed", "requested", "allow",
    },
}  # fmt: skip


@register.filter
def words(name: str) -> str:
    """`integration_tested` as people read it."""
    return str(name).replace("_", " ")


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as HTML; HTML in it is shown, not run."""
    return mark_safe(str(markdown_parser.render(text)))  # noqa: S308 - the parser escapes HTML


@register.filter
def digest(value: str) -> SafeString:
    """A digest cut to what people compare, with the whole of it on hover."""
    return mark_safe(f'<code title="{escape(value)}">{escape(value[:19])}…</code>') if value else mark_safe("–")  # noqa: S308


@register.filter
def tone(value: Any) -> str:
    """The class of a pill that shows this value."""
    return next((name for name, values in TONES.items() if str(value) in values), "")


@register.filter
def ago(at: datetime, now: datetime) -> str:
    """How long ago, in one unit."""
    return "just now" if now - at < timedelta(minutes=1) else f"{timesince(at, now, depth=1)} ago"


@register.filter
def left(at: datetime, now: datetime) -> str:
    """How long is left until then, or by how much it is overdue, in one unit."""
    return f"{timeuntil(at, now, depth=1)} left" if at > now else f"overdue by {timesince(at, now, depth=1)}"
