"""Figures of incidents: how often and how long a product was down, and how long until users had it back."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db.models import Q, QuerySet

from deployments.models import Incident, IncidentRevision
from deployments.queries import planned_outages, with_suspect
from releasemgmt.catalog.models import Tier
from releasemgmt.kpis.definitions import OBSERVATION, Span, clipped, seconds_between, seconds_of, union, without
from releasemgmt.kpis.queries.figure import COUNT, OPEN, Figure, Open, Row, survival, tally
from releasemgmt.kpis.queries.gathered import SECOND, Columns, Number, gathered, instant, number
from releasemgmt.kpis.queries.scope import Scope
from releasemgmt.workflow.models import LAST

DOWN, DEGRADED, NOTICE = map(str, (Incident.Kind.DOWN, Incident.Kind.DEGRADED, Incident.Kind.NOTICE))
PLANNED = "planned"
FACTS = ("incident_id", "product_id", "kind", "planned")
FOREVER = number(LAST)


@dataclass
class Troubles(Columns):
    """Incidents as they were known, from when on; `over` is until when, `FOREVER` where that is not known."""

    over: list[int]
    pk: list[int]
    product: list[int]
    kind: list[str]
    planned: list[bool]

    @property
    def left_out(self) -> list[str]:
        """Why each counts nowhere."""
        return [
            NOTICE if kind == NOTICE else PLANNED if planned else ""
            for kind, planned in zip(self.kind, self.planned, strict=True)
        ]

    def open_for(self, at: datetime) -> list[int]:
        """For how many seconds those had gone on that went on at an instant, the oldest first."""
        end = number(at)
        begun = bisect_left(self.at, end)
        return [(end - began) // SECOND for began, over in zip(self.at[:begun], self.over, strict=False) if over >= end]


def troubles(scope: Scope) -> Troubles:
    """The incidents in production that went on in the scope, or were over as it begins, by their start."""
    return scope.once("troubles", _troubles)


def _troubles(scope: Scope) -> Troubles:
    begin, end = scope.observed
    rows = known(scope).filter(Q(restored_at=None) | Q(restored_at__gte=begin), started_at__lt=end)
    began, over, *facts = gathered(rows, Number("started_at"), Number("restored_at"), *FACTS)
    return Troubles.in_order([began, [FOREVER if each is None else each for each in over], *facts])


def unplanned(scope: Scope) -> Troubles:
    """Those of them in which something was down that nobody had announced."""
    return scope.once("unplanned", _unplanned)


def _unplanned(scope: Scope) -> Troubles:
    found = troubles(scope)
    return found.where(kind == DOWN and not planned for kind, planned in zip(found.kind, found.planned, strict=True))


def known(scope: Scope) -> Any:
    """What was known of incidents in production, or of imported ones, that don't say where they were."""
    rows: Any = IncidentRevision.objects.known(scope.as_of if scope.looks_back else None).standing()
    return scope.of(rows).filter(Q(environment=None) | Q(environment__tier=Tier.PRODUCTION))


def causes(scope: Scope) -> list[tuple[int, int | None]]:
    """Deployments that people named as the cause of an incident, and when users had it back, as a number."""
    rows: QuerySet[Any] = known(scope).unplanned().filter(caused_by__finished_at__gte=scope.span.begin)
    return list(rows.values_list("caused_by_id", Number("restored_at")))


def suspicions(scope: Scope) -> list[int]:
    """Deployments that may have caused an incident, of which nobody has said what caused it."""
    begin, end = scope.span
    rows = known(scope).unplanned().exclude(kind=NOTICE)
    rows = rows.filter(caused_by=None, started_at__gte=begin, started_at__lt=end + OBSERVATION)
    found = with_suspect(rows, as_of=scope.as_of if scope.looks_back else None)
    return [pk for pk in found.values_list("suspect_id", flat=True) if pk]


