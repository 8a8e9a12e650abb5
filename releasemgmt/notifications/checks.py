"""System checks: a typo in who hears of what stops start-up, it never silences anybody."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.template.loader import get_template
from django.utils.module_loading import import_string

from releasemgmt.notifications.fanout import template_of


@register
def every_audience_is_known(app_configs: Any, **_kwargs: Any) -> list[CheckMessage]:
    """NOTIFICATION_AUDIENCES names callables that import, each for a kind of event that has its wording."""
    found: list[CheckMessage] = []
    for kind, path in settings.NOTIFICATION_AUDIENCES.items():
        try:
            import_string(path)
        except ImportError:
            found.append(
                Error(f"NOTIFICATION_AUDIENCES names {path}, which can't be imported.", id="notifications.E001")
            )
        try:
            get_template(template_of(kind))
        except (TemplateDoesNotExist, TemplateSyntaxError) as error:
            told = f"The template {template_of(kind)} is missing or wrong: {error}."
            found.append(Error(told, id="notifications.E002"))
    return found
