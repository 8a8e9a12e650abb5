"""Events, and values of events, as people tell them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.utils.dateparse import parse_datetime

from approvals.models import ApprovalRound
from releasemgmt.portal import ballots, story
from releasemgmt.workflow.models import Event

register = template.Library()


@register.filter
def told(event: Event) -> str:
    """What happened, as the rest of a sentence that begins with the actor's name."""
    return story.sentence(event)


@register.filter
def about(round: ApprovalRound) -> str:
    """What a round is about, beside the number of its record."""
    return ballots.title(round)


@register.filter
def facts(event: Event) -> list[tuple[str, str]]:
    """What the sentence leaves out."""
    return story.facts(event)


@register.filter
def short(value: Any) -> str:
    """A value of an event or of signed content in few words."""
    return story.plain(value)


@register.filter
def instant(text: str | None) -> datetime | None:
    """An instant that a JSON document holds as text."""
    return parse_datetime(text) if text else None
