"""A backup of the whole database in one file that either engine can restore.

The file is gzip over lines of JSON: a header (format, when, which migrations), lines with a table's name, columns and
some of its rows, and a last one that says how many rows there were, so that a truncated file is known. Values are what
the models' fields make of them, so what SQLite wrote PostgreSQL reads. Instants keep their microseconds, which event
hashes cover.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import IO, Any

from django.apps import apps
from django.core.management.color import no_style
from django.db import connection, models
from django.db.backends.utils import CursorWrapper
from django.db.migrations.recorder import MigrationRecorder

from deployments.commands import stop_line
from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.workflow import queries, triggers
from releasemgmt.workflow.commands import command, lock, record
from releasemgmt.workflow.models import Event

FORMAT = 1
#: What an installation makes anew: sign-ins are not carried over, the rest follows from the migrations.
LEFT_OUT = {"admin", "auth", "contenttypes", "sessions"}
#: Rows that are read and written together.
AT_ONCE = 500
NOT_WHOLE = "The file is not a backup, or is not whole."


class Unusable(Exception):
    """The file, or the database, is not one that can be restored; nothing has been changed."""


@dataclass(frozen=True)
class Summary:
    """What a backup holds: when it was made (ISO 8601), how many rows, how many of them events."""

    made_at: str
    rows: int
    events: int


def backed_up() -> list[type[models.Model]]:
    """Every table that is the installation's own."""
    every = apps.get_models(include_auto_created=True)
    return [model for model in every if model._meta.managed and model._meta.app_label not in LEFT_OUT]


def write(path: Path, *, now: datetime) -> Summary:
    """Write every row as of one instant, readable by its owner alone.

    A file that is there already is never overwritten (FileExistsError); a backup that breaks off leaves none behind.
    """
    if path.exists():
        raise FileExistsError(f"{path} is there already; a backup never overwrites one.")
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
            with gzip.open(raw, "wt", encoding="utf-8", compresslevel=6) as file, queries.one_state():
                summary = _write(file, now)
            raw.flush()
            os.fsync(raw.fileno())
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return summary


def restore(path: Path, *, now: datetime) -> Summary:
    """Fill a migrated database in which nothing has happened yet: with all of the file or, as it was, with nothing.

    An event on the system's stream says what was restored. The line is stopped for every product, so that nothing runs
    twice.
    """
    if not _migrations():
        raise Unusable("This database has no tables yet: run migrate, then restore again.")
    if Event.objects.exists():
        raise Unusable("This database is in use. Create a new one, run migrate there, and restore into that.")
    _check_whole(path)
    with gzip.open(path, "rt", encoding="utf-8") as file, command():
        lines = _lines(file)
        header = next(lines)
        _check(header)
        triggers.remove(connection)
        rows = _fill(lines)
        connection.check_constraints()
        triggers.install(connection)
        summary = Summary(header["made_at"], rows, Event.objects.count())
        keeper = lock(system())
        record(keeper, "portal.backup.restore", actor=keeper, data=asdict(summary))
        _stop_the_line(header["made_at"], actor=keeper, now=now)
    return summary


def _stop_the_line(made_at: str, *, actor: User, now: datetime) -> None:
    """Let nothing start that may have run since the backup was made, until people of each product have looked."""
    reason = f"Restored from a backup of {made_at}: see what ran since, report it, then agree to go on."
    for product in Product.objects.order_by("pk"):
        stop_line(product=product, environment=None, reason=reason, actor=actor, now=now)


def _write(file: IO[str], now: datetime) -> Summary:
    _put(file, {"format": FORMAT, "made_at": now, "migrations": _migrations()})
    counts = Counter[str]()
    for model in backed_up():
        columns = [field.attname for field in model._meta.local_concrete_fields]
        rows = model._base_manager.order_by("pk").values_list(*columns).iterator(chunk_size=AT_ONCE)
        while batch := list(islice(rows, AT_ONCE)):
            _put(file, {"table": model._meta.db_table, "columns": columns, "rows": batch})
            counts[model._meta.label] += len(batch)
    _put(file, {"complete": counts.total()})
    return Summary(now.isoformat(), counts.total(), counts[Event._meta.label])


def _put(file: IO[str], line: object) -> None:
    file.write(json.dumps(line, default=_plain, ensure_ascii=False, separators=(",", ":")) + "\n")


def _plain(value: object) -> str:
    """An instant, day or time with all that it has; DjangoJSONEncoder would cut microseconds off."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in a backup yet")


def _migrations() -> list[str]:
    applied = MigrationRecorder(connection).applied_migrations()
    return sorted(f"{app}.{name}" for app, name in applied)


def _lines(file: IO[str]) -> Iterator[Any]:
    """The lines of a backup; one that was cut or changed is Unusable."""
    try:
        for line in file:
            yield json.loads(line)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise Unusable(NOT_WHOLE) from error


def _check_whole(path: Path) -> None:
    """Read to the checksum at the file's end, so that no row of a damaged file is ever looked at."""
    try:
        with gzip.open(path) as file:
            while file.read(1 << 20):
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Unusable(NOT_WHOLE) from error


def _check(header: Any) -> None:
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise Unusable(f"The file is not a backup of format {FORMAT}.")
    unlike = sorted(set(header["migrations"]) ^ set(_migrations()))
    if unlike:
        raise Unusable(f"Another version made it ({', '.join(unlike[:3])} …): restore with that one, then upgrade.")


def _fill(lines: Iterator[Any]) -> int:
    """Put the rows of the file in place of what the migrations made; returns how many."""
    tables = {model._meta.db_table: model for model in backed_up()}
    filled = 0
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")  # noqa: S608 - a model's own name
        for line in lines:
            if "complete" in line:
                if line["complete"] != filled:
                    break
                for statement in connection.ops.sequence_reset_sql(no_style(), list(tables.values())):
                    cursor.execute(statement)
                return filled
            filled += _insert(cursor, tables[line["table"]], line["columns"], line["rows"])
    raise Unusable(NOT_WHOLE)


def _insert(cursor: CursorWrapper, model: type[models.Model], columns: Sequence[str], rows: Sequence[Any]) -> int:
    own = {field.attname: field for field in model._meta.local_concrete_fields}
    fields = [own[column] for column in columns]
    quote = connection.ops.quote_name
    into = f"{quote(model._meta.db_table)} ({', '.join(quote(str(field.column)) for field in fields)})"
    values = ", ".join(["%s"] * len(fields))
    saved = (
        [field.get_db_prep_save(field.to_python(value), connection) for field, value in zip(fields, row, strict=True)]
        for row in rows
    )
    cursor.executemany(f"INSERT INTO {into} VALUES ({values})", list(saved))  # noqa: S608 - a model's own names
    return len(rows)
