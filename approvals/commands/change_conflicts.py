"""Conflicts of changes as rows, kept beside the changes whose plans they come from."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from approvals import queries
from approvals.models import ChangeConflict, ChangeRequest


def refresh_conflicts(change: ChangeRequest, *, now: datetime) -> None:
    """Bring the conflicts of a locked change with others up to date; those that stand keep their date."""
    found = {
        (min(change.pk, other), max(change.pk, other), kind): detail
        for other, kind, detail in queries.found_conflicts(change)
    }
    rows = ChangeConflict.objects.filter(Q(change=change) | Q(other=change), other__isnull=False)
    known = {(row.change_id, row.other_id or 0, row.kind): row for row in rows}
    gone = [row.pk for key, row in known.items() if found.get(key) != row.detail]
    new = [key for key, detail in found.items() if key not in known or known[key].detail != detail]
    if gone:
        ChangeConflict.objects.filter(pk__in=gone).delete()
    if new:
        ChangeConflict.objects.bulk_create(
            [
                ChangeConflict(change_id=a, other_id=b, kind=kind, detail=found[a, b, kind], found_at=now)
                for a, b, kind in new
            ],
            ignore_conflicts=True,
        )
