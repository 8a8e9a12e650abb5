"""Rows of a product's past, recorded by the commands of each noun: one way for whole files and for a repaired row."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from deployments.commands.incidents import record_incident
from deployments.models import Incident
from releasemgmt.accounts.models import User
from releasemgmt.catalog.commands import create_component
from releasemgmt.catalog.models import Component, Product
from releasemgmt.integrations.history import (
    BadValueError,
    CommitRow,
    IncidentRow,
    ItemRow,
    TagRow,
    ancestry,
    parse,
)
from releasemgmt.releases.commands.containment import descends
from releasemgmt.releases.commands.importing import (
    Imported,
    PastFix,
    PastRelease,
    import_commits,
    import_fixed,
    import_past,
)
from releasemgmt.releases.policies import Kind, classify
from releasemgmt.workflow.commands import command
from releasemgmt.workflow.errors import Invalid

SEVERITIES: Mapping[str, str] = {
    Incident.Kind.DOWN: Incident.Severity.MAJOR,
    Incident.Kind.DEGRADED: Incident.Severity.MINOR,
    Incident.Kind.NOTICE: Incident.Severity.MINOR,
}
#: What a component's key is not made of.
NO_KEY = re.compile(r"[^a-z0-9]+")
LONGEST_KEY = 60
#: What stands between the words of a name.
BETWEEN = re.compile(r"[\s_.,:;/()-]+")


def record_row(
    product: Product, source: str, text: str, *, refers_to: Mapping[str, str], actor: User, now: datetime
) -> None:
    """Record one row of a file; Invalid where it can't be, and where what it says is there already."""
    try:
        row = parse(source, text)
    except BadValueError as error:
        raise Invalid({"row": str(error)}) from error
    if isinstance(row, CommitRow):
        is_new = _record_commit(product, row, refers_to=refers_to, actor=actor, now=now)
    elif isinstance(row, TagRow):
        is_new = row.kind != "production" or _record_tag(product, row, actor=actor, now=now)
    elif isinstance(row, ItemRow):
        item = replace(row, release=version_of(row.release, product))
        is_new = row.kind != "defect_fixed" or bool(record_items(product, [item], actor=actor, now=now))
    else:
        named = components_named(product, row.affected, actor=actor)
        is_new = record_revision(product, row, named, actor=actor, now=now)
    if not is_new:
        raise Invalid({"row": "What it says is there already: dismiss it instead."})


def record_commits(product: Product, rows: Iterable[CommitRow], *, actor: User, now: datetime) -> int:
    """Take in commits whose parents are hashes; answers how many are new."""
    facts = [
        {
            "sha": row.sha,
            "parents": list(row.parents),
            "authored_at": row.authored_at,
            "committed_at": row.committed_at,
            "author": row.author,
            "is_bot": row.is_bot,
        }
        for row in rows
    ]
    return import_commits(product, commits=facts, actor=actor, now=now)


def record_tags(product: Product, rows: Iterable[TagRow], *, actor: User, now: datetime) -> Imported:
    """Record production tags as past releases; Invalid for one that lies in the future."""
    in_order = sorted(rows, key=lambda row: row.is_alias)  # of two tags of an instant the other names the release
    past: list[PastRelease] = [
        {"version": version_of(row.tag, product), "released_at": row.released_at, "sha": row.sha} for row in in_order
    ]
    return import_past(product, releases=past, actor=actor, now=now)


def record_items(product: Product, rows: Iterable[ItemRow], *, actor: User, now: datetime) -> int:
    """Record fixed defects of releases by their versions; Invalid where there is none. Answers how many are new."""
    fixes: list[PastFix] = [{"version": row.release, "text": row.text, "issues": row.issues} for row in rows]
    return import_fixed(product, fixes=fixes, actor=actor, now=now)


def record_revision(
    product: Product, row: IncidentRow, named: Mapping[str, Component], *, actor: User, now: datetime
) -> bool:
    """Record what was published of an incident, with its components by their names; answers whether that is news.

    Invalid for what will be published later.
    """
    if row.recorded_at > now:
        raise Invalid({"recorded_at": f"It was recorded in the future, {row.recorded_at:%Y-%m-%d %H:%M}."})
    if row.is_deleted:
        if not Incident.objects.filter(product=product, external_id=row.id).exists():
            return False
        facts: dict[str, Any] = {"withdrawn": True}
    else:
        facts = {name: getattr(row, name) for name in ("title", "kind", "started_at", "restored_at", "planned")}
        components = list({named[name] for name in row.affected if name in named})
        facts |= {"severity": SEVERITIES[row.kind], "components": components, "withdrawn": False}
    _incident, is_news = record_incident(
        product=product, external_id=row.id, recorded_at=row.recorded_at, actor=actor, **facts
    )
    return is_news


def components_named(product: Product, names: Iterable[str], *, actor: User) -> dict[str, Component]:
    """Name → component, by its name or key, however it is written; one that the product lacks is made."""
    said = {name: words for name in names if (words := _words(name))}
    with command():
        keyed = {each.key: each for each in product.components.all()}
        # A key that is only what is left of a name says no other name: C++ may have the key c.
        known = {key: each for key, each in keyed.items() if key != _key(each.name)}
        known |= {_words(each.name): each for each in keyed.values()}
        found = {name: keyed[name] for name in said if name in keyed}
        for name, words in said.items():
            if name not in found and words not in known:
                key = _free(_key(name), words, keyed)
                known[words] = keyed.get(key) or create_component(product, key=key, name=name, actor=actor)
                keyed[key] = known[words]
        return {name: known[words] for name, words in said.items() if name not in found} | found


def version_of(tag: str, product: Product) -> str:
    """The version that a production tag names; one of another shape is its own version."""
    kind, version = classify(tag, product=product.key)
    return version if kind is Kind.RELEASE else tag


def _record_commit(
    product: Product, row: CommitRow, *, refers_to: Mapping[str, str], actor: User, now: datetime
) -> bool:
    if lost := ancestry.unknown(row, refers_to):
        raise Invalid({"row": f"What its parent {lost[0]} is can't be told any more: write the commit's hash."})
    parents = ancestry.hashes(row, refers_to)
    if descends(product, parents, sha=row.sha):
        raise Invalid({"row": "A parent descends from it: the rows go in a circle."})
    return bool(record_commits(product, [replace(row, parents=parents)], actor=actor, now=now))


def _record_tag(product: Product, row: TagRow, *, actor: User, now: datetime) -> bool:
    imported = record_tags(product, [row], actor=actor, now=now)
    if imported.conflicts:
        raise Invalid({"row": " ".join(imported.conflicts.values())})
    return bool(imported.new)


def _words(name: str) -> str:
    """The name, however it is written: what its words are, and not what stands between them."""
    return BETWEEN.sub("-", name.casefold()).strip("-")


def _key(name: str) -> str:
    return NO_KEY.sub("-", name.lower()).strip("-")[:LONGEST_KEY].strip("-")


def _free(key: str, words: str, taken: Collection[str]) -> str:
    """The key, with a mark of the whole name where nothing is left of that, or another one has the key."""
    if key and key not in taken:
        return key
    mark = sha256(words.encode()).hexdigest()[:8]
    return f"{key[: LONGEST_KEY - 9]}-{mark}".strip("-")
