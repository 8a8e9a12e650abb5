"""What the figures look like: each chart with the table that says the same, and a gap where nothing is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple

from django.utils.formats import date_format

from releasemgmt.kpis.definitions import MEANINGS, Span, seconds_between, union
from releasemgmt.kpis.queries import Row, Scope, described, rows
from releasemgmt.kpis.queries.governance import BEFORE_USERS
from releasemgmt.portal.figures.drawing import (
    COUNTS,
    Axis,
    Chart,
    Series,
    Table,
    Value,
    by_magnitude,
    from_nothing,
    over_time,
    stamp,
    visible,
)
from releasemgmt.portal.figures.words import (
    COUNTED,
    DAY,
    ENOUGH,
    HOUR,
    MINUTE,
    NOTHING,
    SECONDS,
    amount,
    counted,
    duration,
    joined,
    number,
    share,
    told,
    value_of,
)

#: So many points are drawn at once; of more, every second, third …
MOST_POINTS = 400
#: The bars of a distribution: from which duration on, and how it is called.
BANDS = (
    (0, "under 1 h"),
    (HOUR, "1–4 h"),
    (4 * HOUR, "4–24 h"),
    (DAY, "1–3 d"),
    (3 * DAY, "3–7 d"),
    (7 * DAY, "1–2 wk"),
    (14 * DAY, "2–4 wk"),
    (28 * DAY, "1–3 mo"),
    (90 * DAY, "3–12 mo"),
    (365 * DAY, "over 1 yr"),
)
MOST_INCIDENTS = 200

Figures = Mapping[str, Mapping[str, Any]]
Buckets = Sequence[tuple[Span, Mapping[str, Any]]]


class Shown(NamedTuple):
    """What is asked for, and its figures: of the whole time and of each bucket."""

    scope: Scope
    whole: Figures
    parts: Sequence[tuple[Span, Figures]]

    @property
    def across(self) -> Axis:
        return over_time(self.scope.span, self.scope.zone)

    def day(self, at: datetime) -> str:
        """When a bucket begins, as people name it."""
        style = "M Y" if self.scope.bucket == "month" else "j M Y"
        return date_format(at.astimezone(self.scope.zone), style)

    def minute(self, at: datetime) -> str:
        return date_format(at.astimezone(self.scope.zone), "j M Y, H:i")

    def rows(self, name: str) -> list[Row]:
        """The rows of a figure in the order of time; several charts are made of them."""
        return self.scope.once(f"rows of {name}", lambda scope: rows(scope, name))

    def of(self, name: str) -> Buckets:
        """A figure bucket by bucket."""
        return [(span, figures[name]) for span, figures in self.parts]


def trend(shown: Shown, name: str) -> Chart:
    """A figure bucket by bucket, with the very cases behind it where they are durations."""
    lasts = MEANINGS[name].unit == SECONDS
    cases = [row for row in shown.rows(name) if not row.left_out and row.value is not None] if lasts else []
    values = [figure["value"] for _span, figure in shown.of(name) if figure["value"] is not None]
    every = -(-len(cases) // MOST_POINTS) or 1
    value = "Mean" if shown.whole[name]["estimator"] == "mean" else "Median"
    return Chart(
        kind="points",
        name=name,
        title=MEANINGS[name].label,
        note=_how_drawn(shown, len(cases), every),
        says=_in_a_sentence(shown, name),
        table=_trend_table(shown, name),
        across=shown.across,
        up=by_magnitude([*values, *(row.value or 0 for row in cases)])
        if lasts
        else from_nothing(max([*values, 0]) or 1, MEANINGS[name].unit),
        series=[
            Series("median", f"{value} by {shown.scope.bucket}", list(_medians(shown, name))),
            Series("point", f"Each {COUNTED[name]}", [_point(shown, row) for row in cases[::every]]),
        ],
    )


def _how_drawn(shown: Shown, cases: int, every: int) -> str:
    """What is to be seen; cases are thinned out where they are too many to be told apart."""
    parts = f"by {shown.scope.bucket}" + (", each case a point, on a logarithmic scale" if cases else "")
    return parts + (f"; of {cases:,} points one in {every} is drawn" if every > 1 else "")


def _point(shown: Shown, row: Row) -> Value:
    return Value(stamp(row.at), visible(row.value or 0), f"{duration(row.value)}, {shown.minute(row.at)}")


def _medians(shown: Shown, name: str) -> Iterator[Value]:
    """The value of each bucket; where there is none, the line has a gap."""
    unit = MEANINGS[name].unit
    for span, figure in shown.of(name):
        value = figure["value"]
        title = f"{shown.day(span.begin)}: {amount(value, unit)} of {counted(figure['n'], COUNTED[name])}"
        height = visible(value) if value is not None and unit == SECONDS else value
        yield Value(_middle_of(span), height, "" if value is None else title)


def _middle_of(span: Span) -> int:
    """Where the value of a bucket stands."""
    return (stamp(span.begin) + stamp(span.end)) // 2


def _in_a_sentence(shown: Shown, name: str, *more: str) -> str:
    """What a reader hears in the place of the picture."""
    found = told(name, shown.whole[name], bucket=shown.scope.bucket)
    parts = [f"{found.label}: {found.value} {found.unit}".strip(), f"of {found.n}", found.open, *more, found.usual]
    return joined(*parts) + ". The table has the values."


def _trend_table(shown: Shown, name: str) -> Table:
    unit = MEANINGS[name].unit
    has_open = shown.whole[name]["open"] is not None
    of = {"median": "Median", "mean": "Mean", "kaplan_meier_median": "Median"}
    head = ["From", of.get(shown.whole[name]["estimator"], "Value"), "n", *(["Open", "Oldest"] if has_open else [])]
    lines = []
    for span, figure in reversed(shown.of(name)):
        line = [shown.day(span.begin), value_of(figure, unit), f"{figure['n']:,}"]
        lines.append([*line, *(_open_cells(figure["open"]) if has_open else [])])
    return Table(head, lines)


def _open_cells(waiting: Mapping[str, Any]) -> list[str]:
    return [f"{waiting['count']:,}", duration(waiting["oldest_seconds"])]


def distribution(shown: Shown, name: str) -> Chart:
    """How many cases took how long; those that are open or do not count are not among them."""
    found = [row.value for row in shown.rows(name) if not row.left_out and row.value is not None]
    ends = [begin for begin, _text in BANDS[1:]] + [None]
    counts = [
        (text, sum(begin <= value and (end is None or value < end) for value in found))
        for (begin, text), end in zip(BANDS, ends, strict=True)
    ]
    what = MEANINGS[name].label.lower()
    return Chart(
        kind="bars",
        name=name,
        title=f"Distribution of {what}",
        note=_middle(shown.whole[name]),
        says=f"How many {COUNTED[name]}s took how long. The table has the counts.",
        table=Table(
            ["Took", f"{COUNTED[name].capitalize()}s", "Share"],
            [[text, f"{count:,}", share(count / len(found))] for text, count in counts if count],
        ),
        across=Axis({"min": -0.5, "max": len(counts) - 0.5}, [(n, text) for n, (text, _count) in enumerate(counts)]),
        up=COUNTS,
        series=[
            Series(
                "value",
                f"{COUNTED[name].capitalize()}s",
                [_bar(n, count, f"{text}: {count:,}") for n, (text, count) in enumerate(counts)],
            )
        ],
    )


def _middle(figure: Mapping[str, Any]) -> str:
    if figure["median"] is None:
        return ""
    p90 = f", nine of ten within {duration(figure['p90'])}" if figure["n"] >= ENOUGH else ""
    return f"median {duration(figure['median'])}{p90}"


def _bar(at: float, height: float | None, title: str) -> Value:
    """What is nothing, or is not known, is no bar; a table tells them apart."""
    return Value(at, height or None, title if height else "")


def deployments(shown: Shown) -> Chart:
    """How many deployments there were, and how many of them failed."""
    frequency, failing = shown.of("deployment_frequency"), shown.of("change_fail_rate")
    counts = [(span, _deployed(a, b)) for (span, a), (_same, b) in zip(frequency, failing, strict=True)]
    value = shown.whole["deployment_frequency"]["value"]
    a_day = "" if value is None else f"{number(value)} a day"
    bad = sum(each.bad for _span, each in counts if each)

    def bars(height: Callable[[Deployed], int]) -> list[Value]:
        return [_bar(_middle_of(span), each and height(each), _count_of(shown, span, each)) for span, each in counts]

    return Chart(
        kind="bars",
        name="deployment_frequency",
        title=f"Deployments to production by {shown.scope.bucket}",
        note=joined(a_day, _since(shown, frequency)),
        says=_in_a_sentence(shown, "deployment_frequency", f"{bad:,} failed or did harm"),
        table=_deployment_table(shown, counts),
        across=shown.across,
        up=COUNTS,
        series=[
            Series("value", "Went well", bars(lambda each: each.good)),
            Series("bad", "Failed or did harm", bars(lambda each: each.bad)),
            _unknown(frequency),
        ],
    )


def _since(shown: Shown, found: Buckets) -> str:
    """Since when something is known, where that is not the whole time."""
    known = [span for span, figure in found if figure["value"] is not None]
    return f"known since {shown.day(known[0].begin)}" if known and known[0] != found[0][0] else ""


def _unknown(found: Buckets) -> Series:
    """The times about which a figure says nothing, which are no times at which nothing was."""
    unknown = [span for span, figure in found if figure["value"] is None]
    return Series("gap", "Nothing is known", [_during(span, "Nothing is known of this time") for span in unknown])


def _count_of(shown: Shown, span: Span, each: Deployed | None) -> str:
    if each is None:
        return ""
    return f"{shown.day(span.begin)}: {counted(each.good + each.bad, 'deployment')}, {each.bad:,} failed or did harm"


class Deployed(NamedTuple):
    """The deployments of a bucket: what went well, what failed, and what went back."""

    good: int
    bad: int
    back: int


def _deployed(frequency: Mapping[str, Any], failing: Mapping[str, Any]) -> Deployed | None:
    """Failed attempts, and those that took traffic and turned out to be failures."""
    if frequency["value"] is None:
        return None
    took = failing["n"]
    never = frequency["n"] + frequency["excluded"].get("failed", 0) - took
    return Deployed(took - failing["failed"], failing["failed"] + never, frequency["rollbacks"])


def _deployment_table(shown: Shown, deployed: Sequence[tuple[Span, Deployed | None]]) -> Table:
    lines = []
    for (_span, figure), (span, each) in reversed(list(zip(shown.of("deployment_frequency"), deployed, strict=True))):
        counts = [str(each.good), str(each.bad), str(each.back)] if each else [NOTHING] * 3
        lines.append([shown.day(span.begin), *counts, number(figure["value"])])
    return Table(["From", "Went well", "Failed or did harm", "Rollbacks", "A day"], lines)


def downtime(shown: Shown) -> Chart:
    """When something was down, degraded or announced, as a strip: what matters most is on top."""
    found = shown.rows("downtimes")
    buckets = shown.of("downtimes")
    outages = [
        Series(
            tone, tone.capitalize(), [_outage(shown, row, tone) for row in found if (row.left_out or "down") == tone]
        )
        for tone in ("down", "degraded", "planned", "notice")
    ]
    well = [_during(span, f"{shown.day(span.begin)}: {said}") for span, each in buckets if (said := _count(each))]
    figure = shown.whole["downtimes"]
    available = f"{share(figure['availability'])} available" if figure["value"] is not None else ""
    listed = f"the latest {MOST_INCIDENTS} of {len(found):,} are listed" if len(found) > MOST_INCIDENTS else ""
    return Chart(
        kind="strip",
        name="downtimes",
        title="Downtime",
        note=joined(_count(figure), available, _since(shown, buckets), listed),
        says=_in_a_sentence(shown, "downtimes"),
        table=_outage_table(shown, found[-MOST_INCIDENTS:], buckets),
        across=shown.across,
        series=[*outages, Series("up", "Up", well), _unknown(buckets)],
    )


def _outage_table(shown: Shown, found: Sequence[Row], buckets: Buckets) -> Table:
    """The incidents, and the times of which nothing is known; the latest first."""
    unknown = union(span for span, figure in buckets if figure["value"] is None)
    lines = [(span.begin, NOTHING, "Nothing is known", duration(seconds_between(*span))) for span in unknown]
    for each in described(found):
        name = each.number if shown.scope.product else f"{each.number}, {each.product}"
        lines.append((each.row.at, name, (each.row.left_out or "down").capitalize(), duration(each.row.value)))
    lines.sort(key=itemgetter(0), reverse=True)
    head = ["Began", "Incident", "What", "Lasted in this time"]
    return Table(head, [[shown.minute(at), *cells] for at, *cells in lines])


def _count(figure: Mapping[str, Any]) -> str:
    value = figure["value"]
    return "" if value is None else f"{counted(value, 'downtime')}, {duration(figure['seconds'])}"


def _during(span: Span, title: str) -> Value:
    return Value((stamp(span.begin), stamp(span.end)), "", title)


def _outage(shown: Shown, row: Row, tone: str) -> Value:
    begin = max(row.at, shown.scope.span.begin)
    title = f"{tone.capitalize()} from {shown.minute(row.at)}, {duration(row.value)}"
    return _during(Span(begin, begin + timedelta(seconds=row.value or 0)), title)


def stages(shown: Shown) -> Chart:
    """Where the time goes on the way to production: the mean of each stage, one on the other."""
    found = shown.of("time_in_state")
    return Chart(
        kind="bars",
        name="time_in_state",
        title="Cycle time by stage",
        note=f"mean of the releases that were deployed, by {shown.scope.bucket}",
        says=_in_a_sentence(shown, "time_in_state"),
        table=_stage_table(shown),
        across=shown.across,
        up=from_nothing(max([figure["mean"] or 0 for _span, figure in found], default=0) or MINUTE, SECONDS),
        series=[
            Series(f"stage-{n}", _stage(state).capitalize(), [_stay(shown, span, each, state) for span, each in found])
            for n, state in enumerate(BEFORE_USERS)
        ],
    )


def _stay(shown: Shown, span: Span, figure: Mapping[str, Any], state: str) -> Value:
    mean = figure["states"][state]["mean"]
    title = f"{shown.day(span.begin)}, {_stage(state)}: {duration(mean)} on average"
    return Value(_middle_of(span), mean, "" if mean is None else title)  # in no time is a case, too


def _stage(state: str) -> str:
    return state.replace("_", " ")


def _stage_table(shown: Shown) -> Table:
    lines = [("Whole time", shown.whole["time_in_state"])]
    lines += [(shown.day(span.begin), figure) for span, figure in reversed(shown.of("time_in_state"))]
    head = ["From", *(_stage(state).capitalize() for state in BEFORE_USERS), "In all", "n"]
    return Table(head, [[when, *_stage_cells(figure)] for when, figure in lines])


def _stage_cells(figure: Mapping[str, Any]) -> list[str]:
    means = [figure["states"][state]["mean"] for state in BEFORE_USERS]
    return [*(duration(mean) for mean in means), duration(figure["mean"]), f"{figure['n']:,}"]


#: The charts of the overview, in the order in which they are read.
OVERVIEW: Sequence[Callable[[Shown], Chart]] = (
    lambda shown: trend(shown, "change_lead_time"),
    lambda shown: distribution(shown, "change_lead_time"),
    deployments,
    downtime,
    stages,
    lambda shown: trend(shown, "release_cycle_time"),
    lambda shown: trend(shown, "time_to_restore"),
)
#: What some figures show beside their trend.
OWN: Mapping[str, Callable[[Shown], Chart]] = {
    "deployment_frequency": deployments,
    "downtimes": downtime,
    "time_in_state": stages,
}


def of_figure(shown: Shown, name: str) -> list[Chart]:
    """The charts of one figure: its trend, how its durations are distributed, and what is its own."""
    found = [trend(shown, name)]
    if MEANINGS[name].unit == SECONDS:
        found.append(distribution(shown, name))
    return [*found, OWN[name](shown)] if name in OWN else found
