"""Figures of deployments that failed: how many, and how long until that was repaired."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import OuterRef, Q, QuerySet, Subquery

from deployments.models import DeployedBuild, Deployment
from releasemgmt.kpis.definitions import OBSERVATION, Span
from releasemgmt.kpis.queries.deployments import ROLLBACK, deployed, production
from releasemgmt.kpis.queries.figure import OPEN, Figure, Row, ratio, survival, tally
from releasemgmt.kpis.queries.gathered import SECOND, Columns, Number, OneOf, instant, number
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
    """What was deployed to repair a deployment: it says so, or it is a rollback of what ran before it."""
    before = _before(scope).exclude(kind=ROLLBACK, status=Deployment.Status.FAILED)
    rows = production(scope).filter(Q(kind=ROLLBACK) | Q(remediates__isnull=False), finished_at__gte=scope.span.begin)
    rows = rows.filter(Q(remediates=None) | Q(remediates__finished_at__gte=scope.span.begin))
    rows = rows.annotate(**{f"last_{name}": Subquery(before.values(name)[:1]) for name in ("pk", "status")})
    columns = ("pk", "remediates_id", "last_pk", "last_status", Number("finished_at"), "status", "kind")
    links: Any = list(rows.values_list(*columns))
    took_back = _took_back(scope, [pk for pk, named, *_facts in links if not named])
    for pk, named, last_pk, last_status, at, status, kind in links:
        last = {last_pk} - {None}
        failed = last if last_status == Deployment.Status.FAILED else set()
        for target in {named} if named else took_back.get(pk, last) or failed:
            yield Repair(target, at, status == Deployment.Status.SUCCEEDED, kind == ROLLBACK)


def _before(scope: Scope) -> QuerySet[Deployment]:
    """What was over in the same environment before another deployment (an outer query) was, the latest first."""
    place = {name: OuterRef(name) for name in ("product", "environment")}
    over = [Deployment.Status.SUCCEEDED, Deployment.Status.FAILED]
    rows = Deployment.objects.filter(**place, status__in=over, finished_at__lte=OuterRef("finished_at"))
    rows = rows.exclude(pk=OuterRef("pk")).order_by("-finished_at", "-pk")
    return rows.filter(recorded_at__lte=scope.as_of) if scope.looks_back else rows


def _took_back(scope: Scope, rollbacks: Sequence[int]) -> dict[int, set[int]]:
    """Rollback → the deployments that had brought what ran instead, component by component; without builds no entry."""
    if not rollbacks:
        return {}
    place = {name: OuterRef(name) for name in ("component", "environment")}
    ran: Any = DeployedBuild.objects.filter(**place).order_by("-succeeded_at", "-pk")
    ran = ran.filter(deployment__recorded_at__lte=scope.as_of) if scope.looks_back else ran
    before = ran.filter(succeeded_at__lte=OuterRef("deployment__finished_at"))
    before = before.exclude(deployment=OuterRef("deployment")).values("pk")[:1]
    brought: Any = DeployedBuild.objects.filter(OneOf("deployment", rollbacks)).annotate(before=Subquery(before))
    links = list(brought.values_list("deployment", "build", "before"))
    first = ran.filter(build=OuterRef("build"), succeeded_at__lte=OuterRef("succeeded_at"))
    first = first.exclude(deployment__kind=ROLLBACK).values("deployment")[:1]
    there: Any = DeployedBuild.objects.filter(OneOf("pk", [before for *_facts, before in links if before]))
    found = {pk: facts for pk, *facts in there.annotate(by=Subquery(first)).values_list("pk", "build", "by")}
    took_back: dict[int, set[int]] = defaultdict(set)
    for rollback, build, key in links:
        ran_build, by = found.get(key, (build, None))
        took_back[rollback] |= {by} if by and ran_build != build else set()
    return took_back


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