def time_to_restore(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    found = troubles(scope)
    counting = found.where(not why for why in found.left_out)
    for span in spans:
        over = restored(scope).within(scope.seen(span))
        ended = [seconds for seconds, why in zip(over.seconds, over.left_out, strict=True) if not why]
        yield survival(ended, counting.open_for(scope.seen(span).end), tally(over.left_out))


@dataclass
class Restored(Columns):
    """Incidents that are over, when they were, and how long each took."""

    seconds: list[int]
    pk: list[int]
    left_out: list[str]


def restored(scope: Scope) -> Restored:
    return scope.once("restored", _restored)


def _restored(scope: Scope) -> Restored:
    found = troubles(scope)
    found = found.where(over != FOREVER for over in found.over)
    took = [(over - at) // SECOND for at, over in zip(found.at, found.over, strict=True)]
    return Restored.in_order([found.over, took, found.pk, found.left_out])


def restore_rows(scope: Scope) -> Iterator[Row]:
    for at, seconds, pk, left_out in restored(scope).within(scope.observed):
        yield Row(instant(at), "incident", pk, seconds, left_out)
    found, end = troubles(scope), number(scope.observed.end)
    for at, over, pk, why in zip(found.at, found.over, found.pk, found.left_out, strict=True):
        if at < end <= over and not why:
            yield Row(instant(at), "incident", pk, (end - at) // SECOND, OPEN)


@dataclass
class Outages:
    """When one product was down, degraded, or down as announced, as intervals that neither overlap nor touch."""

    #: When incidents were, at most up to when it was known, of which kind, and whether they were announced.
    incidents: list[tuple[Span, str, bool]] = field(default_factory=list)
    #: What was allowed to be down: in which interval, and for how long.
    allowed: list[tuple[Span, timedelta]] = field(default_factory=list)

    def _all(self, kind: str, *, planned: bool) -> list[Span]:
        return [span for span, *facts in self.incidents if facts == [kind, planned]]

    @cached_property
    def granted(self) -> list[Span]:
        """Within what a change was allowed: as long as that, the rest was not planned."""
        down = union(self._all(DOWN, planned=False))
        found = []
        for interval, length in self.allowed:
            for part in clipped(down, interval):
                granted = Span(part.begin, min(part.end, part.begin + length))
                length -= granted.end - granted.begin
                found += [granted] if granted.begin < granted.end else []
        return union(found)

    @cached_property
    def planned(self) -> list[Span]:
        """Announced elsewhere, or granted to a change."""
        return union([*self._all(DOWN, planned=True), *self.granted])

    @cached_property
    def down(self) -> list[Span]:
        """What nobody granted: maintenance that was announced meanwhile, maybe of something else, interrupts none."""
        return without(self._all(DOWN, planned=False), self.granted)

    @cached_property
    def degraded(self) -> list[Span]:
        """What was not down at the same time."""
        return without(self._all(DEGRADED, planned=False), union([*self.down, *self.planned]))


def outages(scope: Scope) -> dict[int, Outages]:
    """The outages of each product."""
    return scope.once("outages", _outages)


def _outages(scope: Scope) -> dict[int, Outages]:
    found: dict[int, Outages] = defaultdict(Outages)
    for at, over, _pk, product, kind, planned in troubles(scope):
        found[product].incidents.append((_until(scope.as_of, at, over), kind, bool(planned)))
    for change in _allowed(scope, list(found)):
        interval = Span(change.planned_start, change.planned_end)
        minutes = change.outage_minutes
        length = interval.end - interval.begin if minutes is None else timedelta(minutes=minutes)
        found[change.product_id].allowed.append((interval, length))
    return found


def _until(end: datetime, at: int, over: int) -> Span:
    """When an incident was, at most up to an instant."""
    began = instant(at)
    return Span(began, max(began, min(instant(over), end)))


def _allowed(scope: Scope, products: Sequence[Any]) -> Iterable[Any]:
    """Changes that were allowed to interrupt these products in production, each once."""
    if not products:
        return []
    begin, end = scope.observed
    as_of = scope.as_of if scope.looks_back else None
    changes = planned_outages(products, begin=begin, end=max(begin, end), as_of=as_of)
    return changes.filter(environments__tier=Tier.PRODUCTION).distinct() if begin < end else []


def heard_since(scope: Scope) -> datetime | None:
    """Since when the service hears of incidents: since it knows a product, or since the first that it was told of."""
    own = scope.onboarded_at
    if own and own <= scope.span.begin:
        return own  # earlier than what is asked for is early enough
    first = known(scope).order_by("started_at").values_list("started_at", flat=True)[:1]
    return min([*filter(None, [own]), *first], default=None)


def downtimes(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    since = heard_since(scope)
    stretches = {name: _stretches(scope, name) for name in ("down", "degraded", "planned")}
    for span in spans:
        seen = scope.seen(span)
        down, degraded, planned = (_tally_of(each, seen) for each in stretches.values())
        going_on = unplanned(scope).open_for(seen.end)
        length = seconds_between(*seen) * len(scope.products())
        knows = since is not None and since < seen.end and length > 0
        yield Figure(
            down["count"] if knows else None,
            len(unplanned(scope).within(seen)),
            COUNT,
            tally(troubles(scope).within(seen).left_out),
            Open(len(going_on), max(going_on, default=None)),
            {
                "seconds": down["seconds"] if knows else None,
                "availability": 1 - down["seconds"] / length if knows else None,
                "degraded": degraded,
                "planned": planned,
            },
        )


@dataclass
class Stretches(Columns):
    """When products were down, degraded or down as announced."""

    end: list[int]


def _stretches(scope: Scope, name: str) -> Stretches:
    spans = [span for each in outages(scope).values() for span in getattr(each, name)]
    return Stretches.in_order([[number(span.begin) for span in spans], [number(span.end) for span in spans]])


def _tally_of(stretches: Stretches, span: Span) -> dict[str, int]:
    """How many intervals begin in the span, and how many seconds of it they take."""
    first, last = map(number, span)
    begun = bisect_left(stretches.at, last)
    parts = zip(stretches.at[:begun], stretches.end[:begun], strict=True)
    seconds = sum((min(end, last) - max(at, first)) // SECOND for at, end in parts if end > first)
    return {"count": len(stretches.within(span)), "seconds": seconds}


def downtime_rows(scope: Scope) -> Iterator[Row]:
    found, begin = troubles(scope), number(scope.span.begin)
    for (at, over, pk, _product, kind, _planned), why in zip(found, found.left_out, strict=True):
        if over <= begin and at < begin:
            continue  # nothing of it lies in the time
        inside = clipped([_until(scope.as_of, at, over)], scope.observed)
        yield Row(instant(at), "incident", pk, seconds_of(inside), why or ("" if kind == DOWN else kind))
