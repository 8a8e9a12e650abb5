"""The change schedule: approved intervals, plans, windows and freezes of a time, in the order in which they begin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Max, Q, QuerySet

from approvals.models import ChangeRequest
from deployments.models import DeploymentPlan, Occurrence, Window
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment
from releasemgmt.workflow.errors import Invalid

#: So much is answered at once.
LONGEST = timedelta(days=92)
#: Between these instants windows can be, and so can whatever is scheduled.
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

#: Changes that somebody was asked for; a draft is nobody's business yet. Those before approval are tentative.
CHANGES_ASKED = (ChangeRequest.State.ASSESSMENT, ChangeRequest.State.AUTHORIZATION)
CHANGES = [state for state in ChangeRequest.State.values if state not in ("draft", "cancelled")]
PLANS_ASKED = (DeploymentPlan.State.DRAFT, DeploymentPlan.State.READY)
PLANS = [state for state in DeploymentPlan.State.values if state != "cancelled"]
#: Plans that can still start, or are at it: they stand from their planned to their latest start.
PLANS_AHEAD = (*PLANS_ASKED, DeploymentPlan.State.SCHEDULED, *DeploymentPlan.UNDER_WAY)


class Place(NamedTuple):
    """Where an entry stands in the schedule: by its start, then by what it is, then by its row."""

    starts_at: datetime
    source: int
    pk: int

    def __str__(self) -> str:
        return f"{(self.starts_at - EPOCH) // MICROSECOND}.{self.source}.{self.pk}"

    @classmethod
    def read(cls, text: str) -> Place:
        """The place that `str` wrote; Invalid where it is none."""
        parts = text.split(".")
        if len(parts) == 3 and all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
            starts_at, source, pk = map(int, parts)
            if starts_at <= (LAST - EPOCH) // MICROSECOND:
                return cls(EPOCH + starts_at * MICROSECOND, source, pk)
        raise Invalid({"cursor": "Take a cursor from `next` or `previous` of this list."})


@dataclass(frozen=True)
class Entry:
    """One thing that is scheduled: a change or plan once, a window or freeze each time it is on.

    A plan ends at its latest start. `environments` are where it counts. Tentative is what nobody has agreed to yet.
    """

    kind: str
    record: Any
    starts_at: datetime
    ends_at: datetime
    environments: Sequence[Environment]
    place: Place
    tentative: bool = False

    @property
    def product(self) -> Any:
        """Whose it is; None for a window of every product."""
        return self.record.release.product if self.kind == "plan" else self.record.product

    @property
    def title(self) -> str:
        """What it is called beside its number."""
        if self.kind == "plan":
            return f"{self.record.release.product} {self.record.release.version} to {self.record.environment}"
        return str(self.record.title if self.kind == "change" else self.record.name)

    @property
    def is_freeze(self) -> bool:
        return self.kind == "freeze"


class Page(NamedTuple):
    """Some entries in order, and whether there are more in the direction of reading."""

    entries: list[Entry]
    more: bool


def schedule(
    user: User,
    *,
    begin: datetime,
    end: datetime,
    size: int,
    environment: Environment | None = None,
    beyond: Place | None = None,
    backwards: bool = False,
) -> Page:
    """What the user sees of a half-open interval, from a place on; Invalid where it is too long or no interval.

    At most seven statements, whatever there is.
    """
    _check(begin, end)
    found: list[Entry] = []
    for source, (start, rows_of, entries_of) in enumerate(SOURCES):
        rows = rows_of(user, begin, end, environment)
        if beyond:
            rows = rows.filter(_past(beyond, source, start, backwards=backwards))
        rows = rows.order_by(*[f"-{name}" if backwards else name for name in (start, "pk")])
        found += entries_of(source, list(rows[: size + 1]))
    found.sort(key=lambda entry: entry.place, reverse=backwards)
    page = found[:size]
    return Page(page[::-1] if backwards else page, len(found) > size)


def _check(begin: datetime, end: datetime) -> None:
    if begin < FIRST or end > LAST:
        raise Invalid({"from": "Name instants between the years 2000 and 2199."})
    if not begin < end:
        raise Invalid({"to": "It ends before it begins: name a later end."})
    if end - begin > LONGEST:
        raise Invalid({"to": f"Ask for at most {LONGEST.days} days at once."})


def _past(place: Place, source: int, start: str, *, backwards: bool) -> Q:
    """The rows of a source that stand behind a place in the direction of reading."""
    later = "lt" if backwards else "gt"
    rows = Q(**{f"{start}__{later}": place.starts_at})
    if source == place.source:
        rows |= Q(**{start: place.starts_at, f"pk__{later}": place.pk})
    elif (source < place.source) == backwards:
        rows |= Q(**{start: place.starts_at})
    return rows


def _occurrences(user: User, begin: datetime, end: datetime, environment: Environment | None) -> QuerySet[Any]:
    """The times of windows that count, or counted then."""
    windows = Window.objects.visible_to(user).filter(state__in=[Window.State.IN_FORCE, Window.State.ENDED])
    if environment:
        windows = windows.in_place(environment)
    longest = timedelta(minutes=windows.aggregate(longest=Max("duration_minutes"))["longest"] or 0)
    rows = Occurrence.objects.filter(window__in=windows).overlapping(begin, end, longest=longest)
    return rows.select_related("window__product", "window__environment")


def _changes(user: User, begin: datetime, end: datetime, environment: Environment | None) -> QuerySet[Any]:
    rows = ChangeRequest.objects.visible_to(user).filter(state__in=CHANGES).overlapping(begin, end)
    rows = rows.filter(environments=environment) if environment else rows
    return rows.select_related("product").prefetch_related("environments")


def _plans(user: User, begin: datetime, end: datetime, environment: Environment | None) -> QuerySet[Any]:
    """What is over stands where it was planned to start: so the index by state and planned start finds it."""
    in_it = Q(planned_start__gte=begin) | Q(state__in=PLANS_AHEAD, latest_start__gt=begin)
    rows = DeploymentPlan.objects.visible_to(user).filter(in_it, state__in=PLANS, planned_start__lt=end)
    rows = rows.filter(environment=environment) if environment else rows
    return rows.select_related("release__product", "environment")


def _window_entries(source: int, rows: Iterable[Occurrence]) -> list[Entry]:
    every = list(Environment.objects.all())
    return [
        Entry(
            kind="freeze" if row.window.is_freeze else "window",
            record=row.window,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            environments=[each for each in every if row.window.counts_in(each)],
            place=Place(row.starts_at, source, row.pk),
        )
        for row in rows
    ]


def _change_entries(source: int, rows: Iterable[ChangeRequest]) -> list[Entry]:
    return [
        Entry(
            kind="change",
            record=row,
            starts_at=row.planned_start,
            ends_at=row.planned_end,
            environments=list(row.environments.all()),
            place=Place(row.planned_start, source, row.pk),
            tentative=row.state in CHANGES_ASKED,
        )
        for row in rows
        if row.planned_start and row.planned_end
    ]


def _plan_entries(source: int, rows: Iterable[DeploymentPlan]) -> list[Entry]:
    return [
        Entry(
            kind="plan",
            record=row,
            starts_at=row.planned_start,
            ends_at=row.latest_start,
            environments=[row.environment],
            place=Place(row.planned_start, source, row.pk),
            tentative=row.state in PLANS_ASKED,
        )
        for row in rows
    ]


Rows = Callable[[User, datetime, datetime, Environment | None], QuerySet[Any]]
#: What is scheduled: the column of its start, its rows, and the entries that they make. At one instant in this order.
SOURCES: Sequence[tuple[str, Rows, Callable[[int, Any], list[Entry]]]] = (
    ("starts_at", _occurrences, _window_entries),
    ("planned_start", _changes, _change_entries),
    ("planned_start", _plans, _plan_entries),
)
