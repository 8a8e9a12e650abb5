"""Files of lines, plain or compressed by gzip; of one that is damaged, what can be read."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

BLOCK = 65_536
MAX_LINE = 4 * 1024**2
MAGIC = b"\x1f\x8b"
DAMAGED = "The file is cut off or damaged here: what follows can't be read."


class HistoryError(Exception):
    """The file can't be used at all; the message says why."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file, with what is wrong with it as text, if anything is."""

    number: int
    text: str
    problem: str = ""


def lines(path: Path) -> Iterator[Line]:
    """The lines of a file that are not empty; where it breaks off, the last one says so."""
    ended, rest, problem = 0, b"", ""
    for block, found in _blocks(path):
        problem = found or problem
        *whole, rest = (rest + block).split(b"\n")
        for number, line in enumerate(whole, start=ended + 1):
            if line.strip():
                yield _line(number, line)
        ended += len(whole)
        if len(rest) > MAX_LINE:
            raise HistoryError(f"{path.name}: line {ended + 1} is longer than {MAX_LINE // 1024**2} MiB.")
    if rest.strip() or problem:
        last = _line(ended + 1, rest)
        yield replace(last, problem=problem or last.problem)


def _blocks(path: Path) -> Iterator[tuple[bytes, str]]:
    """What the file holds, block by block; of one that is damaged what can be read, and then why no more."""
    try:
        with path.open("rb") as raw:
            is_gzip = raw.peek(2)[:2] == MAGIC
            opened = gzip.GzipFile(fileobj=raw) if is_gzip else raw
            while block := opened.read1(BLOCK):
                yield block, ""
    except (EOFError, zlib.error, gzip.BadGzipFile):
        yield b"", DAMAGED
    except OSError as error:
        raise HistoryError(f"{path} can't be read: {error.strerror}.") from error


def _line(number: int, raw: bytes) -> Line:
    raw = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
    text = raw.decode(errors="replace").rstrip("\r")
    if "\0" in text:
        return Line(number, text.replace("\0", "\ufffd"), "It holds the character NUL.")
    if "\ufffd" in text and "\ufffd".encode() not in raw:
        return Line(number, text, "It holds bytes that are not UTF-8.")
    return Line(number, text)
