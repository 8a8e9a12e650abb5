"""What a row of each file says; one that says nothing of use is refused with the reason."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
INDEX = re.compile(r"[0-9]{1,9}")
INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d{1,2})(:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:?\d\d)?", re.ASCII)
COMMIT_COLUMNS = ("i", "sha", "parents", "author", "author_date", "commit_date", "is_merge", "is_bot")
HEADER = ",".join(COMMIT_COLUMNS)
#: What no column of text takes: NUL, and half of an emoji.
NO_TEXT = re.compile(r"[\0\ud800-\udfff]")
#: Other years are slips: no product's past goes back so far, and nothing is announced so far ahead.
YEARS = range(1970, 2200)
TAG_KINDS = ("production", "prerelease", "demo", "other")
ITEM_KINDS = ("defect_fixed", "improvement", "security")
#: What a status page calls it → whether it was down, degraded, or only announced.
INCIDENT_KINDS = {"down": "down", "disrupted": "degraded", "notice": "notice"}
UNRELEASED = "Unreleased"


class BadValueError(ValueError):
    """The row can't be used; the message says why, for the person who repairs it."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that can't be used; `refers_to` are the hashes of rows that it names by number."""

    source: str
    line: int
    text: str
    reason: str
    refers_to: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommitRow:
    """A commit; parents are numbers of rows until the whole file is read, then hashes."""

    index: int
    sha: str
    parents: tuple[str, ...]
    author: str
    authored_at: datetime
    committed_at: datetime
    is_bot: bool


@dataclass(frozen=True, slots=True)
class TagRow:
    """A tag, and what it stands for: a production release, or one of the other kinds."""

    tag: str
    kind: str
    released_at: datetime
    sha: str
    is_alias: bool


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An entry of a changelog."""

    release: str
    kind: str
    is_released: bool
    text: str
    issues: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """What was published of an incident at `recorded_at`; a deleted one says no more than that."""

    id: str
    recorded_at: datetime
    is_deleted: bool = False
    title: str = ""
    kind: str = ""
    started_at: datetime | None = None
    restored_at: datetime | None = None
    planned: bool = False
    affected: tuple[str, ...] = ()


Row = CommitRow | TagRow | ItemRow | IncidentRow


def parse(source: str, text: str) -> Any:
    """The row that a line says; raises BadValueError with the reason where it says none."""
    return PARSERS[source](text)


