"""Commits that name their parents by the numbers of their rows: who is who, and what no history can say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from releasemgmt.integrations.history.lines import Line
from releasemgmt.integrations.history.rows import INDEX, SHA, BadRow, BadValueError, CommitRow, columns

Numbered = Sequence[tuple[Line, CommitRow]]


def names(rows: Iterable[Line]) -> dict[str, str]:
    """Number → hash of each row that says both, whatever else is wrong with it."""
    found: dict[str, str] = {}
    for line in rows:
        index, sha, *_rest = [*told(line.text), "", ""]
        if INDEX.fullmatch(index) and SHA.fullmatch(sha):
            found.setdefault(str(int(index)), sha)
    return found


def told(text: str) -> list[str]:
    """The columns of a row, as far as they can be told of one that is none."""
    try:
        return columns(text)
    except BadValueError:
        return text.split(",")


def settle(rows: Numbered, known: dict[str, str]) -> tuple[list[tuple[Line, CommitRow]], list[BadRow]]:
    """The commits with their parents' hashes, and those that can't be: a second of its kind, a parent out of order."""
    good, bad = [], []
    lines: dict[int, int] = {}
    shas: dict[str, int] = {}
    numbered = _numbered(rows, known)
    looped = _looped(numbered)
    for (line, row), (_line, in_numbers) in zip(rows, numbered, strict=True):
        later = [int(each) for each in _indexes(in_numbers) if int(each) not in lines and int(each) >= row.index]
        reason = _repeated(row, lines, shas) or _out_of_order(row, known, later, looped)
        lines.setdefault(row.index, line.number)
        shas.setdefault(row.sha, line.number)
        if reason:
            refers_to = {index: known[index] for index in _indexes(row) if index in known}
            bad.append(BadRow("commits", line.number, line.text, reason, refers_to))
        else:
            good.append((line, replace(row, parents=hashes(row, known))))
    return good, bad


def hashes(row: CommitRow, known: Mapping[str, str]) -> tuple[str, ...]:
    """Its parents by their hashes."""
    found = (each if SHA.fullmatch(each) else known[str(int(each))] for each in row.parents)
    return tuple(dict.fromkeys(found))


def unknown(row: CommitRow, known: Mapping[str, str]) -> list[str]:
    """The numbers that it names as parents and that say nothing."""
    return [index for index in _indexes(row) if index not in known]


def _indexes(row: CommitRow) -> list[str]:
    return [str(int(each)) for each in row.parents if not SHA.fullmatch(each)]


def _numbered(rows: Numbered, known: dict[str, str]) -> Numbered:
    """The rows, with the numbers of parents that they name by hashes of the file's own rows."""
    numbers = {sha: index for index, sha in reversed(known.items())}
    return [(line, replace(row, parents=tuple(numbers.get(each, each) for each in row.parents))) for line, row in rows]


def _repeated(row: CommitRow, lines: Mapping[int, int], shas: Mapping[str, int]) -> str:
    if row.sha in shas:
        return f"Commit {row.sha[:10]} stands in line {shas[row.sha]} already."
    return f"Number {row.index} stands in line {lines[row.index]} already." if row.index in lines else ""


def _out_of_order(row: CommitRow, known: Mapping[str, str], later: Sequence[int], looped: set[int]) -> str:
    """Why not, if a parent comes later: a number can't mean that row, a hash can unless they go in a circle."""
    if lost := unknown(row, known):
        return f"Its parent {lost[0]} is not in the file, or that row names no commit."
    if later and row.index in looped:
        return f"Its parent {later[0]} descends from it: the rows go in a circle."
    by_number = [each for each in later if str(each) in _indexes(row)]
    return f"Its parent {by_number[0]} comes later in the file." if by_number else ""


def _looped(rows: Numbered) -> set[int]:
    """The numbers of rows that lie in a circle, or between two: what is left without beginnings and without ends."""
    parents = {row.index: {int(each) for each in _indexes(row)} for _line, row in rows}
    children: dict[int, set[int]] = defaultdict(set)
    for index, above in parents.items():
        for each in above & parents.keys():
            children[each].add(index)
    left = _unpeeled(parents, children)
    return _unpeeled({index: children[index] & left for index in left}, parents)


def _unpeeled(behind: Mapping[int, set[int]], ahead: Mapping[int, set[int]]) -> set[int]:
    """What is left when each that has nothing left behind it is taken away."""
    count = Counter({index: len(each & behind.keys()) for index, each in behind.items()})
    todo = [index for index in behind if not count[index]]
    left = set(behind)
    while todo:
        index = todo.pop()
        left.discard(index)
        for each in ahead.get(index, ()):
            count[each] -= 1
            if not count[each] and each in left:
                todo.append(each)
    return left
