"""Events, and values of events, as people tell them."""

from __future__ import annotations

from typing import Any

from django import template

from releasemgmt.portal import story
from releasemgmt.workflow.models import Event

register = template.Library()


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
