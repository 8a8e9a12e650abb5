"""A product's past as files tell it: commits, releases, fixed defects, incidents; what makes no sense is told apart.

A row that can't be used is answered with its line and the reason, and the others are read on. Nothing is written.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from releasemgmt.integrations.history import ancestry
from releasemgmt.integrations.history.lines import HistoryError, Line, lines
from releasemgmt.integrations.history.rows import (
    HEADER,
    SOURCES,
    BadRow,
    BadValueError,
    CommitRow,
    IncidentRow,
    ItemRow,
    TagRow,
    parse,
)

__all__ = [
    "SOURCES",
    "BadRow",
    "BadValueError",
    "CommitRow",
    "History",
    "HistoryError",
    "IncidentRow",
    "ItemRow",
    "Said",
    "TagRow",
    "ancestry",
    "parse",
    "read",
    "said",
]


#: What tells a row from others though lines may move: source and text; the line where it has no text.
Said = tuple[str, str, int]


def said(source: str, line: int, text: str) -> Said:
    """What a row says, as it is known again when it is read again."""
    return source, text, 0 if text else line


@dataclass
class History:
    """What the files of a product say: the rows that can be used, with their lines, and those that can't."""

    commits: list[tuple[Line, CommitRow]] = field(default_factory=list)
    tags: list[tuple[Line, TagRow]] = field(default_factory=list)
    items: list[tuple[Line, ItemRow]] = field(default_factory=list)
    #: In the order in which they were recorded, each with the file that says it.
    incidents: list[tuple[str, Line, IncidentRow]] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    #: How many revisions wait for the repair of an incident that ends up impossible.
    held_back: int = 0

    def __len__(self) -> int:
        return len(self.commits) + len(self.tags) + len(self.items) + len(self.incidents)

    def without(self, settled: Counter[Said]) -> History:
        """The history without so many rows that say that, whether they can be used by now or not; those first."""
        left = settled.copy()

        def stays(source: str, line: int, text: str) -> bool:
            if not left[row := said(source, line, text)]:
                return True
            left[row] -= 1
            return False

        return replace(
            self,
            bad=[row for row in self.bad if stays(row.source, row.line, row.text)],
            commits=[each for each in self.commits if stays("commits", each[0].number, each[0].text)],
            tags=[each for each in self.tags if stays("releases", each[0].number, each[0].text)],
            items=[each for each in self.items if stays("changelog", each[0].number, each[0].text)],
            incidents=[each for each in self.incidents if stays(each[0], each[1].number, each[1].text)],
        )


def read(paths: Iterable[Path]) -> History:
    """Read the files of one product; raises HistoryError where one can't be used at all."""
    files = _by_source(paths)
    history = History()
    if path := files.get("commits"):
        _read_commits(path, history)
    if path := files.get("releases"):
        _read_tags(path, history)
    if path := files.get("changelog"):
        history.items = list(_rows("changelog", path, history.bad))
    _read_incidents(files, history)
    history.bad.sort(key=lambda row: (SOURCES.index(row.source), row.line))
    return history


def _by_source(paths: Iterable[Path]) -> dict[str, Path]:
    """What each file holds, by its name: `shop.commits.csv.gz` holds commits."""
    files: dict[str, Path] = {}
    for path in paths:
        named = [part for part in path.name.split(".") if part in SOURCES]
        if not named:
            raise HistoryError(f"{path.name}: the name says what the file holds, by one of {', '.join(SOURCES)}.")
        if named[-1] in files:
            raise HistoryError(f"{path.name}: {files[named[-1]].name} holds {named[-1]} already; import one at a time.")
        files[named[-1]] = path
    return files


def _rows(source: str, path: Path, bad: list[BadRow]) -> Iterator[tuple[Line, Any]]:
    yield from _parsed(source, lines(path), bad)


def _parsed(source: str, found: Iterable[Line], bad: list[BadRow]) -> Iterator[tuple[Line, Any]]:
    """The rows of those lines; what is none goes to `bad`."""
    for line in found:
        try:
            if line.problem:
                raise BadValueError(line.problem)
            yield line, parse(source, line.text)
        except BadValueError as error:
            bad.append(BadRow(source, line.number, line.text, str(error)))


