"""The demo's people for the sign-in page."""

from __future__ import annotations

from typing import Any

from django import template

from releasemgmt.portal.views import offers_demo

register = template.Library()


@register.simple_tag(takes_context=True)
def demo_people(context: Any) -> Any:
    """Those who are offered as buttons: nobody, unless this is a demo database asked from this machine."""
    return offers_demo(context["request"])
