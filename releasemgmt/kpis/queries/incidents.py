"""Figures of incidents: how often and how long a product was down, and how long until users had it back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from operator import itemgetter
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from deployments.models import Incident, IncidentRevision
from deployments.queries import planned_outages, with_suspect
from releasemgmt.catalog.models import Tier
from releasemgmt.kpis.definitions import OBSERVATION, Span, clipped, seconds_between, seconds_of, union, without
from releasemgmt.kpis.queries.deployments import known_since
from releasemgmt.kpis.queries.figure import COUNT, OPEN, Figure, Open, Row, survival, tally
from releasemgmt.kpis.queries.gathered import by_columns, instant, number_of
from releasemgmt.kpis.queries.scope import FIRST, Scope, Timeline

DOWN, DEGRADED = Incident.Kind.DOWN, Incident.Kind.DEGRADED
PLANNED, NOTICE = "planned", "notice"


class Trouble(NamedTuple):
    """An incident as it was known: from when on, until when if it was over."""

    pk: int
    product: int
    kind: str
    planned: bool
    started_at: datetime
    restored_at: datetime | None

    @property
    def left_out(self) -> str:
        """Why it counts nowhere."""
        return NOTICE if self.kind == Incident.Kind.NOTICE else PLANNED if self.planned else ""

    def until(self, end: datetime) -> Span:
        """When it was, at most up to an instant."""
        return Span(self.started_at, max(self.started_at, min(self.restored_at or end, end)))

    def is_open(self, at: datetime) -> bool:
        """Whether it went on at an instant."""
        return self.started_at < at and (self.restored_at is None or self.restored_at >= at)


def troubles(scope: Scope) -> list[Trouble]:
    """The incidents in production that went on at some time of the scope, by their start."""
    return scope.once("troubles", _troubles)


def _troubles(scope: Scope) -> list[Trouble]:
    columns = (number_of("started_at"), number_of("restored_at"), "incident_id", "product_id", "kind", "planned")
    rows = by_columns(known(scope).overlapping(*scope.observed), *columns)
    return [
        Trouble(pk, product, kind, bool(planned), instant(began), None if over is None else instant(over))
        for began, over, pk, product, kind, planned in sorted(rows, key=itemgetter(0, 2))
    ]


def known(scope: Scope) -> Any:
    """What was known of incidents in production, or of imported ones, that don't say where they were."""
    rows: Any = IncidentRevision.objects.known(scope.as_of if scope.looks_back else None).standing()
    return scope.of(rows).filter(Q(environment=None) | Q(environment__tier=Tier.PRODUCTION))


def causes(scope: Scope) -> list[tuple[int, datetime | None]]:
    """Deployments that people named as the cause of an incident, and when users had it back."""
    rows: QuerySet[Any] = known(scope).unplanned().filter(caused_by__finished_at__gte=scope.span.begin)
    return list(rows.values_list("caused_by_id", "restored_at"))


def suspicions(scope: Scope) -> list[int]:
    """Deployments that may have caused an incident, of which nobody has said what caused it."""
    begin, end = scope.span
    rows = known(scope).unplanned().exclude(kind=Incident.Kind.NOTICE)
    rows = rows.filter(caused_by=None, started_at__gte=begin, started_at__lt=end + OBSERVATION)
    found = with_suspect(rows, as_of=scope.as_of if scope.looks_back else None)
    return [pk for pk in found.values_list("suspect_id", flat=True) if pk]


