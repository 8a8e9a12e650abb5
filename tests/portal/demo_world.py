"""The demo world in tests: a repository in the place of this project's own, the making, and what to look for."""

from __future__ import annotations

import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command

from approvals.models import ApprovalRound
from approvals.queries import standing

IDENTITY = ["-c", "user.name=A", "-c", "user.email=a@example.org"]


def with_commits(where: Path) -> Path:
    """The folder, as a repository with eight commits."""
    git(where, "init", "-q")
    for n in range(8):
        (where / "file").write_text(str(n))
        git(where, "add", "file")
        git(where, *IDENTITY, "commit", "-q", "-m", f"Commit {n}")
    return where


def git(where: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=where, check=True, capture_output=True).stdout


def make_demo() -> str:
    out = StringIO()
    call_command("demo", stdout=out, stderr=out)
    return out.getvalue()


def states(model: Any) -> set[str]:
    return set(model.objects.values_list("state", flat=True))


def waiting_rounds() -> list[ApprovalRound]:
    """The open rounds of releases that lack exactly one approval."""
    rounds = ApprovalRound.objects.open().filter(change=None).with_subject()
    return [each for each in rounds if sum(standing(each, subject=each.subject).missing.values()) == 1]
