"""Somebody with the database's password: raw SQL, with the triggers taken off and put on again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from releasemgmt.workflow import triggers
from releasemgmt.workflow.commands import event_hash
from releasemgmt.workflow.models import Aggregate, Event


@contextmanager
def untriggered() -> Iterator[Any]:
    """A cursor that nothing stops."""
    triggers.remove(connection)
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        triggers.install(connection)


def tamper(sql: str, *values: Any) -> None:
    """One statement past the service."""
    with untriggered() as cursor:
        cursor.execute(sql, values)


def delete(stream: str, *seqs: int) -> None:
    """Events that are gone, with what points to them."""
    with untriggered() as cursor:
        for event in Event.objects.filter(stream=stream, seq__in=seqs):
            cursor.execute("DELETE FROM workflow_pending WHERE event_id = %s", [event.pk])
            cursor.execute("DELETE FROM workflow_published WHERE event_id = %s", [event.pk])
            cursor.execute("DELETE FROM workflow_event WHERE id = %s", [event.pk])


def renumber(stream: str, seq: int, to: int) -> None:
    tamper("UPDATE workflow_event SET seq = %s WHERE stream = %s AND seq = %s", to, stream, seq)


def swap(stream: str, one: int, other: int) -> None:
    renumber(stream, one, 10_000)
    renumber(stream, other, one)
    renumber(stream, 10_000, other)


def insert_after(event: Event) -> None:
    """A forged event in the first place that is free, with a hash that fits."""
    forged = Event.objects.get(pk=event.pk)
    forged.pk, forged.seq, forged.prev_hash, forged.kind = None, event.seq + 1, event.hash, "comment"
    forged.hash = event_hash(forged)
    forged.save(force_insert=True)


def rewrite(record: Aggregate, *, kind: str = "comment") -> None:
    """The record's whole chain made anew with another content, its head too: no chain shows it."""
    before = ""
    with untriggered() as cursor:
        for event in Event.objects.filter(stream=record.stream).order_by("seq"):
            event.kind, event.prev_hash = kind, before
            before = event_hash(event)
            row = [event.kind, event.prev_hash, before, event.pk]
            cursor.execute("UPDATE workflow_event SET kind = %s, prev_hash = %s, hash = %s WHERE id = %s", row)
    set_head(record)


def set_head(record: Aggregate) -> None:
    """Let the record say what its stream says."""
    last = Event.objects.filter(stream=record.stream).order_by("-seq").first()
    head = (last.seq, last.hash) if last else (0, "")
    table = record._meta.db_table
    tamper(f"UPDATE {table} SET event_seq = %s, event_hash = %s WHERE id = %s", *head, record.pk)
