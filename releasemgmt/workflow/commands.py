"""The one path for every change: lock, check, write the row and its event in one transaction, or refuse."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.utils import timezone

from releasemgmt.workflow import fsm, gates
from releasemgmt.workflow.errors import Blocked, Invalid, NotPermitted, Refused, WrongState
from releasemgmt.workflow.models import Aggregate, Event, Pending, StatefulModel
from releasemgmt.workflow.prepared import Prepared, prepared

if TYPE_CHECKING:
    from releasemgmt.accounts.models import User

A = TypeVar("A", bound=Aggregate)
S = TypeVar("S", bound=StatefulModel)
T = TypeVar("T")

HASH_PREFIX = b"releasemgmt.event.v1\n"
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
MICROSECOND = timedelta(microseconds=1)

#: The request (or task run) that causes what is recorded; set by the face.
request_id: ContextVar[str] = ContextVar("request_id", default="")


@dataclass
class _Context:
    """What one outermost command, or one read, has locked and looked up already."""

    is_command: bool = False
    locked: dict[tuple[type[models.Model], Any], Any] = field(default_factory=dict)
    memo: dict[object, Any] = field(default_factory=dict)


_context: ContextVar[_Context | None] = ContextVar("workflow_context", default=None)


@contextmanager
def command() -> Iterator[None]:
    """One transaction; a command inside another joins it. What it locked is read once and reused until it ends.

    An inner command has no savepoint: whoever catches its refusal and goes on opens one, by `transaction.atomic()`.
    """
    outer = _context.get()
    inside = outer is not None and outer.is_command
    context = outer if outer is not None and inside else _Context(is_command=True)
    token = _context.set(context)
    try:
        with transaction.atomic(savepoint=not inside):
            yield
    except BaseException:
        context.locked.clear()
        context.memo.clear()
        raise
    finally:
        _context.reset(token)
        if outer is not None and not inside:
            outer.memo.clear()  # what was read before it may have changed


@contextmanager
def reading() -> Iterator[None]:
    """A read that looks up the actor's roles and the like once; it locks nothing."""
    if _context.get() is not None:
        yield
        return
    token = _context.set(_Context())
    try:
        yield
    finally:
        _context.reset(token)


def once(key: object, compute: Callable[[], T]) -> T:
    """`compute()`, remembered until the running command or read ends; outside of both it is not remembered."""
    context = _context.get()
    if context is None:
        return compute()
    if key not in context.memo:
        context.memo[key] = compute()
    return cast(T, context.memo[key])


def while_reading(key: object, compute: Callable[[], T]) -> T:
    """The same for what several parts of a page ask; in a command each asks anew, for it may change the answer."""
    context = _context.get()
    return compute() if context is None or context.is_command else once(key, compute)


def lock(obj: A) -> A:
    """The row, locked and read afresh; one that this command has locked already is handed back as it is."""
    model: Any = obj._meta.model  # a request's user is a lazy object of another type
    locked = lock_by_key(model, obj.pk)
    if locked is None:
        raise model.DoesNotExist
    return cast(A, locked)


def lock_by_key(model: type[A], key: Any) -> A | None:
    """The same for the row of that key, if there is one."""
    context = _context.get()
    if context is None or not transaction.get_connection().in_atomic_block:
        raise RuntimeError("lock() outside of a command")
    if (model, key) not in context.locked:
        context.locked[model, key] = _row_of(model)(key).first()
    return cast(A | None, context.locked[model, key])


@cache
def _row_of(model: Any) -> Callable[[Any], Prepared[Any]]:
    return prepared(lambda key: for_update(model._base_manager.select_related(*model.locked_with)).filter(pk=key))


def hold(obj: Aggregate) -> None:
    """Note that this command has the row to itself: it inserted it, or read it by `for_update`."""
    if (context := _context.get()) is not None:
        context.locked[obj._meta.model, obj.pk] = obj


def for_update(rows: models.QuerySet[A]) -> models.QuerySet[A]:
    """The rows of the query's own table locked as they are read; what is joined to them is not."""
    return rows.select_for_update(of=("self",), no_key=True)


