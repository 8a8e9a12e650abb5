"""Signed checkpoints: where every stream stood, in a file outside the database that only grows.

A line holds the last event of each stream that moved since the line before it, by the positions of the published log:
so a line is as long as the hour was busy, all lines together hold every head, and each stream can be named. A tree of
hashes would be shorter, but its root alone names nobody.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import reduce
from hashlib import sha256
from itertools import islice
from operator import or_
from pathlib import Path
from typing import IO, Any

from django.db.models import Q

from releasemgmt.workflow import signatures
from releasemgmt.workflow.commands import canonical
from releasemgmt.workflow.models import Event, Published
from releasemgmt.workflow.queries import Break

PREFIX = b"releasemgmt.checkpoint.v1\n"
#: Events that one line covers, and rows that one statement compares, at most.
EVENTS_A_LINE = 10_000
ROWS_A_STATEMENT = 250
#: How much of the file's end is read first.
AT_THE_END = 64 * 1024

Line = Mapping[str, Any]


def append(path: Path, *, key: str, now: datetime, after: timedelta = timedelta(0)) -> int:
    """Write lines until all that is published is covered; at least one, which says that nothing moved.

    Answers how many; 0 where the last one is younger than `after`. Any number of processes may try at once.
    """
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        last = _last(file)
        if last and now < datetime.fromisoformat(_read(last)["at"]) + after:
            return 0
        written = 0
        while not written or _is_behind(last):
            last = _next(last, key=key, now=now)
            _write(file, last)
            written += 1
    return written


def faults(lines: Iterable[bytes], *, public_key: str = "") -> Iterator[Break]:
    """What in the file is not as it was written, and every event in the database that a line knew otherwise.

    Signatures are looked at where the public key is given. Read line by line, compared in batches.
    """
    before, last = b"", 0
    for number, text in enumerate(lines, 1):
        if reason := _why_not(text, before=before, public_key=public_key):
            yield Break("checkpoint", number, reason)
        else:
            line = _read(text)
            if line["checkpoint"] != number or line["first"] != last + 1:
                yield Break("checkpoint", number, "it does not go on where the line before it ends")
            last = line["last"]
            yield from _compare(line)
        before = text


def _why_not(text: bytes, *, before: bytes, public_key: str) -> str:
    try:
        line = dict(_read(text))
        signature = line.pop("signature")
    except (ValueError, KeyError):
        return "the line is not whole"
    if line["prev"] != _digest(before):
        return "it does not follow the line before it"
    if public_key and not signatures.is_signed(PREFIX + canonical(line), signature, public_key=public_key):
        return "it is not signed with this key"
    return ""


def _compare(line: Line) -> Iterator[Break]:
    """Events that are gone or have another hash than the line says."""
    seen = f"checkpoint {line['checkpoint']} of {line['at']}"
    streams = iter(line["streams"].items())
    while batch := list(islice(streams, ROWS_A_STATEMENT)):
        wanted = reduce(or_, (Q(stream=stream, seq=seq) for stream, (seq, _) in batch))
        rows = Event.objects.filter(wanted).values_list("stream", "seq", "hash")
        there = {(stream, seq): digest for stream, seq, digest in rows}
        for stream, (seq, digest) in batch:
            if (stream, seq) not in there:
                yield Break(stream, seq, f"{seen} saw it, and it is gone")
            elif there[stream, seq] != digest:
                yield Break(stream, seq, f"{seen} saw another hash: the stream was rewritten")


def _is_behind(last: bytes) -> bool:
    return Published.objects.filter(position__gt=_read(last)["last"]).exists()


def _next(last: bytes, *, key: str, now: datetime) -> bytes:
    before = _read(last) if last else {"checkpoint": 0, "last": 0}
    streams: dict[str, tuple[int, str]] = {}
    news = Published.objects.filter(position__gt=before["last"]).order_by("position")
    rows = list(news.values_list("position", "event__stream", "event__seq", "event__hash")[:EVENTS_A_LINE])
    for _position, stream, seq, digest in rows:
        streams[stream] = max(streams.get(stream, (0, "")), (seq, digest))
    line = {
        "checkpoint": before["checkpoint"] + 1,
        "at": now.isoformat(),
        "prev": _digest(last),
        "first": before["last"] + 1,
        "last": rows[-1][0] if rows else before["last"],
        "streams": streams,
        "public_key": signatures.public_key(key),
    }
    return canonical({**line, "signature": signatures.sign(PREFIX + canonical(line), key=key)}) + b"\n"


def _write(file: IO[bytes], line: bytes) -> None:
    """The whole line or nothing of it, on the disk."""
    size = file.seek(0, os.SEEK_END)
    try:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), size)
        raise


def _last(file: IO[bytes]) -> bytes:
    """The last line, read from the end of the file; nothing where it is empty."""
    size, reach = file.seek(0, os.SEEK_END), AT_THE_END
    lines: list[bytes] = []
    while size and len(lines) < 2:
        file.seek(max(0, size - reach))
        lines = file.read().splitlines(keepends=True)
        if reach >= size:
            break
        reach *= 4
    last = lines[-1] if lines else b""
    if last and not last.endswith(b"\n"):
        raise ValueError(f"The last line of {file.name} is not whole. Keep the file, and begin another one.")
    return last


def _read(text: bytes) -> Line:
    line = json.loads(text)
    if not isinstance(line, dict) or not text.endswith(b"\n"):
        raise ValueError("no line")
    return line


def _digest(text: bytes) -> str:
    return sha256(text).hexdigest() if text else ""
