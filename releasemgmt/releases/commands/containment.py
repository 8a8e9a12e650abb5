"""Containment: each commit belongs to the first release that contains it, in whatever order they become known.

A walk goes from a release's commits to their parents and stops at what an earlier release owns, so that only new
commits are walked, and a release that comes to light late takes over from releases after it alone. All of it is written
under the product's lock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from django.db.models import BigIntegerField, DateTimeField, F, Func, Q, QuerySet, Value

from releasemgmt.catalog.models import Product
from releasemgmt.releases.models import Commit, FormerOwner, MissingCommit, ReleaseCommit

T = TypeVar("T")

#: Rows named in one statement.
CHUNK = 5_000


class WholeSeconds(Func):
    """A span of time in seconds, rounded down, the same on both engines."""

    output_field = BigIntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        whole = "FLOOR(DATE_PART('epoch', %(expressions)s))::bigint"  # three times as fast as EXTRACT, a numeric
        return self.as_sql(compiler, connection, template=whole, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        whole = "CAST(FLOOR((%(expressions)s) / 1000000.0) AS integer)"
        return self.as_sql(compiler, connection, template=whole, **context)


@dataclass(slots=True)
class Node:
    """A commit in the graph, with the release that owns it and since when users have it, if one does."""

    pk: int
    parents: list[str]
    owner: int | None
    since: datetime | None


@dataclass(frozen=True)
class Claim:
    """A shipped release claims what its tips reach and what no release shipped before `at` contains."""

    release: int
    at: datetime
    tips: Collection[str]


def claim(product: Product, claims: Iterable[Claim], *, now: datetime) -> None:
    """Carry out claims, in any order, under the product's lock; other releases lose what they no longer own.

    Of two releases of one instant the one that was recorded first is the earlier.
    """
    claims = sorted(claims, key=lambda each: (each.at, each.release))
    graph = load(product, Q(first_release=None) | Q(released_at__gte=claims[0].at))
    baseline = product.releases.exclude(released_at=None).order_by("released_at", "pk").values_list("pk", flat=True)[0]
    beyond: list[tuple[Claim, set[str]]] = []
    for each in claims:
        nodes, outside = walk(each.tips, graph, through=partial(_yields_to, each))
        _remember([node.pk for node in nodes if node.owner], until=now)
        for node in nodes:
            node.owner, node.since = each.release, each.at
        _own(each, [node.pk for node in nodes], in_baseline=each.release == baseline, now=now)
        beyond.append((each, outside))
    if baseline in {each.release for each in claims}:
        _leave_baseline(product, baseline, now=now)
    disowned = ReleaseCommit.objects.filter(release__product=product, commit__first_release__isnull=False)
    disowned.exclude(commit__first_release=F("release")).delete()
    _await(product, beyond)


def claim_what_was_missing(product: Product, *, shas: Collection[str], now: datetime) -> None:
    """Give the commits that shipped releases waited for to these releases, with all that they reach."""
    tips: dict[tuple[int, datetime], list[str]] = defaultdict(list)
    for chunk in chunks(shas):
        came = product.missing_commits.filter(sha__in=chunk)
        for sha, release, at in came.values_list("sha", "release_id", "released_at"):
            tips[release, at].append(sha)
        came.delete()
    if tips:
        claim(product, [Claim(release, at, found) for (release, at), found in tips.items()], now=now)


def load(product: Product, rows: Q) -> dict[str, Node]:
    """The graph of such commits of a product. One statement."""
    commits = Commit.objects.filter(rows, product=product)
    facts = commits.values_list("sha", "pk", "parents", "first_release_id", "released_at")
    return {sha: Node(pk, parents, owner, since) for sha, pk, parents, owner, since in facts.iterator()}


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


def descends(product: Product, shas: Iterable[str], *, sha: str) -> bool:
    """Whether one of the commits is that commit or comes after it."""
    graph = load(product, Q())
    nodes, outside = walk(shas, graph, through=lambda _node: True)
    return sha in outside or (sha in graph and graph[sha] in nodes)


def tips(product: Product) -> dict[str, str]:
    """The commits that past releases were made of → their versions. Two statements.

    No past release keeps its commit: it is the one that it owns, or waits for, and that none of its others descends
    from. What an earlier release contains as a whole owns nothing, and has none here.
    """
    owned = Commit.objects.filter(product=product, first_release__imported=True)
    rows = list(owned.values_list("first_release__version", "sha", "parents").iterator())
    above = {(version, parent) for version, _sha, parents in rows for parent in parents}
    missing = product.missing_commits.filter(release__imported=True).values_list("release__version", "sha")
    found = [*((version, sha) for version, sha, _parents in rows), *missing]
    return {sha: version for version, sha in found if (version, sha) not in above}


def chunks(rows: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """The rows in lists of at most `size`."""
    rest = iter(rows)
    while chunk := list(islice(rest, size)):
        yield chunk


def link(pairs: Iterable[tuple[int, int]]) -> None:
    """Note which releases bring which commits, by their keys."""
    rows = [ReleaseCommit(release_id=release, commit_id=commit) for release, commit in pairs]
    ReleaseCommit.objects.bulk_create(rows, ignore_conflicts=True)


def _yields_to(claim: Claim, node: Node) -> bool:
    """Whether a commit goes over to a release: it has no owner, or one that came later."""
    if node.owner is None or node.since is None:
        return True
    return (node.since, node.owner) > (claim.at, claim.release)


def _own(claim: Claim, commits: Collection[int], *, in_baseline: bool, now: datetime) -> None:
    lead = WholeSeconds(Value(claim.at, DateTimeField()) - F("committed_at"))
    for chunk in chunks(commits):
        Commit.objects.filter(pk__in=chunk).update(
            first_release=claim.release,
            released_at=claim.at,
            lead_seconds=lead,
            in_baseline=in_baseline,
            owned_since=now,
        )
    link((claim.release, commit) for commit in commits)


def _leave_baseline(product: Product, baseline: int, *, now: datetime) -> None:
    """A release came to light that is earlier than the first that was known: what is left of that counts from now."""
    left = Commit.objects.filter(product=product, in_baseline=True).exclude(first_release=baseline)
    pks = list(left.values_list("pk", flat=True))
    _remember(pks, until=now)
    for chunk in chunks(pks):
        Commit.objects.filter(pk__in=chunk).update(in_baseline=False, owned_since=now)


def _remember(commits: Collection[int], *, until: datetime) -> None:
    """Keep what was known of the commits until now, for questions about what was known then."""
    for chunk in chunks(commits):
        FormerOwner.objects.bulk_create(_former(Commit.objects.filter(pk__in=chunk), until=until))


def _former(commits: QuerySet[Commit], *, until: datetime) -> list[FormerOwner]:
    facts = ("released_at", "lead_seconds", "in_baseline", "owned_since")
    return [
        FormerOwner(commit_id=pk, release_id=release, owned_until=until, **dict(zip(facts, known, strict=True)))
        for pk, release, *known in commits.values_list("pk", "first_release_id", *facts)
    ]


def _await(product: Product, beyond: Iterable[tuple[Claim, set[str]]]) -> None:
    """Remember which of the shas that walks ran into are unknown, so that they are claimed when they come."""
    known: set[str] = set()
    for chunk in chunks(set().union(*(shas for _claim, shas in beyond))):
        known.update(product.commits.filter(sha__in=chunk).values_list("sha", flat=True))
    for each, shas in beyond:
        if missing := shas - known:
            later = Q(released_at__gt=each.at) | Q(released_at=each.at, release__gt=each.release)
            product.missing_commits.filter(later, sha__in=missing).delete()
            rows = (
                MissingCommit(product=product, sha=sha, release_id=each.release, released_at=each.at) for sha in missing
            )
            MissingCommit.objects.bulk_create(rows, ignore_conflicts=True)
