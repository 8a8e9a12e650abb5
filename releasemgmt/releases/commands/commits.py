"""Commits: taking them in, and keeping for each release the ones that it brings to users.

A release in flight has the commits that its builds reach and that no shipped release contains. A shipped one owns the
commits that it was the first to contain (`Commit.first_release`). Both are stored in `ReleaseCommit`, so that pages
and votes read rows and walk no graph. All of it is written under the product's lock.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from django.db.models import F, Q

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.releases.models import Commit, MissingCommit, Release, ReleaseCommit
from releasemgmt.workflow.commands import command, lock, permit, record

T = TypeVar("T")

IN_FLIGHT = (
    Release.State.PLANNED,
    Release.State.BUILT,
    Release.State.INTEGRATION_TESTED,
    Release.State.ACCEPTED,
)
#: Tracker keys (SHOP-12) and numbers (#12); what looks like a key and names a standard is none.
WORK_ITEM = re.compile(r"\b(?!(?:AES|CVE|ISO|MD|PEP|RFC|SHA|UTF)-)[A-Z][A-Z0-9]+-[1-9]\d*\b|(?<![\w&])#[1-9]\d*\b")
#: Rows named in one statement.
CHUNK = 5_000
BUILDS = Release.builds.through


@dataclass
class Node:
    """A commit in the graph, with the release that owns it and since when, if one does."""

    pk: int
    parents: list[str]
    owner: int | None
    since: datetime | None


@dataclass(frozen=True)
class Claim:
    """A shipped release claims what its tips reach and what no release shipped before `at` contains."""

    release: int
    at: datetime | None
    tips: Collection[str]


def send_commits(product: Product, *, commits: list[dict[str, Any]], actor: User, now: datetime) -> int:
    """Take in commits in any order, parents known or not; answers how many were new.

    Each has `sha`, `parents`, `authored_at`, `committed_at`, and may have `author`, `subject`, `work_items`, `is_bot`.
    A commit is what it was when it was first sent: sent again with other facts it stays, and nothing is refused.
    Releases in flight are brought up to date; one event on the product's stream says so, none when nothing is new.
    """
    with command():
        permit(actor, product, roles.edit_records, to="send commits")
        product = lock(product)
        sent = {commit["sha"]: commit for commit in reversed(commits)}
        for chunk in chunks(list(sent)):
            for sha in product.commits.filter(sha__in=chunk).values_list("sha", flat=True):
                del sent[sha]
        if not sent:
            return 0
        Commit.objects.bulk_create(
            (_commit(product, facts) for facts in reversed(sent.values())), ignore_conflicts=True
        )
        _claim_what_was_missing(product, shas=list(sent))
        in_flight = Release.objects.filter(product=product, state__in=IN_FLIGHT, builds__isnull=False)
        changed = _refresh(product, in_flight.values_list("pk", flat=True))
        facts = {"new": len(sent), "releases": [f"{Release.NUMBER_PREFIX}-{pk}" for pk in changed]}
        record(product, "releases.commit.send", actor=actor, data=facts)
        return len(sent)


def refresh_commits(release: Release) -> None:
    """Bring the commits of a release in flight up to date with its builds."""
    with command():
        _refresh(lock(release.product), [release.pk])


def claim_commits(release: Release, *, at: datetime | None = None) -> None:
    """Make a release that reached production the owner of the commits that it is the first to contain.

    `at` is when it did, for one that is reported late: it then takes over what releases after it own.
    """
    with command():
        product = lock(release.product)
        claim(product, [Claim(release.pk, at, set(release.builds.values_list("commit_sha", flat=True)))])


def claim(product: Product, claims: Iterable[Claim]) -> None:
    """Carry out claims under the product's lock, in any order; other releases lose what they no longer own."""
    claims = list(claims)
    graph = _claimable(product, since=min((each.at for each in claims if each.at), default=None))
    beyond: list[tuple[Claim, set[str]]] = []
    for each in claims:
        nodes, outside = walk(each.tips, graph, through=partial(_yields_to, at=each.at))
        for node in nodes:
            node.owner, node.since = each.release, each.at
        _own(each.release, [node.pk for node in nodes])
        beyond.append((each, outside))
    disowned = ReleaseCommit.objects.filter(release__product=product, commit__first_release__isnull=False)
    disowned.exclude(commit__first_release=F("release")).delete()
    _await(product, beyond)


