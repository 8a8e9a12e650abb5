"""Template filters that put events into words."""

from __future__ import annotations

import re
from typing import Any

from django import template
from django.apps import apps
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from releasemgmt.workflow.models import Event

register = template.Library()
markdown_parser = MarkdownIt("commonmark", {"html": False}).enable("table")
SHORT = 200
DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")


@register.filter
def words(name: str) -> str:
    """`integration_tested` as people read it."""
    return str(name).replace("_", " ")


@register.filter
def happened(event: Event) -> str:
    """What an event's kind says, as the rest of a sentence that begins with a name."""
    if event.kind == "comment":
        return "commented"
    app, _, rest = event.kind.partition(".")
    noun, _, verb = rest.rpartition(".")
    return f"{_noun(app, noun)}: {words(verb)}"


@register.filter
def details(event: Event) -> list[tuple[str, str]]:
    """The facts of an event in short: each changed field with its old and new value, then the others."""
    facts = dict(event.data)
    changes = facts.pop("changes", {})
    said = [(words(name), f"{_short(old)} → {_short(new)}") for name, (old, new) in changes.items()]
    return said + [(words(name), _short(value)) for name, value in facts.items() if value not in (None, "", [], {})]


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as HTML; HTML in it is shown, not run."""
    return mark_safe(str(markdown_parser.render(text)))  # noqa: S308 - the parser escapes HTML


@register.filter
def digest(value: str) -> SafeString:
    """A digest cut to what people compare, with the whole of it on hover."""
    return mark_safe(f'<code title="{escape(value)}">{escape(value[:19])}…</code>') if value else mark_safe("–")  # noqa: S308


def _noun(app: str, noun: str) -> str:
    """The record's name in words where the kind begins with one."""
    try:
        return str(apps.get_model(app, noun)._meta.verbose_name)
    except LookupError:
        return words(noun)


@register.filter(name="short")
def _short(value: Any) -> str:
    """A value of an event in few words; digests are cut to what people compare."""
    if isinstance(value, list):
        value = ", ".join(_short(item) for item in value)
    elif isinstance(value, dict):
        value = ", ".join(f"{words(name)} {_short(item)}" for name, item in value.items())
    text = "nothing" if value in (None, "") else DIGEST.sub(r"\1…", str(value))
    return text if len(text) <= SHORT else f"{text[:SHORT]}…"