def time_to_restore(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    counting = [each for each in troubles(scope) if not each.left_out]
    for span in spans:
        end = scope.seen(span).end
        over = restored(scope).within(span)
        ended = [each.seconds for each in over if not each.left_out]
        censored = [seconds_between(each.started_at, end) for each in counting if each.is_open(end)]
        yield survival(ended, censored, tally(each.left_out for each in over))


class Restored(NamedTuple):
    """An incident that is over, and how long it took."""

    at: datetime
    seconds: int
    left_out: str
    pk: int


def restored(scope: Scope) -> Timeline[Restored]:
    return scope.once("restored", lambda each: Timeline(_restored(each)))


def _restored(scope: Scope) -> Iterator[Restored]:
    for each in troubles(scope):
        if each.restored_at:
            yield Restored(each.restored_at, seconds_between(each.started_at, each.restored_at), each.left_out, each.pk)


def restore_rows(scope: Scope) -> Iterator[Row]:
    end = scope.observed.end
    for over in restored(scope).within(scope.span):
        yield Row(over.at, "incident", over.pk, over.seconds, over.left_out)
    for each in troubles(scope):
        if each.is_open(end) and not each.left_out:
            yield Row(each.started_at, "incident", each.pk, seconds_between(each.started_at, end), OPEN)


@dataclass
class Outages:
    """When one product was down, degraded, or down as announced, as intervals that neither overlap nor touch."""

    end: datetime
    incidents: list[Trouble] = field(default_factory=list)
    #: What was allowed to be down: in which interval, and for how long.
    allowed: list[tuple[Span, timedelta]] = field(default_factory=list)

    def _all(self, kind: str, *, planned: bool) -> list[Span]:
        return [each.until(self.end) for each in self.incidents if each.kind == kind and each.planned == planned]

    @cached_property
    def planned(self) -> list[Span]:
        """Announced elsewhere, or within what a change was allowed: as long as that, the rest was not planned."""
        down = union(self._all(DOWN, planned=False))
        found = self._all(DOWN, planned=True)
        for interval, length in self.allowed:
            for part in clipped(down, interval):
                granted = Span(part.begin, min(part.end, part.begin + length))
                length -= granted.end - granted.begin
                found += [granted] if granted.begin < granted.end else []
        return union(found)

    @cached_property
    def down(self) -> list[Span]:
        return without(self._all(DOWN, planned=False), self.planned)

    @cached_property
    def degraded(self) -> list[Span]:
        """What was not down at the same time."""
        return without(self._all(DEGRADED, planned=False), union([*self.down, *self.planned]))


def outages(scope: Scope) -> dict[int, Outages]:
    """The outages of each product."""
    return scope.once("outages", _outages)


def _outages(scope: Scope) -> dict[int, Outages]:
    found: dict[int, Outages] = defaultdict(lambda: Outages(scope.as_of))
    for each in troubles(scope):
        found[each.product].incidents.append(each)
    for change in _allowed(scope, list(found)):
        interval = Span(change.planned_start, change.planned_end)
        minutes = change.outage_minutes
        length = interval.end - interval.begin if minutes is None else timedelta(minutes=minutes)
        found[change.product_id].allowed.append((interval, length))
    return found


def _allowed(scope: Scope, products: Sequence[Any]) -> Iterable[Any]:
    """Changes that were allowed to interrupt these products in production, each once."""
    if not products:
        return []
    begin, end = scope.observed
    as_of = scope.as_of if scope.looks_back else None
    changes = planned_outages(products, begin=begin, end=max(begin, end), as_of=as_of)
    return changes.filter(environments__tier=Tier.PRODUCTION).distinct() if begin < end else []


def downtimes(scope: Scope, spans: Sequence[Span]) -> Iterator[Figure]:
    since = min(filter(None, [known_since(scope), *(each.started_at for each in troubles(scope)[:1])]), default=None)
    unplanned = [each for each in troubles(scope) if each.kind == DOWN and not each.planned]
    for span in spans:
        seen = scope.seen(span)
        down, degraded, planned = (_tally_of(scope, name, seen) for name in ("down", "degraded", "planned"))
        begun = [each for each in unplanned if each.started_at in seen]
        length = seconds_between(*seen) * len(scope.products())
        knows = since is not None and since < seen.end and length > 0
        yield Figure(
            down["count"] if knows else None,
            len(begun),
            COUNT,
            tally(each.left_out for each in troubles(scope) if each.started_at in seen),
            _going_on(unplanned, seen.end),
            {
                "seconds": down["seconds"] if knows else None,
                "availability": 1 - down["seconds"] / length if knows else None,
                "degraded": degraded,
                "planned": planned,
            },
        )


class Stretch(NamedTuple):
    """When one product was down, degraded or down as announced."""

    at: datetime
    end: datetime


def _stretches(scope: Scope, name: str) -> Timeline[Stretch]:
    """Those of all products."""
    found = (getattr(each, name) for each in outages(scope).values())
    return scope.once(name, lambda _scope: Timeline(Stretch(*span) for spans in found for span in spans))


def _tally_of(scope: Scope, name: str, span: Span) -> dict[str, int]:
    """How many intervals begin in the span, and how many seconds of it they take."""
    begun = _stretches(scope, name)
    touching = clipped((Span(*each) for each in begun.within(Span(FIRST, span.end)) if each.end > span.begin), span)
    return {"count": len(begun.within(span)), "seconds": sum(seconds_between(*part) for part in touching)}


def _going_on(unplanned: Iterable[Trouble], end: datetime) -> Open:
    begun = [each.started_at for each in unplanned if each.is_open(end)]
    return Open(len(begun), seconds_between(begun[0], end) if begun else None)


def downtime_rows(scope: Scope) -> Iterator[Row]:
    for each in troubles(scope):
        inside = clipped([each.until(scope.as_of)], scope.observed)
        left_out = each.left_out or ("" if each.kind == DOWN else str(each.kind))
        yield Row(each.started_at, "incident", each.pk, seconds_of(inside), left_out)
