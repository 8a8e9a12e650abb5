"""The past: what reached users before this service knew the product, and the defects that were fixed with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict

from django.db.models import Count, Min

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.releases.commands.commits import take_in
from releasemgmt.releases.commands.containment import Claim, chunks, claim, tips
from releasemgmt.releases.models import DefectLink, KnownDefect, Release
from releasemgmt.workflow.commands import command, lock, permit, record
from releasemgmt.workflow.errors import Invalid

#: Releases written in one transaction, with one event.
BATCH = 1_000
TITLE = 200
CORE = re.compile(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?")


class PastRelease(TypedDict):
    """A release that has happened: its version, when it reached users, and the commit that it was made of."""

    version: str
    released_at: datetime
    sha: str


class PastFix(TypedDict):
    """A defect that a past release fixed, as its changelog says it; when it was opened is not known."""

    version: str
    text: str
    issues: Sequence[str]


@dataclass
class Imported:
    """What an import did with each version it was given."""

    new: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    #: Each with the version of the release that it is another name of.
    aliases: list[tuple[str, str]] = field(default_factory=list)
    #: Version and commit → why it is no release: the version is one of another commit.
    conflicts: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass
class Known:
    """Which commit a version stands for, and which version a commit was released as."""

    commits: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def import_commits(product: Product, *, commits: list[dict[str, Any]], actor: User, now: datetime) -> int:
    """Take in commits of the past as `send_commits` does those of pipelines; answers how many were new."""
    with command():
        permit(actor, product, roles.administrate_or_system, to="import past commits")
        return take_in(product, commits, actor=actor, now=now)


def import_past(product: Product, *, releases: Iterable[PastRelease], actor: User, now: datetime) -> Imported:
    """Record past releases as closed, each owning the commits that it was the first to contain, in time order.

    A version that the product has already stays as it is. A second version of the same commit is an alias, not a second
    release, whenever it comes, unless the first contained nothing new; one that stands for another commit already is a
    conflict. Releases that were imported or deployed before, yet came later, hand over what these contained first. At
    most 1,000 are written in a transaction, with one event on the product's stream: an import that was cut short is
    completed by the next.
    """
    given = list(releases)
    errors = {
        f"releases.{n}.released_at": f"{past['version']} lies in the future."
        for n, past in enumerate(given)
        if past["released_at"] > now
    }
    if errors:
        raise Invalid(errors)
    imported, known = Imported(), Known()
    for batch in chunks(_in_time_order(product, given), BATCH):
        with command():
            permit(actor, product, roles.administrate_or_system, to="import past releases")
            _import(lock(product), batch, actor=actor, now=now, known=known, imported=imported)
    return imported


def _in_time_order(product: Product, given: Sequence[PastRelease]) -> list[PastRelease]:
    """The earliest first; of those that were released in the same instant, that with the older commit."""
    committed: dict[str, datetime] = {}
    for chunk in chunks({past["sha"] for past in given}):
        committed.update(product.commits.filter(sha__in=chunk).values_list("sha", "committed_at"))
    return sorted(given, key=lambda past: (past["released_at"], committed.get(past["sha"], past["released_at"])))


def _import(
    product: Product,
    batch: Sequence[PastRelease],
    *,
    actor: User,
    now: datetime,
    known: Known,
    imported: Imported,
) -> None:
    new = _sort_out(product, batch, known, imported)
    if not new:
        return
    rows = Release.objects.bulk_create(_past(product, past, actor=actor) for past in new)
    claims = [Claim(row.pk, past["released_at"], [past["sha"]]) for row, past in zip(rows, new, strict=True)]
    claim(product, claims, now=now)
    imported.new += [past["version"] for past in new]
    facts: Mapping[str, object] = {"new": len(new), "versions": [past["version"] for past in new]}
    record(product, "releases.release.import", actor=actor, data=facts)


def _sort_out(product: Product, batch: Sequence[PastRelease], known: Known, imported: Imported) -> list[PastRelease]:
    """Those that are new; of the others it is noted why they are not."""
    stored = product.releases.filter(version__in=[past["version"] for past in batch])
    present = set(stored.values_list("version", flat=True))
    came_out = set(stored.exclude(released_at=None).values_list("version", flat=True))
    built = product.releases.exclude(released_at=None).values_list("version")
    of_one = built.annotate(commits=Count("builds__commit_sha", distinct=True), sha=Min("builds__commit_sha"))
    known.versions |= {sha: version for version, _one, sha in of_one.filter(commits=1)}
    made_of = tips(product)
    known.versions |= made_of
    known.commits |= {version: sha for sha, version in made_of.items()}
    for past in batch:
        version, sha = past["version"], past["sha"]
        if version in came_out and known.commits.setdefault(version, sha) == sha:
            known.versions.setdefault(sha, version)
    seen = {*imported.new, *imported.present}
    new = []
    for past in batch:
        version, sha = past["version"], past["sha"]
        other = known.commits.setdefault(version, sha)
        if other != sha:
            imported.conflicts[version, sha] = f"{version} is commit {other[:10]} already, and not {sha[:10]} too."
            continue
        name = known.versions.setdefault(sha, version)
        if version in seen or (name != version and version not in present):
            imported.aliases.append((version, name))
        elif version in present:
            imported.present.append(version)
        else:
            new.append(past)
        seen.add(version)
    return new


def _past(product: Product, past: PastRelease, *, actor: User) -> Release:
    """The only place where a release begins in another state than planned: its life is over already."""
    return Release(
        product=product,
        version=past["version"],
        type=type_of(past["version"]),
        model_id=product.default_model_id,
        state=Release.State.CLOSED,
        created_by=actor,
        imported=True,
        released_at=past["released_at"],
    )


def import_fixed(product: Product, *, fixes: Sequence[PastFix], actor: User, now: datetime) -> int:
    """Record defects as closed, each fixed in a release of the product that has its version; answers how many are new.

    A release that says the same of two defects has two. One event on the product's stream says so.
    """
    with command():
        permit(actor, product, roles.administrate_or_system, to="import fixed defects")
        product = lock(product)
        releases = dict(product.releases.values_list("version", "pk"))
        if unknown := [fix["version"] for fix in fixes if fix["version"] not in releases]:
            raise Invalid({"version": f"{product} has no release {unknown[0]}."})
        rows = [(releases[fix["version"]], _fixed(product, fix, actor=actor)) for fix in fixes]
        known = Counter(_imported_before(product))
        new = []
        for release, defect in rows:
            said = (release, defect.title, defect.symptom)
            if known[said]:
                known[said] -= 1
            else:
                new.append((release, defect))
        if new:
            KnownDefect.objects.bulk_create(defect for _release, defect in new)
            relation = DefectLink.Relation.FIXED_IN
            links = [DefectLink(release_id=release, defect=defect, relation=relation) for release, defect in new]
            DefectLink.objects.bulk_create(links)
            record(product, "releases.knowndefect.import", actor=actor, data={"new": len(new)})
        return len(new)


def _imported_before(product: Product) -> Iterable[tuple[int, str, str]]:
    links = DefectLink.objects.filter(defect__product=product, defect__imported=True, relation="fixed_in")
    return links.values_list("release_id", "defect__title", "defect__symptom")


def _fixed(product: Product, fix: PastFix, *, actor: User) -> KnownDefect:
    """The only place where a defect begins in another state than open: its life is over already."""
    text = fix["text"]
    return KnownDefect(
        product=product,
        title=text if len(text) <= TITLE else text[: TITLE - 1] + "…",
        symptom=text if len(text) > TITLE else "",
        external_reference=" ".join(fix["issues"])[:500],
        state=KnownDefect.State.CLOSED,
        imported=True,
        opened_at=None,
        reported_by=actor,
    )


def type_of(version: str) -> Release.Type:
    """What the numbers say: 2.0.0 is major, 2.1.0 minor, 2.1.3 a patch."""
    numbers = CORE.search(version)
    _major, minor, patch = numbers.groups() if numbers else (None, None, None)
    if int(patch or 0):
        return Release.Type.PATCH
    return Release.Type.MINOR if numbers is None or int(minor or 0) else Release.Type.MAJOR
