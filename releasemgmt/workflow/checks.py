"""System checks: a typo in the wiring stops start-up, it never opens a gate."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from releasemgmt.workflow import fsm, gates, queries
from releasemgmt.workflow.models import StatefulModel


def stateful_models() -> list[type[StatefulModel]]:
    """Every model with transitions."""
    return [model for model in apps.get_models() if issubclass(model, StatefulModel)]


@register
def every_gate_is_known(app_configs: Any, **_kwargs: Any) -> list[CheckMessage]:
    """WORKFLOW_GATES names transitions that exist and gates that import."""
    known = {gates.key(model, arrow.name) for model in stateful_models() for arrow in fsm.catalogue(model)}
    found: list[CheckMessage] = []
    for key, paths in settings.WORKFLOW_GATES.items():
        if key not in known:
            found.append(Error(f"WORKFLOW_GATES names {key}, which is no transition.", id="workflow.E001"))
        found.extend(_unimportable(path, "WORKFLOW_GATES", "workflow.E002") for path in paths if not _imports(path))
    return found


@register
def every_aggregate_has_its_own_stream(app_configs: Any, **_kwargs: Any) -> list[CheckMessage]:
    """Streams are named after models, so two aggregates can't share a model name."""
    names = Counter(model._meta.model_name for model in queries.aggregates())
    return [Error(f"Two aggregates are named {name}.", id="workflow.E003") for name, n in names.items() if n > 1]


@register
def every_transition_says_who(app_configs: Any, **_kwargs: Any) -> list[CheckMessage]:
    """Each transition has a label, a description of who may, and a docstring for the reference."""
    return [
        Error(f"{gates.key(model, arrow.name)} lacks a label, a docstring or a description.", id="workflow.E004")
        for model in stateful_models()
        for arrow in fsm.catalogue(model)
        if not (arrow.label and arrow.doc and arrow.allow.description)
    ]


def _imports(path: str) -> bool:
    try:
        import_string(path)
    except ImportError:
        return False
    return True


def _unimportable(path: str, setting: str, code: str) -> CheckMessage:
    return Error(f"{setting} names {path}, which can't be imported.", id=code)
