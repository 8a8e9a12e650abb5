"""What the demo's builds are made of: source archives of this project's own commits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha1, sha256
from pathlib import Path

from django.conf import settings

from releasemgmt.integrations import git

PACKAGES = ("releasemgmt", "approvals", "deployments")


@dataclass(frozen=True)
class Source:
    """The commit of a version, and the digest of its source archive."""

    commit_sha: str
    digest: str
    built_at: datetime


def own_repository() -> git.Repository | None:
    """This project's clone; None where the source came without one, or without a commit."""
    root: Path = settings.BASE_DIR
    try:
        repository = git.Repository(root)
        is_ours = Path(repository.ask("rev-parse", "--show-toplevel")) == root.resolve()
        return repository if is_ours and repository.count() else None
    except git.GitError:
        return None


def sources(repository: git.Repository | None, versions: Sequence[str], *, now: datetime) -> dict[str, Source]:
    """A source for each version: commits spread evenly over the main line, the last version being HEAD.

    Anyone can repeat a digest: `git archive --format=tar --prefix=<folder of the version>/ <commit> | sha256sum`.
    """
    if repository is None:
        return {version: _of_files(version, now=now) for version in versions}
    line = repository.ask("rev-list", "--first-parent", "--reverse", "HEAD").split()
    return {
        version: _of_commit(repository, line[max((n + 1) * len(line) // len(versions) - 1, 0)], version)
        for n, version in enumerate(versions)
    }


def folder_of(version: str) -> str:
    """The folder in a version's archive; it makes the archives of two versions of one commit differ."""
    return f"releasemgmt-{version}"


def _of_commit(repository: git.Repository, sha: str, version: str) -> Source:
    committed = git.instant(repository.ask("show", "--no-patch", "--format=%ct", sha)) or git.EPOCH
    return Source(sha, _digest(repository.archive(sha, folder=folder_of(version))), committed)


def _of_files(version: str, *, now: datetime) -> Source:
    """Without a repository: the digest of the files as they are here, and a hash of that in the commit's place."""
    files = sorted(path for package in PACKAGES for path in (settings.BASE_DIR / package).rglob("*.py"))
    digest = _digest([folder_of(version).encode(), *(path.read_bytes() for path in files)])
    return Source(sha1(digest.encode(), usedforsecurity=False).hexdigest(), digest, now)


def _digest(blocks: Iterable[bytes]) -> str:
    hash = sha256()
    for block in blocks:
        hash.update(block)
    return f"sha256:{hash.hexdigest()}"
