"""The typed doorway to django-fsm: the only module that imports it, and the catalogue of every transition."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import django_fsm

from releasemgmt.workflow.models import Aggregate, StatefulModel

if TYPE_CHECKING:
    from releasemgmt.accounts.models import User

Method = TypeVar("Method", bound=Callable[..., None])


class Allow(Protocol):
    """Says who may: a predicate over the actor and the record, with a sentence for the documentation."""

    description: str

    def __call__(self, actor: User, obj: Aggregate, /) -> bool: ...


class _EngineOnly:
    """Only the system user: transitions that follow from something else and are never anybody's button."""

    description = "the system"

    def __call__(self, actor: User, obj: Aggregate, /) -> bool:
        return actor.kind == "system"


engine_only = _EngineOnly()


@dataclass(frozen=True)
class Computed:
    """A target that the record decides: `function(obj)` names one of `targets`."""

    function: Callable[[Any], str]
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Transition:
    """One arrow of a state machine, as admin, API, docs and tests read it.

    `required` and `optional` are the names of its text fields; `final` ones ask for confirmation, there is no way back.
    """

    name: str
    source: str
    targets: tuple[str, ...]
    label: str
    allow: Allow
    required: tuple[str, ...]
    optional: tuple[str, ...]
    final: bool
    doc: str
    computed: Callable[[Any], str] | None = None

    def target_of(self, obj: StatefulModel) -> str:
        """Where it leads this record."""
        return self.computed(obj) if self.computed else self.targets[0]

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of what can be said with it."""
        return (*self.required, *self.optional)

    @property
    def who(self) -> str:
        """Who may, as the end of a sentence."""
        return self.allow.description


def state_field(*, default: str, choices: Sequence[tuple[str, Any]]) -> Any:
    """A protected state column; assigning to it raises, transitions move it."""
    return django_fsm.FSMField(
        max_length=40, default=default, choices=choices, protected=True, editable=False, db_index=False
    )


def transition(
    *,
    source: str | Sequence[str],
    target: str | Computed,
    allow: Allow,
    label: str,
    required: tuple[str, ...] = (),
    optional: tuple[str, ...] = (),
    final: bool = False,
) -> Callable[[Method], Method]:
    """Declare a method as a transition of the model's `state`; its arguments are the transition's fields."""
    custom = {"allow": allow, "label": label, "required": required, "optional": optional, "final": final}
    custom["targets"] = target.targets if isinstance(target, Computed) else (target,)
    custom["computed"] = target.function if isinstance(target, Computed) else None
    to: Any = target
    if isinstance(target, Computed):
        function = target.function
        to = django_fsm.GET_STATE(lambda obj, *_args, **_fields: function(obj), states=list(target.targets))
    sources = [source] if isinstance(source, str) else list(source)
    decorator: Callable[[Method], Method] = django_fsm.transition(
        field="state", source=sources, target=to, custom=custom
    )
    return decorator


@functools.cache
def catalogue(model: type[StatefulModel]) -> tuple[Transition, ...]:
    """Every transition of a model, one for each source state, in the order of their declaration."""
    field: Any = state_column(model)
    return tuple(
        Transition(
            name=arrow.name,
            source=str(arrow.source),
            targets=tuple(str(target) for target in arrow.custom["targets"]),
            label=arrow.custom["label"],
            allow=arrow.custom["allow"],
            required=arrow.custom["required"],
            optional=arrow.custom["optional"],
            final=arrow.custom["final"],
            doc=(arrow.method.__doc__ or "").strip(),
            computed=arrow.custom["computed"],
        )
        for arrow in field.get_all_transitions(model)
    )


@functools.cache
def _by_state(model: type[StatefulModel]) -> dict[tuple[str, str], Transition]:
    return {(arrow.source, arrow.name): arrow for arrow in catalogue(model)}


def leaving(obj: StatefulModel) -> list[Transition]:
    """The transitions that leave the record's present state."""
    return [arrow for arrow in catalogue(type(obj)) if arrow.source == state_of(obj)]


def find(obj: StatefulModel, name: str) -> Transition | None:
    """The transition of that name from the present state, if there is one."""
    return _by_state(type(obj)).get((state_of(obj), name))


def knows(model: type[StatefulModel], name: str) -> bool:
    """Whether the model has a transition of that name at all."""
    return any(arrow.name == name for arrow in catalogue(model))


def fields_of(obj: StatefulModel, name: str) -> set[str]:
    """What can be said with the transition of that name, from whatever state; nothing with one that is unknown."""
    return {field for arrow in catalogue(type(obj)) if arrow.name == name for field in arrow.fields}


def state_column(model: type[StatefulModel]) -> Any:
    """The field that holds the state; each model declares its own."""
    return model._meta.get_field("state")  # type: ignore[misc]


def state_of(obj: StatefulModel) -> str:
    """The record's state as a plain string."""
    state: str = obj.state  # type: ignore[attr-defined]  # each model declares its own states
    return str(state)
