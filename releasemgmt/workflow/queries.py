"""Reading what the kernel wrote: what a record can do next, its timeline, and whether the audit trail is whole."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from django.apps import apps
from django.db import connection
from django.db.models import Exists, Model, OuterRef, QuerySet, TextField, Value
from django.db.models.functions import Cast, Collate, Concat

from releasemgmt.workflow import fsm, gates
from releasemgmt.workflow.commands import event_hash, reading
from releasemgmt.workflow.models import Aggregate, Event, Pending, Published, StatefulModel

if TYPE_CHECKING:
    from releasemgmt.accounts.models import User

Only = TypeVar("Only", bound=Model)


@dataclass(frozen=True)
class Option:
    """A transition that leaves the present state: it will succeed iff `allowed` and there are no `blockers`."""

    transition: fsm.Transition
    target: str
    allowed: bool
    blockers: list[gates.Blocker]


def options(obj: StatefulModel, *, actor: User, now: datetime) -> list[Option]:
    """Everything that can happen next, with why it can't; the buttons, `transitions/` and the 409 say the same."""
    with reading():
        return [
            Option(arrow, arrow.target_of(obj), arrow.allow(actor, obj), gates.blockers(obj, arrow.name, now=now))
            for arrow in fsm.leaving(obj)
        ]


def the_one(rows: QuerySet[Only]) -> Only | None:
    """The only row that there can be, if it is there; `first` would work out an order, and take twice as long."""
    return next(iter(rows.order_by()), None)


def key_in(number: str, prefix: str) -> int | None:
    """The key in a number PREFIX-<id>; None where it is no such number."""
    given, _, digits = number.partition("-")
    return int(digits) if given == prefix and digits.isascii() and digits.isdigit() and len(digits) < 19 else None


def timeline(obj: Aggregate) -> QuerySet[Event]:
    """The record's events, the newest first."""
    return Event.objects.filter(stream=obj.stream).select_related("actor", "on_behalf_of").order_by("-seq")


def stream_of(model: type[Model]) -> Concat:
    """The name of a row's event stream, as the database puts it together."""
    return Concat(Value(f"{model._meta.model_name}:"), Cast("pk", TextField()), output_field=TextField())


def streams(rows: QuerySet[Any]) -> QuerySet[Any]:
    """The names of these records' event streams."""
    found: QuerySet[Any, Any] = rows.order_by().annotate(its_stream=stream_of(rows.model)).values("its_stream")
    return found


def edited_since(rows: QuerySet[Any], name: str, at: datetime) -> dict[int, Any]:
    """What a plain field said at an instant, by the keys of those records in which it was edited after that."""
    kind = f"{rows.model._meta.app_label}.{rows.model._meta.model_name}.edit"
    edits = Event.objects.filter(kind=kind, at__gt=at, data__changes__has_key=name, stream__in=streams(rows))
    latest_first = edits.order_by("stream", "-seq").values_list("stream", f"data__changes__{name}__0")
    return {int(stream.rpartition(":")[2]): before for stream, before in latest_first}


def aggregates() -> list[type[Aggregate]]:
    """Every model whose rows have an event stream."""
    return [model for model in apps.get_models() if issubclass(model, Aggregate)]


@dataclass(frozen=True)
class Break:
    """A row of a stream that is not as it was written."""

    stream: str
    seq: int
    reason: str


def breaks() -> Iterator[Break]:
    """Recompute every chain and compare its end with its record; yields each row that is not as it was written.

    It goes on after a bad row. Streams and heads come in one order and are merged, so the memory it takes does not
    grow with them. Two statements, on one state of the database.
    """
    with one_state():
        heads = _heads()
        head = next(heads, None)
        for stream, rows in groupby(_rows(), key=itemgetter("stream")):
            while head and head.stream < stream:
                yield from _walk(head.stream, (), head)
                head = next(heads, None)
            own = head if head and head.stream == stream else None
            yield from _walk(stream, rows, own)
            head = next(heads, None) if own else head
        while head:
            yield from _walk(head.stream, (), head)
            head = next(heads, None)


class Head(NamedTuple):
    """What a record says of its stream."""

    stream: str
    seq: int
    hash: str


#: A row of events as plain values: texts where a changed byte could keep a column from being read.
Row = Mapping[str, Any]
ROW = ("stream", "seq", "actor_id", "on_behalf_of_id", "team_id", "kind", "source", "target", "request_id")
AT_ONCE = 2_000
#: How far from its place a renumbered row is looked for.
NEAR = 100


