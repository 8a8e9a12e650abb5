"""Quarantine: what an import can't use is kept, and repaired or dismissed by a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from deployments.commands.past import record_row
from deployments.models import QuarantinedRow
from deployments.models.quarantine import QuarantineQuerySet
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.integrations.history import BadRow, Said, said
from releasemgmt.integrations.history.rows import NO_TEXT
from releasemgmt.workflow.commands import command, lock, permit, record
from releasemgmt.workflow.errors import Invalid, WrongState

Outcome = QuarantinedRow.Outcome


def quarantine(product: Product, rows: Sequence[BadRow], *, actor: User, now: datetime) -> int:
    """Keep rows that can't be used and that nobody settled, each once however often it is read; answers how many."""
    with command():
        permit(actor, product, roles.administrate_or_system, to="import history")
        product = lock(product)
        known = set(rows_of(product).values_list("fingerprint", flat=True))
        new = {mark: row for mark, row in fingerprints(rows, settled(product)).items() if mark not in known}
        if new:
            QuarantinedRow.objects.bulk_create(
                _quarantined(product, row, mark, actor=actor, now=now) for mark, row in new.items()
            )
            facts = {"rows": len(new), "sources": Counter(row.source for row in new.values())}
            record(product, "deployments.quarantine.add", actor=actor, data=facts)
        return len(new)


def repair_row(row: QuarantinedRow, *, text: str, actor: User, now: datetime) -> QuarantinedRow:
    """Record what a row should have said, by the same way as the rows of the file; Invalid where it still can't be."""
    with command():
        row = _waiting(row, actor=actor)
        row.repaired_row = _storable(text, "row")
        record_row(row.product, row.source, row.repaired_row, refers_to=row.refers_to, actor=actor, now=now)
        return _settle(row, Outcome.REPAIRED, actor=actor, now=now)


def dismiss_row(row: QuarantinedRow, *, reason: str, actor: User, now: datetime) -> QuarantinedRow:
    """Say that a row is to be left out for good, and why."""
    with command():
        row = _waiting(row, actor=actor)
        if not reason.strip():
            raise Invalid({"reason": "Say the reason."})
        row.settled_because = _storable(reason, "reason")
        return _settle(row, Outcome.DISMISSED, actor=actor, now=now)


def settled(product: Product) -> Counter[Said]:
    """What rows say that somebody has repaired or dismissed, and how many of each."""
    rows = rows_of(product).exclude(outcome="").values_list("source", "line", "row")
    return Counter(said(*row) for row in rows)


def fingerprints(rows: Iterable[BadRow], before: Counter[Said]) -> Mapping[str, BadRow]:
    """What tells each row from the others: what it says, and the how-manieth that is after those before."""
    seen = before.copy()
    found = {}
    for row in rows:
        source, text, line = key = said(row.source, row.line, row.text)
        seen[key] += 1
        told = text or f"\n{line}"
        found[sha256(f"{source}\n{seen[key]}\n{told}".encode()).hexdigest()] = row
    return found


def rows_of(product: Product) -> QuarantineQuerySet:
    """What is quarantined of a product, settled or not."""
    return QuarantinedRow.objects.filter(product=product)


def _quarantined(product: Product, row: BadRow, mark: str, *, actor: User, now: datetime) -> QuarantinedRow:
    return QuarantinedRow(
        product=product,
        source=row.source,
        line=row.line,
        row=row.text,
        reason=row.reason,
        refers_to=dict(row.refers_to),
        fingerprint=mark,
        recorded_at=now,
        recorded_by=actor,
    )


def _waiting(row: QuarantinedRow, *, actor: User) -> QuarantinedRow:
    """The row, locked and as it is now; refused where it is settled. Its product comes last in the order of locks."""
    permit(actor, row.product, roles.administrate_or_system, to="settle rows of an import")
    locked = QuarantinedRow.objects.select_for_update(of=("self",), no_key=True).select_related("product__team")
    row = locked.get(pk=row.pk)
    if not row.is_waiting:
        raise WrongState(f"{row}, is {row.get_outcome_display().lower()} already.", allowed=[])
    return row


def _storable(text: str, name: str) -> str:
    """The text without what surrounds it; refused where no column takes it."""
    if NO_TEXT.search(text):
        raise Invalid({name: f"The {name} holds a character that no text has."})
    return text.strip()


def _settle(row: QuarantinedRow, outcome: Outcome, *, actor: User, now: datetime) -> QuarantinedRow:
    row.outcome, row.settled_by, row.settled_at = outcome, actor, now
    row.save(update_fields=["outcome", "repaired_row", "settled_because", "settled_by", "settled_at"])
    facts: dict[str, Any] = {"row": row.pk, "source": row.source, "line": row.line}
    facts |= {"text": row.repaired_row} if row.repaired_row else {"reason": row.settled_because}
    kind = "repair" if outcome == Outcome.REPAIRED else "dismiss"
    record(lock(row.product), f"deployments.quarantine.{kind}", actor=actor, data=facts)
    return row
