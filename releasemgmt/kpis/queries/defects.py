"""Time to repair: from when a known defect was opened to when its fix ran in production."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import QuerySet

from releasemgmt.kpis.definitions import Span, seconds_between
from releasemgmt.kpis.queries.events import Happened, happened
from releasemgmt.kpis.queries.figure import MEAN, OPEN, Figure, Row, survival, tally
from releasemgmt.kpis.queries.scope import Scope
from releasemgmt.releases.models import DefectLink, KnownDefect

REJECTED, NO_OPENING, NO_RELEASE, SKEW = "rejected", "no_opening_date", "fix_in_no_release", "skew"
State = KnownDefect.State


class Known(NamedTuple):
    """A known defect: since when, until when, and why it does not count if it does not."""

    pk: int
    opened_at: datetime | None
    ended_at: datetime | None
    left_out: str


def known_defects(scope: Scope) -> list[Known]:
    return scope.once("defects", _known_defects)


def _known_defects(scope: Scope) -> list[Known]:
    rows = _rows(scope)
    life: dict[int, list[Happened]] = defaultdict(list)
    for event in happened(scope, rows, kinds=("fix", "reopen", "reject")):
        life[event.pk].append(event)
    fixed_in = _fixed_in(scope)
    columns = rows.values_list("pk", "state", "opened_at")
    return [_known(scope, *row, life=life[row[0]], releases=fixed_in.get(row[0])) for row in columns]


def _rows(scope: Scope) -> QuerySet[KnownDefect]:
    rows = scope.of(KnownDefect.objects.order_by())
    return rows.filter(created_at__lte=scope.as_of) if scope.looks_back else rows


def _fixed_in(scope: Scope) -> dict[int, list[datetime | None]]:
    """When the releases that fix a defect reached production."""
    links = scope.of(DefectLink.objects.filter(relation=DefectLink.Relation.FIXED_IN), "defect__product")
    found: dict[int, list[datetime | None]] = defaultdict(list)
    for defect, at in links.values_list("defect_id", "release__released_at"):
        found[defect].append(at if at and at <= scope.as_of else None)
    return found


def _known(
    scope: Scope,
    pk: int,
    state: str,
    opened_at: datetime | None,
    *,
    life: Sequence[Happened],
    releases: Sequence[datetime | None] | None,
) -> Known:
    """The clock of a defect that was reopened runs on, until a release with a fix from after that."""
    if scope.looks_back:
        state = {"fix": State.FIXED, "reject": State.REJECTED}.get(life[-1].what if life else "", State.OPEN)
    if state == State.REJECTED:
        return Known(pk, opened_at, life[-1].at if life else opened_at, REJECTED)
    if state in KnownDefect.OPEN_STATES:
        return Known(pk, opened_at, None, "")
    reopened_at = max((event.at for event in life if event.what == "reopen"), default=None)
    if not releases:
        return Known(pk, opened_at, life[-1].at if life else opened_at, NO_RELEASE)
    shipped = [at for at in releases if at and (reopened_at is None or at >= reopened_at)]
    return Known(pk, opened_at, min(shipped, default=None), "" if opened_at else NO_OPENING)


def mttr_defects(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        ended, censored, left_out = [], [], []
        end = scope.seen(span).end
        for defect in known_defects(scope):
            if defect.ended_at is not None and defect.ended_at in span:
                if defect.left_out or defect.opened_at is None:
                    left_out.append(defect.left_out or NO_OPENING)
                else:
                    ended.append(seconds_between(defect.opened_at, defect.ended_at))
            elif defect.opened_at and _waits(defect, end):
                censored.append(seconds_between(defect.opened_at, end))
        left_out += [SKEW for each in ended if each < 0]
        found = survival([max(0, each) for each in ended], censored, tally(left_out))
        yield replace(found, value=found.more["mean"], estimator=MEAN)


def _waits(defect: Any, end: datetime) -> bool:
    opened = not defect.left_out and defect.opened_at is not None and defect.opened_at < end
    return opened and (defect.ended_at is None or defect.ended_at >= end)


def defect_rows(scope: Scope) -> Iterator[Row]:
    end = scope.observed.end
    for defect in known_defects(scope):
        if defect.ended_at is not None and defect.ended_at in scope.span:
            took = seconds_between(defect.opened_at, defect.ended_at) if defect.opened_at else None
            counts = "" if defect.opened_at else NO_OPENING
            yield Row(defect.ended_at, "defect", defect.pk, took and max(0, took), defect.left_out or counts)
        elif _waits(defect, end) and defect.opened_at:
            yield Row(defect.opened_at, "defect", defect.pk, seconds_between(defect.opened_at, end), OPEN)