@contextmanager
def one_state() -> Iterator[None]:
    """All reads see one state of the database while the service writes on; inside a transaction, that one's."""
    if connection.in_atomic_block:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ" if connection.vendor == "postgresql" else "BEGIN")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def _by_bytes(text: Any) -> Collate:
    """A text in the order in which Python compares it, whatever the database's language."""
    return Collate(text, "C" if connection.vendor == "postgresql" else "BINARY")


def _rows() -> Iterator[Row]:
    told = Exists(Published.objects.filter(event=OuterRef("pk"))) | Exists(Pending.objects.filter(pk=OuterRef("pk")))
    texts = {"said": Cast("data", TextField()), "said_at": Cast("at", TextField())}
    rows = Event.objects.annotate(**texts, told=told).order_by(_by_bytes("stream"), "seq")
    return iter(rows.values(*ROW, "prev_hash", "hash", *texts, "told").iterator(chunk_size=AT_ONCE))


def _heads() -> Iterator[Head]:
    first, *others = (
        model._base_manager.order_by()
        .annotate(head=_by_bytes(stream_of(model)))
        .values_list("head", "event_seq", "event_hash")
        for model in aggregates()
    )
    rows = first.union(*others, all=True).order_by("head")
    return (Head(*row) for row in rows.iterator(chunk_size=AT_ONCE))


def _walk(stream: str, rows: Iterable[Row], head: Head | None) -> Iterator[Break]:
    """What is wrong with one stream; `links` are the hashes that the next row may follow, None where any may be."""
    last = 0
    links: Collection[str] | None = ("",)
    for row in rows:
        if row["seq"] <= last:
            yield Break(stream, row["seq"], "it was added: a stream counts from 1")
            continue
        if row["seq"] > last + 1:
            yield _missing(stream, last + 1, row["seq"] - 1)
            links = None
        reason, links = _judge(row, links)
        if reason:
            yield Break(stream, row["seq"], reason)
        last = row["seq"]
    yield from _ends(stream, last, links, head)


def _ends(stream: str, last: int, links: Collection[str] | None, head: Head | None) -> Iterator[Break]:
    """What is wrong between the last row of a stream and what its record says."""
    if head is None:
        yield Break(stream, last, "the record of this stream is gone")
    elif head.seq > last:
        yield _missing(stream, last + 1, head.seq)
    elif head.seq < last:
        yield Break(stream, head.seq + 1, f"it was added: the record says that its last event is {head.seq}")
    elif links is not None and head.hash not in links:
        yield Break(stream, last, "the record says that its last event has another hash")


def _missing(stream: str, first: int, last: int) -> Break:
    what = f"event {first} is missing" if first == last else f"events {first} to {last} are missing"
    return Break(stream, first, what)


def _judge(row: Row, links: Collection[str] | None) -> tuple[str, Collection[str] | None]:
    """Why the row is not as it was written, empty where it is; and the hashes that the next one may follow."""
    try:
        event = _event(row)
    except (ValueError, TypeError):
        return "its content can't be read", (row["hash"],)
    own = event_hash(event)
    if own == event.hash:
        if links is not None and event.prev_hash not in links:
            return "it does not follow the event before it", (own,)
        return "" if row["told"] else "it came past the service: it is neither published nor waits to be", (own,)
    if was := _place_of(event):
        return f"it was written as event {was}", None
    if any(_hash_with(event, prev_hash=link) == event.hash for link in links or ()):
        return "the hash of the event before it was changed in it", (event.hash,)
    return "its content does not match its hash", (event.hash, own)


def _event(row: Row) -> Event:
    at = datetime.fromisoformat(row["said_at"])
    columns = {name: row[name] for name in (*ROW, "prev_hash", "hash")}
    return Event(at=at if at.tzinfo else at.replace(tzinfo=UTC), data=json.loads(row["said"]), **columns)


def _hash_with(event: Event, **columns: Any) -> str:
    forged = copy(event)
    for name, value in columns.items():
        setattr(forged, name, value)
    return event_hash(forged)


def _place_of(event: Event) -> int | None:
    """The number under which the event has its hash: it was renumbered, or swapped with another."""
    near = range(max(1, event.seq - NEAR), event.seq + NEAR)
    return next((seq for seq in near if _hash_with(event, seq=seq) == event.hash), None)
