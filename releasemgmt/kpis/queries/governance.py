"""Figures of the way to production, from the event log and the rounds: where time is spent, and what is done twice."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from django.db.models import OuterRef, Q, QuerySet, Subquery

from approvals.models import ApprovalRound, ChangeRequest
from releasemgmt.kpis.definitions import Span, seconds_between, spread
from releasemgmt.kpis.queries.events import Happened, happened
from releasemgmt.kpis.queries.figure import COUNT, OPEN, Figure, Open, Row, ratio, survival
from releasemgmt.kpis.queries.scope import Scope, Timeline
from releasemgmt.releases.models import Release
from releasemgmt.workflow.models import LAST, Event
from releasemgmt.workflow.queries import edited_since, streams

#: Where a release comes to by each step of its way to users.
STATES = {
    "create": "planned",
    "rework": "planned",
    "build": "built",
    "pass_integration": "integration_tested",
    "accept": "accepted",
    "deploy": "deployed",
}
CANCEL = "cancel"
ENDS = ("deploy", CANCEL)
BEFORE_USERS = tuple(dict.fromkeys(state for state in STATES.values() if state != "deployed"))


class Way(NamedTuple):
    """A release's way from planned to its first deployment: seconds in each state, how often sent back."""

    at: datetime
    pk: int
    states: dict[str, int]
    reworks: int

    @property
    def seconds(self) -> int:
        return sum(self.states.values())


def steps(scope: Scope) -> dict[int, list[Happened]]:
    """What happened, in order and until now, to the releases that were deployed or cancelled since the begin."""
    return scope.once("steps", _steps)


def _steps(scope: Scope) -> dict[int, list[Happened]]:
    found: dict[int, list[Happened]] = defaultdict(list)
    for event in happened(scope, scope.of(Release.objects.all()), kinds=[*STATES, CANCEL], one_of=ENDS, later=True):
        found[event.pk].append(event)
    return found


def ways(scope: Scope) -> Timeline[Way]:
    return scope.once("ways", _ways)


def _ways(scope: Scope) -> Timeline[Way]:
    """Of the releases that were deployed first, by their events, in the time that is asked for."""
    known = {
        pk: [event for event in events if event.what in STATES and event.at <= scope.as_of]
        for pk, events in steps(scope).items()
    }
    found = (_way(pk, events) for pk, events in known.items() if events)
    return Timeline(way for way in found if way and way.at in scope.observed)


def _way(pk: int, events: Sequence[Happened]) -> Way | None:
    """Nothing where it has not been deployed, or begins without its creation."""
    last = next((n for n, event in enumerate(events) if event.what == "deploy"), None)
    if last is None or events[0].what != "create":
        return None
    states = dict.fromkeys(BEFORE_USERS, 0)
    for here, there in pairwise(events[: last + 1]):
        states[STATES[here.what]] += seconds_between(here.at, there.at)
    return Way(events[last].at, pk, states, sum(event.what == "rework" for event in events[:last]))


class OnTheWay:
    """Releases since they were planned, until they were deployed first or cancelled: `begun`, ended, key."""

    def __init__(self, cases: Iterable[tuple[datetime, datetime, int]]) -> None:
        self.cases = sorted(cases)
        self.begun = [begun for begun, _ended, _pk in self.cases]
        self.ended = sorted(ended for _begun, ended, _pk in self.cases)
        #: When the last one had ended of those that began up to each.
        self.last_ended = list(accumulate((ended for _begun, ended, _pk in self.cases), max))

    def open_at(self, end: datetime) -> Open:
        """How many were on their way then, and since when the oldest was."""
        count = bisect_left(self.begun, end) - bisect_left(self.ended, end)
        oldest = seconds_between(self.begun[bisect_left(self.last_ended, end)], end) if count else None
        return Open(count, oldest)


def on_the_way(scope: Scope) -> OnTheWay:
    """The releases that were on their way at some time since the begin."""
    return scope.once("on the way", _on_the_way)


def _on_the_way(scope: Scope) -> OnTheWay:
    begin, end = scope.observed
    left = scope.of(Release.objects.filter(state__in=BEFORE_USERS, released_at=None, created_at__lt=end))
    found = [(at, LAST, pk) for at, pk in left.order_by().values_list("created_at", "pk")]
    for pk, events in steps(scope).items():
        ended_at = next(event.at for event in events if event.what in ENDS)
        if events[0].what == "create" and ended_at >= begin:
            found.append((events[0].at, ended_at, pk))
    return OnTheWay(found)


