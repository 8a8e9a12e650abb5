"""Reading what the kernel wrote: what a record can do next, its timeline, and whether the audit trail is whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING

from django.apps import apps
from django.db.models import QuerySet

from releasemgmt.workflow import fsm, gates
from releasemgmt.workflow.commands import event_hash, reading
from releasemgmt.workflow.models import Aggregate, Event, StatefulModel

if TYPE_CHECKING:
    from releasemgmt.accounts.models import User


@dataclass(frozen=True)
class Option:
    """A transition that leaves the present state: it will succeed iff `allowed` and there are no `blockers`."""

    transition: fsm.Transition
    allowed: bool
    blockers: list[gates.Blocker]

    @property
    def target(self) -> str:
        return self.transition.targets[0]


def options(obj: StatefulModel, *, actor: User, now: datetime) -> list[Option]:
    """Everything that can happen next, with why it can't; the buttons, `transitions/` and the 409 say the same."""
    with reading():
        return [
            Option(arrow, arrow.allow(actor, obj), gates.blockers(obj, arrow.name, now=now))
            for arrow in fsm.leaving(obj)
        ]


def timeline(obj: Aggregate) -> QuerySet[Event]:
    """The record's events, the newest first."""
    return Event.objects.filter(stream=obj.stream).select_related("actor", "on_behalf_of").order_by("-seq")


def aggregates() -> list[type[Aggregate]]:
    """Every model whose rows have an event stream."""
    return [model for model in apps.get_models() if issubclass(model, Aggregate)]


@dataclass(frozen=True)
class Break:
    """The first row of a stream that is not as it was written."""

    stream: str
    seq: int
    reason: str


def breaks() -> Iterator[Break]:
    """Recompute every chain and compare it with its record's head; yields the first bad row of each stream."""
    heads = _heads()
    events = Event.objects.order_by("stream", "seq").iterator(chunk_size=2_000)
    for stream, rows in groupby(events, key=lambda event: event.stream):
        if found := _first_break(stream, rows, head=heads.pop(stream, None)):
            yield found
    for stream, (seq, _hash) in sorted(heads.items()):
        if seq:
            yield Break(stream, 1, f"all {seq} events are gone")


def _heads() -> dict[str, tuple[int, str]]:
    return {
        f"{model._meta.model_name}:{pk}": (seq, digest)
        for model in aggregates()
        for pk, seq, digest in model._base_manager.values_list("pk", "event_seq", "event_hash").iterator()
    }


def _first_break(stream: str, rows: Iterator[Event], *, head: tuple[int, str] | None) -> Break | None:
    seq, previous = 0, ""
    for event in rows:
        if event.seq != seq + 1:
            return Break(stream, seq + 1, f"event {seq + 1} is missing, the next is {event.seq}")
        if event.prev_hash != previous:
            return Break(stream, event.seq, "it does not follow the event before it")
        if event.hash != event_hash(event):
            return Break(stream, event.seq, "its content does not match its hash")
        seq, previous = event.seq, event.hash
    if head is None:
        return Break(stream, seq, "the record of this stream is gone")
    if head != (seq, previous):
        return Break(stream, min(seq, head[0]) + 1, f"the record says that its last event is {head[0]}, not {seq}")
    return None
