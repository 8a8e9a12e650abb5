"""Asking for figures as the API does, and histories to ask about."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from releasemgmt.accounts.models import User
from releasemgmt.kpis import queries
from releasemgmt.releases.commands.commits import send_commits
from releasemgmt.releases.models import Release
from tests.conftest import NOW
from tests.deployments.world import Shop
from tests.releases.history import sha

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def figures(user: User, **asked: Any) -> dict[str, Any]:
    """The figures of a time, by default of the week around NOW, seen a week later."""
    return next(queries.answer(scope(user, **asked)))[1]


def by_bucket(user: User, bucket: str, **asked: Any) -> list[tuple[datetime, dict[str, Any]]]:
    """The figures of each bucket, with where it begins."""
    _whole, *parts = queries.answer(scope(user, bucket=bucket, **asked))
    return [(span.begin, found) for span, found in parts]


def scope(user: User, **asked: Any) -> queries.Scope:
    given = {"begin": NOW - 3 * DAY, "end": NOW + 4 * DAY, "now": NOW + 7 * DAY, **asked}
    return queries.asked(user, **given)


def commits(shop: Shop, line: list[tuple[int, datetime]], **facts: Any) -> None:
    """Commits by number, each the child of the one before it, at their times."""
    rows, parents = [], list[str]()
    for n, at in line:
        rows.append({"sha": sha(n), "parents": parents, "authored_at": at, "committed_at": at, **facts})
        parents = [sha(n)]
    send_commits(shop.product, commits=rows, actor=shop.ci, now=NOW)


def ship(shop: Shop, version: str, *, at: datetime, tip: int | None = None, **facts: Any) -> Any:
    """A release of a commit of its own or of that number, deployed to production at that time."""
    builds = None if tip is None else [shop.build("api", version, commit=tip), shop.build("web", version, commit=tip)]
    release: Release = shop.release(version, builds=builds)
    given = {"started_at": at - MINUTE, "finished_at": at, "now": max(at, NOW), **facts}
    return shop.report(release=release, **given)[0]
