"""A product's timeline: incidents, production deployments and planned outages on one axis; it needs no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django.utils import timezone

from approvals.models import ChangeRequest
from deployments.models import Deployment, Incident
from deployments.queries import caused_by, planned_outages
from releasemgmt.catalog.models import Product, Tier
from releasemgmt.portal import calendar
from releasemgmt.releases.models import Release

SPANS = (("week", "Week", 7), ("month", "30 days", 30), ("quarter", "Quarter", 91))
DAYS = {name: days for name, _label, days in SPANS}
#: So many of each are shown at once; where there are more, it says so.
HELD = 400
#: About so many days are named below the axis.
NAMED = 8
#: In percent of the axis: behind this a day's name would not fit.
LAST_NAMED = 95
#: In percent of the axis: no mark is narrower, and marks that are closer stand below each other.
NARROW = 0.8


class AskedForm(forms.Form):
    """How long a time, and its last day."""

    span = forms.ChoiceField(choices=[(name, label) for name, label, _days in SPANS], required=False)
    on = forms.DateField(required=False)


@dataclass(frozen=True)
class Mark:
    """Something that happened, and where it stands: `left` and `width` in percent, the row from the top."""

    what: str
    record: Any
    address: str
    title: str
    tone: str
    state: str
    starts_at: datetime
    ends_at: datetime | None
    left: float = 0
    width: float = 0
    row: int = 0

    @property
    def style(self) -> str:
        """Where it stands, for the browser."""
        return f"left:{self.left:.3f}%;width:{self.width:.3f}%;--row:{self.row}"


@dataclass(frozen=True)
class Lane:
    """What is of one kind, one below the other where it happened at a time."""

    name: str
    marks: Sequence[Mark]

    @property
    def rows(self) -> int:
        return max((mark.row for mark in self.marks), default=0) + 1


@dataclass(frozen=True)
class Axis:
    """The time that is shown, from midnight to midnight where the reader is."""

    first: date
    end: date
    begin_at: datetime = field(init=False)
    end_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        zone = timezone.get_current_timezone()
        object.__setattr__(self, "begin_at", calendar.midnight(self.first, zone))
        object.__setattr__(self, "end_at", calendar.midnight(self.end, zone))

    def percent(self, at: datetime) -> float:
        """How far along that instant is, within the axis."""
        within = min(max(at, self.begin_at), self.end_at)
        return (within - self.begin_at) / (self.end_at - self.begin_at) * 100

    @property
    def days(self) -> list[tuple[date, str]]:
        """The days that are named, and where they begin."""
        zone, every = timezone.get_current_timezone(), max(1, round((self.end - self.first).days / NAMED))
        days = (self.first + timedelta(days=n) for n in range(0, (self.end - self.first).days, every))
        places = [(day, self.percent(calendar.midnight(day, zone))) for day in days]
        return [(day, f"left:{place:.3f}%") for day, place in places if place < LAST_NAMED]

    def laid_out(self, marks: Iterable[Mark], now: datetime) -> list[Mark]:
        """Each mark where it stands; those that would cover another go one row down."""
        ends: list[float] = []
        found = []
        for mark in marks:
            left, right = self.percent(mark.starts_at), self.percent(mark.ends_at or now)
            left, width = min(left, 100 - NARROW), max(right - left, NARROW)
            row = next((n for n, end in enumerate(ends) if end <= left), len(ends))
            ends[row : row + 1] = [left + width]
            found.append(replace(mark, left=left, width=width, row=row))
        return found


def timeline(product: Product, query: Any, *, now: datetime) -> dict[str, Any]:
    """What the page shows; what makes no sense is shown as the last 30 days. At most six statements."""
    form = AskedForm(query)
    form.is_valid()
    chosen, today = form.cleaned_data.get("span") or "month", timezone.localdate(now)
    last = min(max(form.cleaned_data.get("on") or today, calendar.FIRST), calendar.LAST)
    axis = Axis(last + calendar.DAY - timedelta(days=DAYS[chosen]), last + calendar.DAY)
    kinds = {
        "Incidents": _incidents(product, axis),
        "Deployments": sorted([*_deployments(product, axis), *_past(product, axis)], key=attrgetter("starts_at")),
        "Planned outages": _outages(product, axis),
    }
    marks = [mark for found in kinds.values() for mark in found[:HELD]]
    step = timedelta(days=DAYS[chosen])
    return {
        "axis": axis,
        "last": last,
        "lanes": [Lane(name, axis.laid_out(found[:HELD], now)) for name, found in kinds.items()],
        "marks": sorted(marks, key=lambda mark: mark.starts_at, reverse=True),
        "more": any(len(found) > HELD for found in kinds.values()),
        "spans": [(name, label, _query(name, last)) for name, label, _days in SPANS],
        "span": chosen,
        "now_style": f"left:{axis.percent(now):.3f}%" if axis.begin_at <= now < axis.end_at else "",
        "ways": {"before": _query(chosen, last - step), "now": _query(chosen), "after": _query(chosen, last + step)},
    }


def _query(span: str, on: date | None = None) -> str:
    return urlencode({"span": span, **({"on": on} if on else {})})


def _incidents(product: Product, axis: Axis) -> list[Mark]:
    """Those in production, and those of which nobody knows where."""
    rows = Incident.objects.standing().filter(Q(environment=None) | Q(environment__tier=Tier.PRODUCTION))
    rows = rows.filter(product=product).overlapping(axis.begin_at, axis.end_at).order_by("started_at", "pk")
    return [
        Mark(
            what=f"{each.get_kind_display()}{', planned' if each.planned else ''}",
            record=each,
            address=reverse("admin:deployments_incident_change", args=[each.pk]),
            title=each.title,
            tone="planned" if each.planned else each.kind,
            state=each.get_state_display(),
            starts_at=each.started_at,
            ends_at=each.restored_at,
        )
        for each in rows[: HELD + 1]
    ]


def _deployments(product: Product, axis: Axis) -> list[Mark]:
    """Those to production that began in this time; marked where they failed or caused an incident."""
    rows = Deployment.objects.filter(product=product, environment__tier=Tier.PRODUCTION)
    rows = rows.filter(started_at__gte=axis.begin_at, started_at__lt=axis.end_at)
    rows = rows.exclude(status=Deployment.Status.CANCELLED).annotate(did_harm=caused_by(OuterRef("pk")))
    found: Any = rows.select_related("release", "environment", "product").order_by("started_at", "pk")[: HELD + 1]
    return [
        Mark(
            what=each.get_kind_display(),
            record=each,
            address=reverse("admin:deployments_deployment_change", args=[each.pk]),
            title=f"{each.release.version if each.release else 'no release'} to {each.environment}",
            tone="failed" if each.status == Deployment.Status.FAILED else "harmful" if each.did_harm else each.kind,
            state=f"{each.get_status_display()}{', caused an incident' if each.did_harm else ''}",
            starts_at=each.started_at,
            ends_at=each.finished_at,
        )
        for each in found
    ]


def _past(product: Product, axis: Axis) -> list[Mark]:
    """Releases of before the service that came out in this time: where no deployment is known, they stand for it."""
    known = Deployment.objects.filter(release=OuterRef("pk"), environment__tier=Tier.PRODUCTION)
    rows = Release.objects.filter(product=product, imported=True).filter(~Exists(known))
    rows = rows.filter(released_at__gte=axis.begin_at, released_at__lt=axis.end_at).order_by("released_at", "pk")
    return [
        Mark(
            what="Release",
            record=each,
            address=reverse("admin:releases_release_change", args=[each.pk]),
            title=each.version,
            tone="deploy",
            state="Imported",
            starts_at=each.released_at,  # type: ignore[arg-type]  # it has come out
            ends_at=each.released_at,
        )
        for each in rows[: HELD + 1]
    ]


def _outages(product: Product, axis: Axis) -> list[Mark]:
    """The intervals in which a change was allowed to interrupt production."""
    rows = planned_outages([product], begin=axis.begin_at, end=axis.end_at)
    rows = rows.filter(environments__tier=Tier.PRODUCTION).distinct()
    return [_outage(each) for each in rows[: HELD + 1] if each.planned_start]


def _outage(change: ChangeRequest) -> Mark:
    length = f", {change.outage_minutes} minutes of it" if change.outage_minutes else ""
    return Mark(
        what=f"Planned outage{length}",
        record=change,
        address=reverse("admin:approvals_changerequest_change", args=[change.pk]),
        title=change.title,
        tone="outage",
        state=change.get_state_display(),
        starts_at=change.planned_start,  # type: ignore[arg-type]  # they have an interval
        ends_at=change.planned_end,
    )
