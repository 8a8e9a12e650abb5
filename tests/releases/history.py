"""Made-up histories for tests: commits by number, releases on them, and who owns what in the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from releasemgmt.catalog.models import Product
from releasemgmt.releases.commands.commits import claim_commits, refresh_commits
from releasemgmt.releases.models import Build, Commit, Release
from releasemgmt.workflow.commands import create
from tests.factories import someone

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def sha(n: int) -> str:
    return f"{n:040x}"


def commit(n: int, *parents: int, **facts: Any) -> dict[str, Any]:
    at = START + n * timedelta(hours=1)
    return {"sha": sha(n), "parents": [sha(each) for each in parents], "authored_at": at, "committed_at": at, **facts}


LINE = [commit(1), commit(2, 1), commit(3, 2), commit(4, 3)]
#: 1 ← 2 ← 5 is the main line; 1 ← 3 ← 4 a branch that 5 merges; 6 goes on from the branch alone.
FORK = [commit(1), commit(2, 1), commit(3, 1), commit(4, 3), commit(5, 2, 4), commit(6, 4)]


def release_of(product: Product, version: str, *tips: int, now: datetime) -> Release:
    """A release in flight whose builds were made of these commits."""
    author = someone("contributor", team=product.team)
    planned = Release(product=product, version=version, model=product.default_model, created_by=author)
    release = create(planned, actor=author)
    for tip in tips:
        release.builds.add(
            Build.objects.create(
                product=product,
                component=product.components.get(),
                commit_sha=sha(tip),
                digest=f"sha256:{version.encode().hex():0>32}{tip:032x}",
                artifact_uri=f"registry/{version}/{tip}",
                built_at=now,
            )
        )
    refresh_commits(release)
    return release


def ship(release: Release, *, at: datetime) -> None:
    """What a production deployment does to the commits."""
    release.released_at = at
    release.save(update_fields=["released_at"])
    claim_commits(release, at=at, now=at)


def brought_by(release: Release) -> set[int]:
    return {int(each, 16) for each in release.commits.values_list("sha", flat=True)}


def owners(product: Product) -> dict[int, str | None]:
    rows = Commit.objects.filter(product=product).values_list("sha", "first_release__version")
    return {int(each, 16): version for each, version in rows}


def past(version: str, tip: int, *, day: int) -> Any:
    return {"version": version, "sha": sha(tip), "released_at": START + day * DAY}
