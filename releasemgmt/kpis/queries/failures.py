"""Figures of deployments that failed: how many, and how long until that was repaired."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import OuterRef, Q, Subquery

from deployments.models import Deployment
from releasemgmt.kpis.definitions import OBSERVATION, Span
from releasemgmt.kpis.queries.deployments import ROLLBACK, deployed, production
from releasemgmt.kpis.queries.figure import OPEN, Figure, Row, ratio, survival, tally
from releasemgmt.kpis.queries.gathered import SECOND, Columns, Number, instant, number
from releasemgmt.kpis.queries.incidents import causes, suspicions
from releasemgmt.kpis.queries.scope import Scope

SKEW = "skew"


class Failures(NamedTuple):
    """Which deployments failed, and when each was repaired first, if it was."""

    confirmed: set[int]
    suggested: set[int]
    rolled_back: set[int]
    recovered_at: dict[int, int]


def failures(scope: Scope) -> Failures:
    return scope.once("failures", _failures)


def _failures(scope: Scope) -> Failures:
    """What links a deployment to its failure: what was deployed to repair it, and incidents that it caused."""
    repairs, caused = list(_repairs(scope)), causes(scope)
    ends = [(each.target, each.at) for each in repairs if each.succeeded]
    recovered_at: dict[int, int] = {}
    for target, at in [*ends, *((cause, at) for cause, at in caused if at)]:
        recovered_at[target] = min(at, recovered_at.get(target, at))
    return Failures(
        confirmed={each.target for each in repairs} | {cause for cause, _at in caused},
        suggested=set(suspicions(scope)),
        rolled_back={each.target for each in repairs if each.goes_back},
        recovered_at=recovered_at,
    )


class Repair(NamedTuple):
    """What was deployed to repair a deployment, well or not."""

    target: int
    at: int
    succeeded: bool
    goes_back: bool


def _repairs(scope: Scope) -> Iterator[Repair]:
    """What was deployed to repair a deployment: it says so, or it is a rollback of the one before it."""
    before = Deployment.objects.filter(
        product=OuterRef("product"),
        environment=OuterRef("environment"),
        status=Deployment.Status.SUCCEEDED,
        finished_at__lte=OuterRef("started_at"),
    )
    before = before.exclude(kind=ROLLBACK).order_by("-finished_at", "-pk")
    rows = production(scope).filter(Q(kind=ROLLBACK) | Q(remediates__isnull=False), finished_at__gte=scope.span.begin)
    rows = rows.filter(Q(remediates=None) | Q(remediates__finished_at__gte=scope.span.begin))
    columns = ("remediates_id", "previous", Number("finished_at"), "status", "kind")
    links: Any = rows.annotate(previous=Subquery(before.values("pk")[:1])).values_list(*columns)
    for remediates, previous, at, status, kind in links:
        if target := remediates or previous:
            yield Repair(target, at, status == Deployment.Status.SUCCEEDED, kind == ROLLBACK)


@dataclass
class Changes(Columns):
    """What reached users, and whether it is known, or suspected, to have failed."""

    kind: list[str]
    pk: list[int]
    failed: list[bool]
    is_suspect: list[bool]


def changes(scope: Scope) -> Changes:
    """What took traffic: it succeeded, or it was rolled back; rollbacks themselves are none."""
    return scope.once("changes", _changes)


def _changes(scope: Scope) -> Changes:
    known, found = failures(scope), deployed(scope)
    key = [pk if kind == "deployment" else None for kind, pk in zip(found.kind, found.pk, strict=True)]
    took_traffic = [
        not goes_back and (succeeded or each in known.rolled_back)
        for each, succeeded, goes_back in zip(key, found.succeeded, found.goes_back, strict=True)
    ]
    failed = list(map(known.confirmed.__contains__, key))
    suspects = map((known.confirmed | known.suggested).__contains__, key)
    return Changes(found.at, found.kind, found.pk, failed, list(suspects)).where(took_traffic)


def change_fail_rate(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    young = number(scope.as_of - OBSERVATION)
    for span in spans:
        found = changes(scope).within(span)
        failed, maturing = sum(found.failed), bisect_right(found.at, young)
        yield ratio(
            failed,
            len(found),
            failed=failed,
            inferred=sum(found.is_suspect) / len(found) if len(found) else None,
            maturing=found.failed[maturing:].count(False),
        )


def fail_rows(scope: Scope) -> Iterator[Row]:
    """Each that took traffic; 1 where it failed, 0.5 where an incident is suspected to be its failure."""
    for at, kind, pk, failed, is_suspect in changes(scope):
        yield Row(instant(at), kind, pk, 1.0 if failed else 0.5 if is_suspect else 0.0)


def failed_deployment_recovery_time(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        rows = list(_recoveries(scope, span))
        ended = [row.value for row in rows if row.left_out != OPEN]
        censored = [row.value for row in rows if row.left_out == OPEN]
        skewed = tally(SKEW for each in ended if each < 0)
        yield survival([max(0, each) for each in ended], censored, skewed)


class Recovery(NamedTuple):
    """A failed deployment, and the seconds until it was repaired, or for which it has been waiting for that."""

    at: int
    pk: int
    value: int
    left_out: str


def _recoveries(scope: Scope, span: Span) -> Iterator[Recovery]:
    known, found = failures(scope), deployed(scope).within(span)
    for at, kind, pk in zip(found.at, found.kind, found.pk, strict=True):
        if kind == "deployment" and pk in known.confirmed:
            until = known.recovered_at.get(pk, number(scope.as_of))
            yield Recovery(at, pk, (until - at) // SECOND, "" if pk in known.recovered_at else OPEN)


def recovery_rows(scope: Scope) -> Iterator[Row]:
    for each in _recoveries(scope, scope.span):
        yield Row(instant(each.at), "deployment", each.pk, max(0, each.value), each.left_out)