def walk(
    tips: Iterable[str], graph: Mapping[str, Node], *, through: Callable[[Node], bool]
) -> tuple[list[Node], set[str]]:
    """The nodes reached from the tips through such nodes only, and the shas on the way that the graph lacks."""
    reached, outside, seen = [], set(), set(tips)
    todo = list(seen)
    while todo:
        sha = todo.pop()
        node = graph.get(sha)
        if node is None:
            outside.add(sha)
        elif through(node):
            reached.append(node)
            fresh = [parent for parent in node.parents if parent not in seen]
            seen.update(fresh)
            todo.extend(fresh)
    return reached, outside


def chunks(rows: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """The rows in lists of at most `size`."""
    rest = iter(rows)
    while chunk := list(islice(rest, size)):
        yield chunk


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


def _graph(product: Product, rows: Q) -> dict[str, Node]:
    facts = ("sha", "pk", "parents", "first_release_id", "first_release__released_at")
    commits = Commit.objects.filter(rows, product=product).values_list(*facts)
    return {sha: Node(pk, parents, owner, since) for sha, pk, parents, owner, since in commits.iterator()}


def _claimable(product: Product, *, since: datetime | None) -> dict[str, Node]:
    rows = Q(first_release=None)
    return _graph(product, rows if since is None else rows | Q(first_release__released_at__gt=since))


def _yields_to(node: Node, at: datetime | None) -> bool:
    """Whether a commit goes over to a release of that time: it has no owner, or one that came later."""
    return node.owner is None or (at is not None and node.since is not None and node.since > at)


def _may_belong_to(node: Node, release: int) -> bool:
    """Whether no other release has shipped a commit."""
    return node.owner in (None, release)


def _own(release: int, commits: Collection[int]) -> None:
    for chunk in chunks(commits):
        Commit.objects.filter(pk__in=chunk).update(first_release=release)
    _link((release, commit) for commit in commits)


def _link(pairs: Iterable[tuple[int, int]]) -> None:
    rows = [ReleaseCommit(release_id=release, commit_id=commit) for release, commit in pairs]
    ReleaseCommit.objects.bulk_create(rows, ignore_conflicts=True)


def _await(product: Product, beyond: Iterable[tuple[Claim, set[str]]]) -> None:
    """Remember which of the shas that walks ran into are unknown, so that they are claimed when they come."""
    known: set[str] = set()
    for chunk in chunks(set().union(*(shas for _claim, shas in beyond))):
        known.update(product.commits.filter(sha__in=chunk).values_list("sha", flat=True))
    for each, shas in beyond:
        if missing := shas - known:
            if each.at is not None:
                product.missing_commits.filter(sha__in=missing, release__released_at__gt=each.at).delete()
            rows = (MissingCommit(product=product, sha=sha, release_id=each.release) for sha in missing)
            MissingCommit.objects.bulk_create(rows, ignore_conflicts=True)


def _claim_what_was_missing(product: Product, *, shas: Collection[str]) -> None:
    """Give the commits that shipped releases waited for to these releases, with all that they reach."""
    tips: dict[tuple[int, datetime | None], list[str]] = defaultdict(list)
    for chunk in chunks(shas):
        came = product.missing_commits.filter(sha__in=chunk)
        for sha, release, at in came.values_list("sha", "release_id", "release__released_at"):
            tips[release, at].append(sha)
        came.delete()
    if tips:
        claim(product, [Claim(release, at, found) for (release, at), found in tips.items()])


def _refresh(product: Product, releases: Iterable[int]) -> list[int]:
    """Recompute the rows of these releases with one load of the graph; answers those whose commits changed."""
    tips: dict[int, set[str]] = {release: set() for release in releases}
    for release, sha in BUILDS.objects.filter(release__in=list(tips)).values_list("release_id", "build__commit_sha"):
        tips[release].add(sha)
    graph = _graph(product, Q(first_release=None) | Q(first_release__in=list(tips))) if any(tips.values()) else {}
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
    _link(fresh)
    return changed
