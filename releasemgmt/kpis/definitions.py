"""What the figures are, version kpi/1: pure functions over values, without database and clock.

Durations are whole seconds, instants are aware, intervals half-open. A zone decides where days, weeks and months begin;
their borders are computed here and handed on as UTC instants, so that both engines agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from statistics import median
from typing import NamedTuple
from zoneinfo import ZoneInfo

VERSION = "kpi/1"
BUCKETS = ("day", "week", "month")
#: How long after a deployment an incident is still suggested as its failure; younger deployments are maturing.
OBSERVATION = timedelta(hours=24)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
#: No zone has changed its clocks twice in so short a time since 1970; the shortest was a week, Noronha's in 2000.
STEADY = timedelta(days=5)


class Span(NamedTuple):
    """A half-open interval of time."""

    begin: datetime
    end: datetime

    def __contains__(self, at: object) -> bool:
        return isinstance(at, datetime) and self.begin <= at < self.end


@dataclass(frozen=True)
class Spread:
    """How values are distributed; None where there is none."""

    n: int = 0
    median: float | None = None
    mean: float | None = None
    p90: float | None = None


def percentile(ordered: Sequence[int], percent: int) -> float:
    """Of values in order, by linear interpolation between two of them (type 7: PERCENTILE_CONT, numpy's default)."""
    place, rest = divmod((len(ordered) - 1) * percent, 100)
    if not rest:
        return ordered[place]
    return (ordered[place] * (100 - rest) + ordered[place + 1] * rest) / 100


def spread(values: Iterable[int]) -> Spread:
    """Median, mean and p90 of all values: never computed from those of parts."""
    ordered = sorted(values)
    if not ordered:
        return Spread()
    n = len(ordered)
    return Spread(n, percentile(ordered, 50), sum(ordered) / n, percentile(ordered, 90))


def kaplan_meier_median(ended: Iterable[int], censored: Iterable[int]) -> int | None:
    """The time by which half of the cases had ended, counting those that are open as long as they were observed.

    None where fewer than half had ended by the longest time that was observed.
    """
    cases = sorted([(seconds, False) for seconds in ended] + [(seconds, True) for seconds in censored])
    surviving, out_of = 1, 1  # at the last case that is open, as an exact fraction
    left = since = len(cases)
    for seconds, is_open in cases:
        if is_open:
            surviving, out_of = surviving * left, out_of * since
            left -= 1
            since = left
            continue
        left -= 1
        if 2 * surviving * left <= out_of * since:
            return seconds
    return None


def seconds_between(begin: datetime, end: datetime) -> int:
    """Whole seconds."""
    return (end - begin) // SECOND


def union(spans: Iterable[Span]) -> list[Span]:
    """The same time as intervals that neither overlap nor touch, in order."""
    return merged(spans, gap=timedelta())


def merged(spans: Iterable[Span], *, gap: timedelta) -> list[Span]:
    """The union, in which what is at most `gap` apart is one."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.begin - found[-1].end <= gap:
            found[-1] = Span(found[-1].begin, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def clipped(spans: Iterable[Span], within: Span) -> list[Span]:
    """What of the intervals lies inside of another one."""
    parts = (Span(max(span.begin, within.begin), min(span.end, within.end)) for span in spans)
    return [part for part in parts if part.begin < part.end]


def without(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """What of the intervals lies outside of others; one of no length stays unless it lies inside."""
    holes = union(taken)
    found: list[Span] = []
    for span in union(spans):
        begin = span.begin
        for hole in holes:
            if hole.end <= begin or hole.begin >= span.end:
                continue
            if begin < hole.begin:
                found.append(Span(begin, hole.begin))
            begin = hole.end
        if begin < span.end or (span.begin == span.end and begin == span.begin):
            found.append(Span(begin, span.end))
    return found


def seconds_of(spans: Iterable[Span]) -> int:
    """How long the union of the intervals is."""
    return sum(seconds_between(*span) for span in union(spans))


def begin_of(day: date, zone: ZoneInfo) -> datetime:
    """When a local day begins, in UTC: where its midnight is skipped, at the first instant after it."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def buckets(span: Span, bucket: str, zone: ZoneInfo) -> Iterator[Span]:
    """The days, weeks from Monday on or months of a zone that an interval touches, cut off at its ends, in order."""
    day = _first_of(span.begin.astimezone(zone).date(), bucket)
    begin = span.begin
    while begin < span.end:
        day = _next(day, bucket)
        end = min(begin_of(day, zone), span.end)
        if begin < end:  # Apia had no 30 December 2011
            yield Span(begin, end)
        begin = end


@lru_cache(maxsize=32)
def offsets(span: Span, zone: ZoneInfo) -> Sequence[tuple[datetime, int]]:
    """From when on a zone's clocks are how many seconds ahead of UTC, in an interval and at its end."""
    at, last = (mark.replace(microsecond=0) for mark in span)
    found = [(at, _ahead(at, zone))]
    while at < last:
        later = min(at + STEADY, last)
        if _ahead(later, zone) != found[-1][1]:
            while later - at > SECOND:
                middle = at + (later - at) // SECOND // 2 * SECOND
                at, later = (middle, later) if _ahead(middle, zone) == found[-1][1] else (at, middle)
            found.append((later, _ahead(later, zone)))
        at = later
    return found


def _ahead(at: datetime, zone: ZoneInfo) -> int:
    local = at.astimezone(zone)
    return (local.replace(tzinfo=UTC) - at) // SECOND


def _first_of(day: date, bucket: str) -> date:
    if bucket == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if bucket == "month" else day


def _next(day: date, bucket: str) -> date:
    if bucket == "month":
        return (day + timedelta(days=31)).replace(day=1)
    return day + timedelta(days=7 if bucket == "week" else 1)


def days(span: Span, zone: ZoneInfo) -> float:
    """How many local days: one of 23 or 25 hours is one day, a part of a day is that part of it."""
    if not span.begin < span.end:
        return 0.0
    first, last = (at.astimezone(zone).date() for at in span)
    return (last - first).days + _part(span.end, last, zone) - _part(span.begin, first, zone)


def _part(at: datetime, day: date, zone: ZoneInfo) -> float:
    """Which part of a local day is over."""
    begin, end = begin_of(day, zone), begin_of(day + DAY, zone)
    return (at - begin) / (end - begin)


def usual(values: Sequence[float | None]) -> float | None:
    """What the last of some values in time order is held against: the median of those before it."""
    before = [value for value in values[:-1] if value is not None]
    return median(before) if before else None


class Meaning(NamedTuple):
    """A figure's name on pages, the unit of its value, and its definition."""

    label: str
    unit: str
    text: str


#: What each figure means, in words: what the API and the pages show.
MEANINGS: Mapping[str, Meaning] = {
    "commits_per_active_day": Meaning(
        "Commits per active day",
        "commits a day",
        "Commits divided by the days on which at least one was made, counted for each product apart. Merges and bots "
        "do not count. A commit belongs to the day of its commit date in the time zone of the question; "
        "`by_author_date` is the same by author dates, `per_contributor_day` divides by the days of each contributor.",
    ),
    "commit_volume": Meaning(
        "Commit volume",
        "commits a release",
        "Commits that a release brought: reachable from it and from no release that reached production before. Merges"
        " and bots are counted beside. A release that is deployed again brings nothing; pre-releases claim nothing.",
    ),
    "release_cycle_time": Meaning(
        "Release cycle time",
        "seconds",
        "From the earliest author date of a release's commits to the end of its first successful deployment to "
        "production, or, for one that was imported, to its release. The product's first release is left out "
        "(`baseline`), so are releases without commits (`no_commits`). A clock that ran ahead counts as 0 (`skew`).",
    ),
    "change_lead_time": Meaning(
        "Change lead time",
        "seconds",
        "From the commit date of each commit to the end of the first successful deployment to production of the "
        "release that first contained it. Rollbacks and later deployments change nothing. Commits of the product's "
        "first release are left out (`baseline`); those that are not deployed yet are `open`.",
    ),
    "deployment_frequency": Meaning(
        "Deployment frequency",
        "deployments a day",
        "Deployments to production that succeeded, divided by calendar days. Rollbacks are counted apart, failed "
        "attempts not at all. `release_days` are days with at least one, `median_interval` the seconds from one of a "
        "product to its next.",
    ),
    "change_fail_rate": Meaning(
        "Change fail rate",
        "share",
        "Deployments to production with at least one confirmed failure, divided by those that took traffic: that "
        "succeeded or were rolled back; rollbacks themselves are not among them. A failure is an incident whose cause"
        " somebody confirmed, or a deployment that repairs this one. `inferred` also counts causes that are only "
        "suggested; `maturing` are the deployments of the last 24 hours that may still turn out to have failed.",
    ),
    "failed_deployment_recovery_time": Meaning(
        "Failed deployment recovery time",
        "seconds",
        "From the end of a deployment that failed to the earliest of its rollback, the deployment that repairs it and"
        " the restoration of an incident that it caused. It counts in the time of the failed deployment. While some "
        "are open, the value is the Kaplan-Meier median.",
    ),
    "deployment_rework_rate": Meaning(
        "Deployment rework rate",
        "share",
        "Deployments to production that repair another one, and rollbacks, divided by all that succeeded.",
    ),
    "mttr_defects": Meaning(
        "Mean time to repair (defects)",
        "seconds",
        "From the opening of a known defect to the deployment to production of a release in which it is fixed: the "
        "mean. A defect that was reopened runs on. Rejected ones and imported ones without an opening date are left "
        "out and counted; one whose fix is in no release that was deployed is still open.",
    ),
    "time_to_restore": Meaning(
        "Time to restore (incidents)",
        "seconds",
        "From the start of an incident to its restoration, counted when it was restored. Planned outages are left "
        "out. While some are open, the value is the Kaplan-Meier median.",
    ),
    "downtimes": Meaning(
        "Downtimes",
        "downtimes",
        "Times in which a product was down and nobody had planned it: incidents that overlap or touch are one, "
        "counted when it starts. `seconds` is how long, `availability` the rest of the time. Planned outages inside "
        "of the time approved for them stand apart (`planned`), and so do times of degraded service (`degraded`).",
    ),
    "time_in_state": Meaning(
        "Time in each state",
        "seconds",
        "From the planning of a release to its deployment, by the event log; `states` says how much of it was spent "
        "in each state. The means of the states add up to the mean of the whole. Open are releases on their way, since "
        "they were planned.",
    ),
    "approval_latency": Meaning(
        "Approval latency",
        "seconds",
        "From the opening of a round of approval on a release or a change to its approval or rejection; "
        "retrospectives are left out. While some are open, the value is the Kaplan-Meier median.",
    ),
    "first_try_sign_offs": Meaning(
        "Sign-offs at the first try",
        "share",
        "Releases and changes whose first round was approved, divided by all whose first round ended.",
    ),
    "emergency_changes": Meaning(
        "Emergency changes",
        "share",
        "Emergency changes divided by all changes that were asked for, or recorded after the deed.",
    ),
    "overrides_used": Meaning(
        "Overrides used",
        "starts",
        "Starts of a deployment that needed an override of windows, freezes or the promotion path.",
    ),
    "releases_reworked": Meaning(
        "Releases sent back",
        "share",
        "Releases that were sent back to work at least once before their first deployment, divided by those deployed.",
    ),
    "commits_without_work_item": Meaning(
        "Commits without a work item",
        "share",
        "Commits that name no work item, divided by all; merges and bots do not count.",
    ),
}
