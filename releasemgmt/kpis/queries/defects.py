"""Time to repair: from when a known defect was opened to when its fix ran in production."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from deployments.queries import DefectLife, defect_lives
from releasemgmt.kpis.definitions import Span, seconds_between
from releasemgmt.kpis.queries.figure import MEAN, OPEN, Figure, Row, survival, tally
from releasemgmt.kpis.queries.scope import Scope

REJECTED, NO_OPENING, SKEW = "rejected", "no_opening_date", "skew"


def lives(scope: Scope) -> list[DefectLife]:
    """Every known defect of the scope."""
    return scope.once("lives", _lives)


def _lives(scope: Scope) -> list[DefectLife]:
    return defect_lives(list(scope.products()), as_of=scope.as_of if scope.looks_back else None)


def _ended_at(life: DefectLife) -> datetime | None:
    return life.rejected_at or life.fixed_at


def _left_out(life: DefectLife) -> str:
    return REJECTED if life.rejected_at else "" if life.opened_at else NO_OPENING


def _open_for(life: DefectLife, end: datetime) -> int | None:
    """For how many seconds it had been open at an instant; None where it was not."""
    ended_at = _ended_at(life)
    if life.opened_at is None or life.opened_at >= end or (ended_at and ended_at < end):
        return None
    return seconds_between(life.opened_at, end)


def _took(life: DefectLife) -> int | None:
    if life.opened_at is None or life.fixed_at is None:
        return None
    return seconds_between(life.opened_at, life.fixed_at)


def mttr_defects(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        end = scope.seen(span).end
        over = [life for life in lives(scope) if _ended_at(life) in span]
        took = [seconds for life in over if not _left_out(life) and (seconds := _took(life)) is not None]
        waiting = [seconds for life in lives(scope) if (seconds := _open_for(life, end)) is not None]
        skewed = [SKEW for seconds in took if seconds < 0]
        found = survival([max(0, each) for each in took], waiting, tally([*map(_left_out, over), *skewed]))
        yield replace(found, value=found.more["mean"], estimator=MEAN)


def defect_rows(scope: Scope) -> Iterator[Row]:
    end = scope.observed.end
    for life in lives(scope):
        ended_at, seconds = _ended_at(life), _took(life)
        if ended_at and ended_at in scope.span:
            yield Row(ended_at, "defect", life.defect_id, seconds and max(0, seconds), _left_out(life))
        elif life.opened_at and (waiting := _open_for(life, end)) is not None:
            yield Row(life.opened_at, "defect", life.defect_id, waiting, OPEN)