def _read_commits(path: Path, history: History) -> None:
    found = list(lines(path))
    if not found or found[0].text != HEADER:
        raise HistoryError(f"{path.name}: the first line is not {HEADER}.")
    known = ancestry.names(found[1:])
    rows = list(_parsed("commits", found[1:], history.bad))
    history.commits, bad = ancestry.settle(rows, known)
    history.bad = [_with_names(row, known) for row in history.bad] + bad


def _with_names(row: BadRow, known: Mapping[str, str]) -> BadRow:
    """The row with the hashes of what it names as its parents."""
    _index, _sha, parents, *_rest = [*ancestry.told(row.text), "", "", ""]
    named = {index: known[index] for index in parents.split() if index in known}
    return BadRow(row.source, row.line, row.text, row.reason, named)


def _read_tags(path: Path, history: History) -> None:
    seen: dict[str, int] = {}
    for line, tag in _rows("releases", path, history.bad):
        if tag.tag in seen:
            reason = f"The tag {tag.tag} stands in line {seen[tag.tag]} already."
            history.bad.append(BadRow("releases", line.number, line.text, reason))
        else:
            history.tags.append((line, tag))
        seen.setdefault(tag.tag, line.number)


def _read_incidents(files: Mapping[str, Path], history: History) -> None:
    """Revisions in their order; the final state of an incident where no revision is as late.

    An incident that ends up impossible waits as a whole: half of it would go on for ever.
    """
    bad_ends: list[BadRow] = []
    bad_revisions: list[BadRow] = []
    ends = list(_rows("incidents", files["incidents"], bad_ends)) if "incidents" in files else []
    revisions: list[tuple[Line, IncidentRow]] = []
    if path := files.get("incident_revisions"):
        revisions = list(_rows("incident_revisions", path, bad_revisions))
    last_good = {row.id: line.number for line, row in revisions}
    impossible = {_id(row) for row in bad_ends} - {""}
    if "incidents" not in files:
        impossible = {_id(row) for row in bad_revisions if row.line > last_good.get(_id(row), 0)} - {""}
        bad_revisions = _last_of_each(bad_revisions, impossible)
    else:
        bad_revisions = [row for row in bad_revisions if _id(row) not in impossible]
    kept = [("incident_revisions", line, row) for line, row in revisions if row.id not in impossible]
    history.held_back = len(revisions) - len(kept)
    last = {row.id: row.recorded_at for _source, _line, row in sorted(kept, key=_recorded_at)}
    finals = _one_end_each(ends, bad_ends)
    kept += [("incidents", line, row) for line, row in finals if row.id not in last or row.recorded_at > last[row.id]]
    history.incidents = sorted(kept, key=_recorded_at)
    history.bad += [*bad_ends, *bad_revisions]


def _recorded_at(each: tuple[str, Line, IncidentRow]) -> datetime:
    return each[2].recorded_at


def _one_end_each(ends: list[tuple[Line, IncidentRow]], bad: list[BadRow]) -> Iterator[tuple[Line, IncidentRow]]:
    """The final states; of two that say different things of one time the first, the other goes to `bad`."""
    seen: dict[tuple[str, datetime], tuple[Line, IncidentRow]] = {}
    for line, row in ends:
        first, said = seen.setdefault((row.id, row.recorded_at), (line, row))
        if said == row:
            yield line, row
        else:
            reason = f"Line {first.number} says something else of {row.id} at the same time."
            bad.append(BadRow("incidents", line.number, line.text, reason))


def _last_of_each(rows: list[BadRow], ids: set[str]) -> list[BadRow]:
    """Of those incidents the last row alone; of the others all."""
    last = {_id(row): row.line for row in rows}
    return [row for row in rows if _id(row) not in ids or row.line == last[_id(row)]]


def _id(row: BadRow) -> str:
    """Which incident a bad row is about, as far as it can be told."""
    try:
        value = json.loads(row.text)
    except (ValueError, RecursionError):
        return ""
    return str(value.get("id", "")) if isinstance(value, dict) else ""
