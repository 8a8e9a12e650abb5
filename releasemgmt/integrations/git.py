"""Reading a git repository: its commits and tags, streamed from the `git` command; nothing is written or fetched."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Every field ends with NUL, which no field can hold.
COMMIT_FIELDS = ("%H", "%P", "%at", "%ct", "%aN", "%aE", "%s")
TAG_FIELDS = (
    "%(refname:strip=2)",
    "%(objecttype)",
    "%(objectname)",
    "%(*objecttype)",
    "%(*objectname)",
    "%(creatordate:unix)",
)
#: What the default branch or a tag reaches; a repository without a commit has none of it.
HISTORY = ("--ignore-missing", "--tags", "HEAD")
BLOCK = 65_536
SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
BOT = re.compile(
    r"\[bot\]|\b(?:dependabot|renovate|greenkeeper|snyk-bot|pyup-bot|pre-commit-ci|github-actions|mergify)\b", re.I
)


class GitError(Exception):
    """The repository can't be read; the message says why and what to do."""


@dataclass(frozen=True)
class Commit:
    """A commit as git knows it; `author` is a mail address, or a name where there is none."""

    sha: str
    parents: tuple[str, ...]
    authored_at: datetime
    committed_at: datetime
    author: str
    subject: str
    is_bot: bool


@dataclass(frozen=True)
class Tag:
    """A tag on a commit; `at` is when it was made, for a lightweight one when its commit was."""

    name: str
    sha: str
    at: datetime


class Repository:
    """A local git repository, bare or with a work tree."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise GitError(f"There is no folder {path}.")
        self.path = path
        self.is_shallow = self.ask("rev-parse", "--is-shallow-repository") == "true"

    def count(self) -> int:
        """How many commits `commits` yields."""
        return int(self.ask("rev-list", "--count", *HISTORY))

    def commits(self) -> Iterator[Commit]:
        """Every commit that the default branch or a tag reaches, the newest first, one at a time.

        Where a shallow clone ends, parents are read from the commit itself: git pretends that there are none.
        """
        cut = self._cut_parents()
        layout = "".join(f"{each}%x00" for each in COMMIT_FIELDS)
        log = self._stream("log", "--encoding=UTF-8", f"--format={layout}", *HISTORY)
        for sha, parents, authored, committed, name, address, subject in _records(log, len(COMMIT_FIELDS)):
            if not SHA.fullmatch(sha):
                raise GitError(f"git answered something unexpected in {self.path}: {sha[:60]!r} where a commit begins.")
            committed_at = instant(committed) or instant(authored) or EPOCH
            yield Commit(
                sha=sha,
                parents=cut.get(sha) or tuple(parents.split()),
                authored_at=instant(authored) or committed_at,
                committed_at=committed_at,
                # Of an author line that git can't read it repeats the placeholders.
                author=address if "@" in address else name.removeprefix("%aN"),
                subject=subject,
                is_bot=BOT.search(f"{name} {address}") is not None,
            )

    def tags(self) -> Iterator[Tag]:
        """Every tag on a commit; one on anything else is passed over."""
        layout = "".join(f"{each}%00" for each in TAG_FIELDS)
        refs = self._stream("for-each-ref", f"--format={layout}", "refs/tags")
        for name, kind, sha, peeled_kind, peeled_sha, at in _records(refs, len(TAG_FIELDS)):
            if kind == "tag" and peeled_kind == "tag":
                peeled_kind, _, peeled_sha = self._peeled(name).partition(" ")
            if "commit" in (kind, peeled_kind):
                yield Tag(name, peeled_sha or sha, instant(at) or EPOCH)

    def archive(self, revision: str = "HEAD", *, folder: str = "") -> Iterator[bytes]:
        """The source archive of a revision as a tar stream, in a folder if one is named: the same bytes each time."""
        return self._stream("archive", "--format=tar", f"--prefix={folder}/" if folder else "--prefix=", revision)

    def ask(self, *arguments: str) -> str:
        """What git answers, without the newline at its end."""
        return b"".join(self._stream(*arguments)).decode(errors="replace").rstrip("\n")

    def _peeled(self, tag: str) -> str:
        """Kind and hash of what a tag of a tag points to in the end."""
        sha = self.ask("rev-parse", "--verify", f"refs/tags/{tag}^{{}}")
        return f"{self.ask('cat-file', '-t', sha)} {sha}"

    def _cut_parents(self) -> dict[str, tuple[str, ...]]:
        """The true parents of the commits where a shallow clone ends."""
        if not self.is_shallow:
            return {}
        shallow = self.path / self.ask("rev-parse", "--git-path", "shallow")
        return {sha: self._written_parents(sha) for sha in shallow.read_text().split()}

    def _written_parents(self, sha: str) -> tuple[str, ...]:
        header = self.ask("cat-file", "commit", sha).split("\n\n", 1)[0]
        return tuple(line.removeprefix("parent ") for line in header.split("\n") if line.startswith("parent "))

    def _stream(self, *arguments: str) -> Iterator[bytes]:
        """Run git and yield its output in blocks; raises GitError with git's own words when it fails."""
        command = ["git", "--no-pager", "--no-replace-objects", "-c", "log.showSignature=false", *arguments]
        # Inside of a git hook these name another repository.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(  # noqa: S603 - a fixed program, arguments as a list
                    command, cwd=self.path, env={**environment, "LC_ALL": "C"}, stdout=subprocess.PIPE, stderr=errors
                )
            except FileNotFoundError as error:
                raise GitError("The command git is not installed here.") from error
            with process:
                try:
                    yield from iter(partial(cast(BufferedReader, process.stdout).read1, BLOCK), b"")
                except GeneratorExit:
                    process.kill()
                    raise
            if process.returncode:
                raise GitError(f"git can't read {self.path}: {_reason(errors)}")


def instant(seconds: str) -> datetime | None:
    """Git's seconds since 1970 as an instant; None where it has none or no calendar reaches it."""
    try:
        return EPOCH + timedelta(seconds=int(seconds))
    except (ValueError, OverflowError):
        return None


def _records(blocks: Iterable[bytes], size: int) -> Iterator[list[str]]:
    """The answers of git in lists of `size` fields; what is not UTF-8 is replaced."""
    record: list[str] = []
    for field in _fields(blocks):
        # A line ends between records, not between fields.
        record.append(field if record else field.lstrip("\n"))
        if len(record) == size:
            yield record
            record = []


def _fields(blocks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for block in blocks:
        *fields, rest = (rest + block).split(b"\0")
        for field in fields:
            yield field.decode(errors="replace")


def _reason(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read(4_000).decode(errors="replace").strip().splitlines()
    return lines[0].removeprefix("fatal: ") if lines else "it gave no reason"
