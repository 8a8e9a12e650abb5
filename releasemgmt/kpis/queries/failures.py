"""Figures of deployments that failed: how many, and how long until that was repaired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import OuterRef, Q, Subquery

from deployments.models import Deployment
from releasemgmt.kpis.definitions import OBSERVATION, Span, seconds_between
from releasemgmt.kpis.queries.deployments import ROLLBACK, deployed, production
from releasemgmt.kpis.queries.figure import OPEN, Figure, Row, ratio, survival, tally
from releasemgmt.kpis.queries.incidents import causes, suspicions
from releasemgmt.kpis.queries.scope import Scope, Timeline

SKEW = "skew"


class Failures(NamedTuple):
    """Which deployments failed, and when each was repaired first, if it was."""

    confirmed: set[int]
    suggested: set[int]
    rolled_back: set[int]
    recovered_at: dict[int, datetime]


def failures(scope: Scope) -> Failures:
    return scope.once("failures", _failures)


def _failures(scope: Scope) -> Failures:
    """What links a deployment to its failure: what was deployed to repair it, and incidents that it caused."""
    repairs, caused = list(_repairs(scope)), causes(scope)
    ends = [(each.target, each.at) for each in repairs if each.succeeded]
    recovered_at: dict[int, datetime] = {}
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
    at: datetime
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
    named = Q(remediates__finished_at__gte=scope.span.begin)
    rows = production(scope).filter(named | Q(remediates=None, kind=ROLLBACK), finished_at__gte=scope.span.begin)
    columns = ("remediates_id", "previous", "finished_at", "status", "kind")
    links: Any = rows.annotate(previous=Subquery(before.values("pk")[:1])).values_list(*columns)
    for remediates, previous, at, status, kind in links:
        if target := remediates or previous:
            yield Repair(target, at, status == Deployment.Status.SUCCEEDED, kind == ROLLBACK)


class Change(NamedTuple):
    """What reached users, and whether it is known, or suspected, to have failed."""

    at: datetime
    kind: str
    pk: int
    failed: bool
    is_suspect: bool


def changes(scope: Scope) -> Timeline[Change]:
    """What took traffic: it succeeded, or it was rolled back; rollbacks themselves are none."""
    return scope.once("changes", lambda each: Timeline(_changes(each)))


def _changes(scope: Scope) -> Iterator[Change]:
    found = failures(scope)
    suspects = found.confirmed | found.suggested
    for each in deployed(scope).facts:
        key = each.pk if each.kind == "deployment" else None
        if not each.goes_back and (each.succeeded or key in found.rolled_back):
            yield Change(each.at, each.kind, each.pk, key in found.confirmed, key in suspects)


def change_fail_rate(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    young = scope.as_of - OBSERVATION
    for span in spans:
        found = changes(scope).within(span)
        failed = sum(each.failed for each in found)
        yield ratio(
            failed,
            len(found),
            failed=failed,
            inferred=sum(each.is_suspect for each in found) / len(found) if found else None,
            maturing=sum(each.at > young and not each.failed for each in found),
        )


def fail_rows(scope: Scope) -> Iterator[Row]:
    """Each that took traffic; 1 where it failed, 0.5 where an incident is suspected to be its failure."""
    for each in changes(scope).within(scope.span):
        failed = 1.0 if each.failed else 0.5 if each.is_suspect else 0.0
        yield Row(each.at, each.kind, each.pk, failed)


def failed_deployment_recovery_time(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        rows = list(_recoveries(scope, span))
        ended = [row.value for row in rows if row.left_out != OPEN]
        censored = [row.value for row in rows if row.left_out == OPEN]
        skewed = tally(SKEW for each in ended if each < 0)
        yield survival([max(0, each) for each in ended], censored, skewed)


class Recovery(NamedTuple):
    """A failed deployment, and the seconds until it was repaired, or for which it has been waiting for that."""

    at: datetime
    pk: int
    value: int
    left_out: str


def _recoveries(scope: Scope, span: Span) -> Iterator[Recovery]:
    found = failures(scope)
    for each in deployed(scope).within(span):
        if each.kind == "deployment" and each.pk in found.confirmed:
            until = found.recovered_at.get(each.pk)
            yield Recovery(each.at, each.pk, seconds_between(each.at, until or scope.as_of), "" if until else OPEN)


def recovery_rows(scope: Scope) -> Iterator[Row]:
    for each in _recoveries(scope, scope.span):
        yield Row(each.at, "deployment", each.pk, max(0, each.value), each.left_out)