def instant(written: object, name: str) -> datetime:
    """An instant as people write it: an hour of one digit is padded, without a zone it is taken as UTC."""
    found = INSTANT.fullmatch(written) if isinstance(written, str) else None
    if found is None:
        raise BadValueError(f"{name}: {_short(written)} is no date and time.")
    day, hour, rest, zone = found.groups()
    try:
        at = datetime.fromisoformat(f"{day}T{hour:0>2}{rest}{zone or 'Z'}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadValueError(f"{name}: {_short(written)} is no date and time.") from None
    if at.year not in YEARS:
        raise BadValueError(f"{name} is {'before 1970' if at.year < YEARS.start else 'after 2199'}.")
    return at


class Facts:
    """A row's values by name, each checked as it is taken."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def text(self, name: str, *, most: int, optional: bool = False) -> str:
        value = self.values.get(name)
        value = "" if value is None else value
        if not isinstance(value, str):
            raise BadValueError(f"{name} is no text.")
        if not (value.strip() or optional):
            raise BadValueError(f"{name} is missing.")
        return _clean(value, name, most=most)

    def texts(self, name: str, *, most: int) -> tuple[str, ...]:
        values = self.values.get(name) or []
        if not isinstance(values, list):
            raise BadValueError(f"{name} is no list.")
        return tuple(dict.fromkeys(_clean(str(value), name, most=most) for value in values))

    def one_of(self, name: str, choices: Collection[str]) -> str:
        value = self.values.get(name)
        if not isinstance(value, str) or value not in choices:
            raise BadValueError(f"{name}: {_short(value)} is none of {', '.join(choices)}.")
        return value

    def sha(self, name: str) -> str:
        value = self.values.get(name)
        if not isinstance(value, str) or not SHA.fullmatch(value):
            raise BadValueError(f"{name}: {_short(value)} is no full commit hash.")
        return value

    def flag(self, name: str) -> bool:
        value = self.values.get(name)
        if value not in (True, False, "0", "1"):
            raise BadValueError(f"{name}: {_short(value)} is neither yes nor no.")
        return value in (True, "1")

    def instant(self, name: str) -> datetime:
        value = self.values.get(name)
        if value is None:
            raise BadValueError(f"{name} is missing{self._as_noted()}.")
        return instant(value, name)

    def _as_noted(self) -> str:
        """What the export could not read itself, as it notes beside."""
        notes = self.values.get("notes")
        told = map(str, notes if isinstance(notes, list) else ())
        found = [note.partition(":")[2] for note in told if note.startswith("unparseable:")]
        return f": {_short(', '.join(found))} could not be read" if found else ""


def columns(text: str) -> list[str]:
    """The columns of a row; raises BadValueError where it has none."""
    try:
        return next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration) as error:
        raise BadValueError(f"It is no row of columns: {error}.") from None


def _commit(text: str) -> CommitRow:
    values = columns(text)
    if len(values) != len(COMMIT_COLUMNS):
        raise BadValueError(f"It has {len(values)} columns, not {len(COMMIT_COLUMNS)}.")
    facts = Facts(dict(zip(COMMIT_COLUMNS, values, strict=True)))
    parents = tuple(dict.fromkeys(facts.values["parents"].split()))
    if strange := [each for each in parents if not (INDEX.fullmatch(each) or SHA.fullmatch(each))]:
        raise BadValueError(f"parents: {_short(strange[0])} is neither the number of a row nor a commit hash.")
    if not INDEX.fullmatch(facts.values["i"]):
        raise BadValueError(f"i: {_short(facts.values['i'])} is no number of a row.")
    return CommitRow(
        index=int(facts.values["i"]),
        sha=facts.sha("sha"),
        parents=parents,
        author=facts.text("author", most=320, optional=True),
        authored_at=facts.instant("author_date"),
        committed_at=facts.instant("commit_date"),
        is_bot=facts.flag("is_bot"),
    )


def _tag(text: str) -> TagRow:
    facts = _object(text)
    return TagRow(
        tag=facts.text("tag", most=100),
        kind=facts.one_of("kind", TAG_KINDS),
        released_at=facts.instant("released_at"),
        sha=facts.sha("sha"),
        is_alias=bool(facts.values.get("alias_of")),
    )


def _item(text: str) -> ItemRow:
    facts = _object(text)
    return ItemRow(
        release=facts.text("release", most=100),
        kind=facts.one_of("kind", ITEM_KINDS),
        is_released=facts.values.get("date") != UNRELEASED,
        text=facts.text("text", most=20_000),
        issues=facts.texts("issues", most=100),
    )


def _final_state(text: str) -> IncidentRow:
    return _incident(_object(text), recorded="last_recorded_at")


def _revision(text: str) -> IncidentRow:
    facts = _object(text)
    if facts.values.get("unparseable"):
        raise BadValueError("It could not be read where it was exported.")
    if facts.values.get("deleted"):
        return IncidentRow(facts.text("id", most=200), facts.instant("recorded_at"), is_deleted=True)
    return _incident(facts, recorded="recorded_at")


def _incident(facts: Facts, *, recorded: str) -> IncidentRow:
    started_at = facts.instant("started_at")
    restored_at = facts.instant("resolved_at") if facts.flag("resolved") else None
    if restored_at and restored_at < started_at:
        raise BadValueError(f"It ends, {restored_at:%Y-%m-%d %H:%M}, before it starts, {started_at:%Y-%m-%d %H:%M}.")
    return IncidentRow(
        id=facts.text("id", most=200),
        recorded_at=facts.instant(recorded),
        title=facts.text("title", most=200),
        kind=INCIDENT_KINDS[facts.one_of("severity", INCIDENT_KINDS)],
        started_at=started_at,
        restored_at=restored_at,
        planned=facts.flag("planned"),
        affected=facts.texts("affected", most=100),
    )


def _object(text: str) -> Facts:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadValueError(f"It is no JSON: {error}.") from None
    if not isinstance(value, dict):
        raise BadValueError("It is no JSON object.")
    return Facts(value)


def _clean(text: str, name: str, *, most: int) -> str:
    if NO_TEXT.search(text):
        raise BadValueError(f"{name} holds a character that no text has.")
    if len(text) > most:
        raise BadValueError(f"{name} is longer than {most:,} characters.")
    return text.strip()


def _short(value: object) -> str:
    text = NO_TEXT.sub("\ufffd", str(value))
    return "nothing" if not text else text if len(text) <= 60 else text[:57] + "…"


#: The files by what their names say, and how a row of each is read.
PARSERS = {
    "commits": _commit,
    "releases": _tag,
    "changelog": _item,
    "incidents": _final_state,
    "incident_revisions": _revision,
}
SOURCES = tuple(PARSERS)