def permit(actor: User, obj: Aggregate, allow: fsm.Allow, *, to: str) -> None:
    """Refuse unless `allow` says yes; `to` ends the sentence “You may not …”."""
    if not allow(actor, obj):
        raise NotPermitted(f"You may not {to}: it is for {allow.description}.")


def fire(
    obj: S,
    transition: str,
    *,
    actor: User,
    now: datetime,
    on_behalf_of: User | None = None,
    data: Mapping[str, Any] | None = None,
    **fields: str,
) -> S:
    """Move a record by one transition and append its event; answers the locked record.

    A record that is in the target by this very transition is answered unchanged. Raises WrongState, NotPermitted,
    Invalid or Blocked, in this order, and then nothing is written. `fields` are the transition's own; `data` are
    further facts for the event.
    """
    with command():
        obj = lock(obj)
        arrow = fsm.find(obj, transition)
        if arrow is None:
            if obj.entered_by == transition and fsm.knows(type(obj), transition):
                return obj
            raise _wrong_state(obj, transition)
        permit(actor, obj, arrow.allow, to=f"{arrow.label.lower()} {obj.number}")
        _check_fields(arrow, fields)
        if found := gates.blockers(obj, transition, now=now):
            reasons = " ".join(blocker.reason for blocker in found)
            raise Blocked(f"{obj.number}: {arrow.label} is blocked. {reasons}", blockers=found)
        before = _values(obj)
        source = fsm.state_of(obj)
        getattr(obj, transition)(**fields)
        obj.entered_by = transition
        record(
            obj,
            f"{obj._meta.app_label}.{obj._meta.model_name}.{transition}",
            actor=actor,
            on_behalf_of=on_behalf_of,
            data={**fields, **(data or {})},
            states=(source, fsm.state_of(obj)),
            save=[name for name, value in _values(obj).items() if before[name] != value],
        )
        return obj


def create(obj: A, *, actor: User, data: Mapping[str, Any] | None = None, on_behalf_of: User | None = None) -> A:
    """Insert a new aggregate and the first event of its stream."""
    with command():
        obj.save(force_insert=True)
        hold(obj)
        kind = f"{obj._meta.app_label}.{obj._meta.model_name}.create"
        state = (("", fsm.state_of(obj)),) if isinstance(obj, StatefulModel) else ()
        record(obj, kind, actor=actor, data=data, on_behalf_of=on_behalf_of, states=state[0] if state else ("", ""))
        return obj


def edit(obj: A, *, actor: User, changes: Mapping[str, Any], kind: str = "edit") -> A:
    """Set plain fields of a record and append the difference; setting what is there already writes nothing."""
    with command():
        obj = lock(obj)
        before = {name: _value(obj, name) for name in changes}
        for name, value in changes.items():
            setattr(obj, name, value)
        after = {name: _value(obj, name) for name in changes}
        diff = {name: [before[name], after[name]] for name in changes if before[name] != after[name]}
        if diff:
            record(
                obj,
                f"{obj._meta.app_label}.{obj._meta.model_name}.{kind}",
                actor=actor,
                data={"changes": diff},
                save=list(diff),
            )
        return obj


def record(
    obj: Aggregate,
    kind: str,
    *,
    actor: User,
    on_behalf_of: User | None = None,
    data: Mapping[str, Any] | None = None,
    states: tuple[str, str] = ("", ""),
    save: Iterable[str] = (),
    revise: bool = False,
) -> Event:
    """Append an event to a locked record's stream, in the caller's command.

    `save` names the record's fields that changed; they are written in the same statement as the stream's head, and
    they, or `revise`, raise the revision. Comments, votes and notices leave it as it is.
    """
    changed = list(save)
    at = timezone.now()
    event = Event(
        stream=obj.stream,
        seq=obj.event_seq + 1,
        at=at,
        actor=actor,
        on_behalf_of=on_behalf_of,
        team_id=obj.owning_team_id,
        kind=kind,
        source=states[0],
        target=states[1],
        data=plain(data or {}),
        request_id=request_id.get(),
        prev_hash=obj.event_hash,
    )
    event.hash = event_hash(event)
    obj.event_seq, obj.event_hash = event.seq, event.hash
    head = ["event_seq", "event_hash"]
    if changed or revise:
        obj.revision += 1
        head += ["revision", "updated_at"]
    obj.save(update_fields=[*changed, *head])
    event.save(force_insert=True)
    Pending.objects.create(event=event)
    return event