def time_in_state(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        found = ways(scope).within(span)
        whole = spread(way.seconds for way in found)
        states = {state: spread(way.states[state] for way in found) for state in BEFORE_USERS}
        more: dict[str, Any] = {"median": whole.median, "mean": whole.mean, "p90": whole.p90}
        more["states"] = {
            state: {"median": each.median, "mean": each.mean, "p90": each.p90} for state, each in states.items()
        }
        waiting = on_the_way(scope).open_at(scope.seen(span).end)
        yield Figure(whole.median, whole.n, "median", open=waiting, more=more)


def way_rows(scope: Scope) -> Iterator[Row]:
    for way in ways(scope).within(scope.span):
        yield Row(way.at, "release", way.pk, way.seconds)
    end = scope.observed.end
    for begun, ended, pk in on_the_way(scope).cases:
        if begun < end <= ended:
            yield Row(begun, "release", pk, seconds_between(begun, end), OPEN)


def releases_reworked(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        found = ways(scope).within(span)
        yield ratio(sum(way.reworks > 0 for way in found), len(found), reworks=sum(way.reworks for way in found))


def reworked_rows(scope: Scope) -> Iterator[Row]:
    return (Row(way.at, "release", way.pk, way.reworks) for way in ways(scope).within(scope.span))


class Decided(NamedTuple):
    """A round that has ended, with what came of it; `at` is when, or when an open one was opened."""

    at: datetime
    pk: int
    opened_at: datetime
    state: str
    is_first: bool


def rounds(scope: Scope) -> Timeline[Decided]:
    return scope.once("rounds", _rounds)


def _rounds(scope: Scope) -> Timeline[Decided]:
    span = scope.observed
    first = ApprovalRound.objects.filter(
        Q(release=OuterRef("release")) | Q(change=OuterRef("change")), retrospective=False
    )
    found = _about(scope).filter(decided_at__gte=span.begin, decided_at__lt=span.end)
    found = found.annotate(first=Subquery(first.order_by("pk").values("pk")[:1]))
    rows: Any = found.values_list("decided_at", "pk", "opened_at", "state", "first")
    return Timeline(Decided(at, pk, opened_at, state, first == pk) for at, pk, opened_at, state, first in rows)


def _about(scope: Scope) -> QuerySet[ApprovalRound]:
    """The rounds on releases and changes that were to decide before the deed."""
    rows = ApprovalRound.objects.filter(retrospective=False)
    releases, changes = scope.of(Release.objects.order_by()), scope.of(ChangeRequest.objects.order_by())
    return rows.filter(Q(release__in=releases.values("pk")) | Q(change__in=changes.values("pk")))


def open_rounds(scope: Scope) -> list[tuple[int, datetime, datetime | None]]:
    """Those that were open at some end of the asked intervals: number, opened, decided."""
    return scope.once("open rounds", _open_rounds)


def _open_rounds(scope: Scope) -> list[tuple[int, datetime, datetime | None]]:
    begin, end = scope.observed
    rows = _about(scope).filter(Q(decided_at=None) | Q(decided_at__gte=begin), opened_at__lt=end)
    return list(rows.order_by("opened_at").values_list("pk", "opened_at", "decided_at"))


VOTED = (ApprovalRound.State.APPROVED, ApprovalRound.State.REJECTED)


def approval_latency(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        decided = [each for each in rounds(scope).within(span) if each.state in VOTED]
        end = scope.seen(span).end
        censored = [
            seconds_between(opened_at, end)
            for _pk, opened_at, decided_at in open_rounds(scope)
            if opened_at < end and (decided_at is None or decided_at >= end)
        ]
        yield survival([seconds_between(each.opened_at, each.at) for each in decided], censored, {})


def latency_rows(scope: Scope) -> Iterator[Row]:
    end = scope.observed.end
    for each in rounds(scope).within(scope.span):
        yield Row(
            each.at,
            "round",
            each.pk,
            seconds_between(each.opened_at, each.at),
            "" if each.state in VOTED else each.state,
        )
    for pk, opened_at, decided_at in open_rounds(scope):
        if decided_at is None or decided_at >= end:
            yield Row(opened_at, "round", pk, seconds_between(opened_at, end), OPEN)


def first_try_sign_offs(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        first = [each for each in rounds(scope).within(span) if each.is_first]
        yield ratio(sum(each.state == ApprovalRound.State.APPROVED for each in first), len(first))


def first_try_rows(scope: Scope) -> Iterator[Row]:
    for each in rounds(scope).within(scope.span):
        if each.is_first:
            yield Row(each.at, "round", each.pk, float(each.state == ApprovalRound.State.APPROVED))


class Submitted(NamedTuple):
    """A change when it was first asked for, or recorded after the deed."""

    at: datetime
    pk: int
    is_emergency: bool


def submitted(scope: Scope) -> Timeline[Submitted]:
    return scope.once("submitted", _submitted)


def _submitted(scope: Scope) -> Timeline[Submitted]:
    changes, kinds = scope.of(ChangeRequest.objects.all()), ("submit", "record")
    types = dict(changes.filter(updated_at__gte=scope.span.begin).order_by().values_list("pk", "type"))
    types |= edited_since(changes, "type", scope.as_of) if scope.looks_back else {}
    found: dict[int, Submitted] = {}
    for event in happened(scope, changes, kinds=kinds, one_of=kinds):
        if event.pk in types and event.pk not in found:
            found[event.pk] = Submitted(event.at, event.pk, types[event.pk] == ChangeRequest.Type.EMERGENCY)
    return Timeline(found.values())


def emergency_changes(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    for span in spans:
        found = submitted(scope).within(span)
        yield ratio(sum(each.is_emergency for each in found), len(found))


def emergency_rows(scope: Scope) -> Iterator[Row]:
    found = submitted(scope).within(scope.span)
    return (Row(each.at, "change", each.pk, float(each.is_emergency)) for each in found)


class Use(NamedTuple):
    """A start that an override let through."""

    at: datetime
    pk: int


def uses(scope: Scope) -> Timeline[Use]:
    return scope.once("uses", _uses)


def _uses(scope: Scope) -> Timeline[Use]:
    begin, end = scope.observed
    rows = Event.objects.filter(kind="deployments.override.use", at__gte=begin, at__lt=end)
    if scope.product or scope.user.visible_team_ids() is not None:
        rows = rows.filter(stream__in=streams(scope.of(Release.objects.all())))
    return Timeline(Use(at, int(stream.rpartition(":")[2])) for at, stream in rows.values_list("at", "stream"))


def overrides_used(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    since = scope.onboarded_at
    for span in spans:
        used, seen = len(uses(scope).within(span)), scope.seen(span)
        knows = since is not None and since < seen.end and seen.begin < seen.end
        yield Figure(used if knows else None, used, COUNT)


def override_rows(scope: Scope) -> Iterable[Row]:
    return [Row(each.at, "release", each.pk) for each in uses(scope).within(scope.span)]
