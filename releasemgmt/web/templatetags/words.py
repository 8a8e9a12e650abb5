"""Template filters: names as words, Markdown, digests."""

from __future__ import annotations

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

register = template.Library()
markdown_parser = MarkdownIt("commonmark", {"html": False}).enable("table")


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