def validate(obj: models.Model, fields: Collection[str] | None = None) -> None:
    """Refuse values that the fields' own validators refuse, naming the field; `fields` are by default all."""
    others = () if fields is None else {field.name for field in obj._meta.fields} - set(fields)
    try:
        obj.clean_fields(exclude=others)
    except ValidationError as error:
        raise Invalid({name: " ".join(messages) for name, messages in error.message_dict.items()}) from error


def comment(obj: A, *, body: str, actor: User, data: Mapping[str, Any] | None = None) -> Event:
    """Say something on a record: an event of kind `comment` on its stream; the record itself stays as it is."""
    if not body.strip():
        raise Invalid({"body": "Write something."})
    with command():
        obj = lock(obj)
        if not actor.may_comment_on(obj):
            raise NotPermitted("Auditors read everything and change nothing, so they can't comment.")
        return record(obj, "comment", actor=actor, data={"body": body, **(data or {})})


def refuse(actor: User, refused: Refused, *, subject: str) -> None:
    """Put an audited refusal on the caller's own stream; called by faces once the command has rolled back."""
    if not refused.audited:
        return
    with command():
        record(
            lock(actor),
            "workflow.refused",
            actor=actor,
            data={"code": refused.code, "detail": refused.detail, "subject": subject},
        )


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping as JSON gives it back, so that what is hashed is what is stored."""
    return cast(dict[str, Any], json.loads(json.dumps(data, cls=DjangoJSONEncoder)))


def event_hash(event: Event) -> str:
    """SHA-256, as 64 hex digits, over everything that an event says and the hash of the one before it."""
    return sha256(HASH_PREFIX + canonical(event_body(event))).hexdigest()


def event_body(event: Event) -> dict[str, Any]:
    """What is hashed of an event; its instant in microseconds."""
    return {
        "stream": event.stream,
        "seq": event.seq,
        "prev": event.prev_hash,
        "at": (event.at - EPOCH) // MICROSECOND,
        "actor": event.actor_id,
        "on_behalf_of": event.on_behalf_of_id,
        "team": event.team_id,
        "kind": event.kind,
        "source": event.source,
        "target": event.target,
        "data": event.data,
        "request_id": event.request_id,
    }


def canonical(body: object) -> bytes:
    """JSON in one spelling: sorted keys, no spaces, UTF-8."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _check_fields(arrow: fsm.Transition, fields: Mapping[str, str]) -> None:
    errors = {name: f"Say the {name}." for name in arrow.required if not str(fields.get(name, "")).strip()}
    errors |= {name: f"“{arrow.label}” has no field {name}." for name in fields if name not in arrow.fields}
    if errors:
        raise Invalid(errors)


def _wrong_state(obj: StatefulModel, transition: str) -> WrongState:
    allowed = [arrow.name for arrow in fsm.leaving(obj)]
    hint = f"From here: {', '.join(allowed)}." if allowed else "Nothing leaves this state."
    state = fsm.state_of(obj).replace("_", " ")
    return WrongState(f"{obj.number} is {state}; {transition} does not leave it. {hint}", allowed=allowed)


def _value(obj: Aggregate, name: str) -> Any:
    """A field's value as its column holds it: ISO text for instants, the key for a relation."""
    return plain({"value": getattr(obj, obj._meta.get_field(name).attname)})["value"]  # type: ignore[union-attr]


def _values(obj: Aggregate) -> dict[str, Any]:
    return {f.name: obj.__dict__.get(f.attname) for f in obj._meta.concrete_fields if f.name != "updated_at"}
