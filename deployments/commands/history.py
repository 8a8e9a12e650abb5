"""A product's whole past out of files: what makes sense is recorded, the rest is quarantined; twice changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import transaction

from deployments.commands.past import (
    components_named,
    record_commits,
    record_items,
    record_revision,
    record_tags,
    version_of,
)
from deployments.commands.quarantine import quarantine, settled
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.integrations.history import BadRow, History
from releasemgmt.integrations.history.lines import Line
from releasemgmt.releases.commands.containment import chunks
from releasemgmt.workflow.commands import permit
from releasemgmt.workflow.errors import Invalid

#: Commits sent in one transaction.
BATCH = 2_000
#: What is left out, in words.
KINDS = {
    "prerelease": "pre-releases",
    "demo": "demo tags",
    "other": "other tags",
    "improvement": "improvements",
    "security": "security notes",
}
Progress = Callable[[int], object]


@dataclass
class Recorded:
    """What an import did: of each noun how many rows there are and how many were new; what was left out, and why."""

    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    bad: list[BadRow] = field(default_factory=list)
    quarantined: int = 0


def import_history(
    product: Product, history: History, *, actor: User, now: datetime, progress: Progress, strict: bool = False
) -> Recorded:
    """Record a product's past; with `strict` all of it, or nothing and Invalid with each row that can't be used.

    What somebody has repaired or dismissed is passed over, whether it could be used by now or not.
    """
    permit(actor, product, roles.administrate_or_system, to="import history")
    history = history.without(settled(product))
    if not strict:
        return _import(product, history, actor=actor, now=now, progress=progress)
    _refuse(history.bad)
    with transaction.atomic():
        recorded = _import(product, history, actor=actor, now=now, progress=progress)
        _refuse(recorded.bad)
        return recorded


def _refuse(bad: Iterable[BadRow]) -> None:
    if errors := {f"{row.source}.{row.line}": row.reason for row in bad}:
        raise Invalid(errors)


def _import(product: Product, history: History, *, actor: User, now: datetime, progress: Progress) -> Recorded:
    """Commits before releases, these before what they fixed; each in transactions of its own."""
    recorded = Recorded(bad=list(history.bad))
    _import_commits(product, history, recorded, actor=actor, now=now, progress=progress)
    aliases = _import_tags(product, history, recorded, actor=actor, now=now)
    progress(len(history.tags))
    _import_items(product, history, recorded, aliases, actor=actor, now=now)
    progress(len(history.items))
    _import_incidents(product, history, recorded, actor=actor, now=now, progress=progress)
    recorded.quarantined = quarantine(product, recorded.bad, actor=actor, now=now)
    return recorded


def _import_commits(
    product: Product, history: History, recorded: Recorded, *, actor: User, now: datetime, progress: Progress
) -> None:
    new = 0
    for batch in chunks(history.commits, BATCH):
        new += record_commits(product, [row for _line, row in batch], actor=actor, now=now)
        progress(len(batch))
    recorded.counts["commits"] = len(history.commits), new


def _import_tags(
    product: Product, history: History, recorded: Recorded, *, actor: User, now: datetime
) -> dict[str, str]:
    """Answers which version is another name of which release."""
    good = []
    for line, tag in history.tags:
        if tag.kind != "production":
            recorded.left_out[KINDS[tag.kind]].append(tag.tag)
        elif tag.released_at > now:
            recorded.bad.append(_bad("releases", line, f"{tag.tag} lies in the future."))
        else:
            good.append((line, tag))
    imported = record_tags(product, [tag for _line, tag in good], actor=actor, now=now)
    for line, tag in good:
        if reason := imported.conflicts.get((version_of(tag.tag, product), tag.sha)):
            recorded.bad.append(_bad("releases", line, reason))
    recorded.counts["past releases"] = len(imported.new) + len(imported.present), len(imported.new)
    if imported.aliases:
        recorded.left_out["second names of the same commit"] = [version for version, _release in imported.aliases]
    return dict(imported.aliases)


def _import_items(
    product: Product, history: History, recorded: Recorded, aliases: Mapping[str, str], *, actor: User, now: datetime
) -> None:
    versions = set(product.releases.values_list("version", flat=True))
    good = []
    for line, item in history.items:
        version = version_of(item.release, product)
        version = version if version in versions else aliases.get(version, version)
        if item.kind != "defect_fixed":
            recorded.left_out[KINDS[item.kind]].append(item.release)
        elif not item.is_released:
            recorded.left_out["fixed in what is not released yet"].append(item.release)
        elif version not in versions:
            recorded.bad.append(_bad("changelog", line, f"{product} has no release {item.release}."))
        else:
            good.append(replace(item, release=version))
    recorded.counts["fixed defects"] = len(good), record_items(product, good, actor=actor, now=now)


def _import_incidents(
    product: Product, history: History, recorded: Recorded, *, actor: User, now: datetime, progress: Progress
) -> None:
    affected = {name for _source, _line, row in history.incidents for name in row.affected}
    named = components_named(product, sorted(affected), actor=actor)
    new = 0
    for source, line, row in history.incidents:
        try:
            new += record_revision(product, row, named, actor=actor, now=now)
        except Invalid as refused:
            recorded.bad.append(_bad(source, line, refused.detail))
        progress(1)
    recorded.counts["revisions of incidents"] = len(history.incidents), new


def _bad(source: str, line: Line, reason: str) -> BadRow:
    return BadRow(source, line.number, line.text, reason)
