"""Commits: taking them in, and keeping for each release the ones that it brings to users.

A release in flight has the commits that its builds reach and that no shipped release contains. A shipped one owns the
commits that it was the first to contain (`Commit.first_release`). Both are stored in `ReleaseCommit`, so that pages
and votes read rows and walk no graph. All of it is written under the product's lock.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from email.utils import parseaddr
from functools import partial
from typing import Any

from django.db.models import Q

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.releases.commands.containment import (
    Claim,
    Node,
    chunks,
    claim,
    claim_what_was_missing,
    link,
    load,
    walk,
)
from releasemgmt.releases.models import Commit, Release, ReleaseCommit
from releasemgmt.workflow.commands import command, lock, permit, record

IN_FLIGHT = (
    Release.State.PLANNED,
    Release.State.BUILT,
    Release.State.INTEGRATION_TESTED,
    Release.State.ACCEPTED,
)
#: Tracker keys (SHOP-12) and numbers (#12); what looks like a key and names a standard is none.
WORK_ITEM = re.compile(r"\b(?!(?:AES|CVE|ISO|MD|PEP|RFC|SHA|UTF)-)[A-Z][A-Z0-9]+-[1-9]\d*\b|(?<![\w&])#[1-9]\d*\b")
BUILDS = Release.builds.through


def send_commits(product: Product, *, commits: list[dict[str, Any]], actor: User, now: datetime) -> int:
    """Take in commits in any order, parents known or not; answers how many were new.

    Each has `sha`, `parents`, `authored_at`, `committed_at`, and may have `author`, `subject`, `work_items`, `is_bot`.
    A commit is what it was when it was first sent: sent again with other facts it stays, and nothing is refused.
    Releases in flight are brought up to date; one event on the product's stream says so, none when nothing is new.
    """
    with command():
        permit(actor, product, roles.edit_records, to="send commits")
        return take_in(product, commits, actor=actor, now=now)


def take_in(product: Product, commits: list[dict[str, Any]], *, actor: User, now: datetime) -> int:
    """The same for whoever may by another right, such as to import the past."""
    product = lock(product)
    sent = {commit["sha"]: commit for commit in reversed(commits)}
    for chunk in chunks(list(sent)):
        for sha in product.commits.filter(sha__in=chunk).values_list("sha", flat=True):
            del sent[sha]
    if not sent:
        return 0
    Commit.objects.bulk_create((_commit(product, facts) for facts in reversed(sent.values())), ignore_conflicts=True)
    claim_what_was_missing(product, shas=list(sent), now=now)
    in_flight = Release.objects.filter(product=product, state__in=IN_FLIGHT, builds__isnull=False)
    changed = _refresh(product, in_flight.values_list("pk", flat=True))
    facts = {"new": len(sent), "releases": [f"{Release.NUMBER_PREFIX}-{pk}" for pk in changed]}
    record(product, "releases.commit.send", actor=actor, data=facts)
    return len(sent)


def refresh_commits(release: Release) -> None:
    """Bring the commits of a release in flight up to date with its builds."""
    with command():
        _refresh(lock(release.product), [release.pk])


def claim_commits(release: Release, *, at: datetime, now: datetime) -> None:
    """Make a release that reached production at some time the owner of the commits that it is the first to contain."""
    with command():
        product = lock(release.product)
        tips = set(release.builds.values_list("commit_sha", flat=True))
        claim(product, [Claim(release.pk, at, tips)], now=now)


def work_items(subject: str) -> list[str]:
    """The keys of work items that a subject names, each once, in their order."""
    return list(dict.fromkeys(WORK_ITEM.findall(subject)))


def _commit(product: Product, facts: Mapping[str, Any]) -> Commit:
    subject = facts.get("subject", "")
    items = facts.get("work_items")
    return Commit(
        product=product,
        sha=facts["sha"],
        parents=list(facts["parents"]),
        authored_at=facts["authored_at"],
        committed_at=facts["committed_at"],
        author=_address(facts.get("author", "")),
        is_merge=len(facts["parents"]) > 1,
        is_bot=facts.get("is_bot", False),
        subject=subject[:500],
        work_items=work_items(subject) if items is None else items,
    )


def _address(author: str) -> str:
    """The mail address in lower case where there is one: it is what separates an author from a voter."""
    address = parseaddr(author)[1]
    return (address.lower() if "@" in address else author.strip())[:320]


def _may_belong_to(node: Node, release: int) -> bool:
    """Whether no other release has shipped a commit."""
    return node.owner in (None, release)


def _refresh(product: Product, releases: Iterable[int]) -> list[int]:
    """Recompute the rows of these releases with one load of the graph; answers those whose commits changed."""
    tips: dict[int, set[str]] = {release: set() for release in releases}
    for release, sha in BUILDS.objects.filter(release__in=list(tips)).values_list("release_id", "build__commit_sha"):
        tips[release].add(sha)
    graph = load(product, Q(first_release=None) | Q(first_release__in=list(tips))) if any(tips.values()) else {}
    stored: dict[int, set[int]] = defaultdict(set)
    for release, commit in ReleaseCommit.objects.filter(release__in=list(tips)).values_list("release_id", "commit_id"):
        stored[release].add(commit)
    changed, fresh = [], []
    for release, shas in tips.items():
        nodes, _outside = walk(shas, graph, through=partial(_may_belong_to, release=release))
        wanted = {node.pk for node in nodes}
        if wanted != stored[release]:
            changed.append(release)
            for chunk in chunks(stored[release] - wanted):
                ReleaseCommit.objects.filter(release=release, commit__in=chunk).delete()
            fresh += [(release, commit) for commit in wanted - stored[release]]
    link(fresh)
    return changed
