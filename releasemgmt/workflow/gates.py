"""Gates: conditions on a transition, supplied by whichever app knows the fact and named in settings.WORKFLOW_GATES."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.utils.module_loading import import_string

from releasemgmt.workflow.models import StatefulModel

log = structlog.get_logger()


@dataclass(frozen=True)
class Blocker:
    """Why a gate is closed: a stable code, a reason to act on, and the roles that can clear it.

    Where time clears it, `next_open` is when.
    """

    code: str
    reason: str
    who_can_clear: tuple[str, ...] = ()
    next_open: datetime | None = None

    def as_json(self) -> dict[str, object]:
        said = {name: value for name, value in asdict(self).items() if name != "next_open" or value}
        return {**said, "who_can_clear": list(self.who_can_clear)}


Gate = Callable[..., Sequence[Blocker]]


def key(model: type[StatefulModel], transition: str) -> str:
    """The name under which settings list a transition's gates: `app_label.Model.transition`."""
    return f"{model._meta.app_label}.{model._meta.object_name}.{transition}"


def blockers(obj: StatefulModel, transition: str, *, now: datetime) -> list[Blocker]:
    """What keeps the transition from happening at `now`; empty means open. A gate that fails is closed."""
    return [blocker for _path, found in answers(obj, transition, now=now) for blocker in found]


def answers(
    obj: StatefulModel, transition: str, *, now: datetime, only: Collection[str] | None = None
) -> list[tuple[str, Sequence[Blocker]]]:
    """Each gate of the transition, by its path in settings, or those of `only`, with what it answers at `now`."""
    paths = settings.WORKFLOW_GATES.get(key(type(obj), transition), ())
    return [(path, _ask(path, obj, now)) for path in paths if only is None or path in only]


def _ask(path: str, obj: StatefulModel, now: datetime) -> Sequence[Blocker]:
    try:
        gate: Any = import_string(path)
        answer: Sequence[Blocker] = gate(obj, now=now)
    except Exception:
        log.exception("gate_failed", gate=path, record=obj.number)
        name = path.rpartition(".")[2]
        return [Blocker("gate_failed", f"The check “{name}” failed, so it stays closed. Tell an administrator.")]
    return answer
