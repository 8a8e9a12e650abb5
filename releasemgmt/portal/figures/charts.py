"""What the figures look like: each chart with the table that says the same, and a gap where nothing is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from django.utils.formats import date_format

from releasemgmt.kpis.definitions import MEANINGS, Span
from releasemgmt.kpis.queries import Row, Scope, rows
from releasemgmt.kpis.queries.governance import BEFORE_USERS
from releasemgmt.portal.figures.drawing import (
    HEIGHT,
    Across,
    Box,
    Chart,
    Dot,
    Key,
    Scale,
    Stroke,
    Table,
    Tick,
    by_magnitude,
    from_nothing,
    percent,
    pixels,
)
from releasemgmt.portal.figures.words import (
    COUNTED,
    DAY,
    ENOUGH,
    HOUR,
    NOTHING,
    SECONDS,
    amount,
    counted,
    duration,
    number,
    share,
    told,
    value_of,
)

#: So many points are drawn at once; of more, every second, third …
MOST_POINTS = 600
STRIP = 36
#: In percent of the width.
NARROW = 0.3
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


class Shown(NamedTuple):
    """What is asked for, and its figures: of the whole time and of each bucket."""

    scope: Scope
    whole: Figures
    parts: Sequence[tuple[Span, Figures]]

    @property
    def across(self) -> Across:
        return Across(self.scope.span, self.scope.zone)

    def day(self, at: datetime) -> str:
        """When a bucket begins, as people name it."""
        style = "M Y" if self.scope.bucket == "month" else "j M Y"
        return date_format(at.astimezone(self.scope.zone), style)

    def minute(self, at: datetime) -> str:
        return date_format(at.astimezone(self.scope.zone), "j M Y, H:i")

    def rows(self, name: str) -> list[Row]:
        """The rows of a figure in the order of time; several charts are made of them."""
        return self.scope.once(f"rows of {name}", lambda scope: rows(scope, name))

    def of(self, name: str) -> list[tuple[Span, Mapping[str, Any]]]:
        """A figure bucket by bucket."""
        return [(span, figures[name]) for span, figures in self.parts]


def trend(shown: Shown, name: str) -> Chart:
    """A figure bucket by bucket, with the very cases behind it where they are durations."""
    unit = MEANINGS[name].unit
    points = [row for row in shown.rows(name) if not row.left_out] if unit == SECONDS else []
    values = [figure["value"] for _span, figure in shown.of(name) if figure["value"] is not None]
    cases = [row.value for row in points if row.value is not None]
    scale = by_magnitude([*values, *cases]) if unit == SECONDS else from_nothing(max([*values, 0]) or 1, unit)
    drawn, note = _points(shown, points, scale)
    line = list(_medians(shown, name, scale))
    return Chart(
        name=name,
        title=MEANINGS[name].label,
        note=note or f"by {shown.scope.bucket}",
        says=_in_a_sentence(shown, name),
        table=_trend_table(shown, name),
        up=scale.up,
        across=shown.across.ticks(),
        dots=drawn,
        strokes=[Stroke(a.left, a.top, b.left, b.top) for a, b in pairwise(line) if a and b],
        medians=[dot for dot in line if dot],
        keys=_keys(shown, name) if drawn else (),
    )


def _keys(shown: Shown, name: str) -> list[Key]:
    value = "Mean" if shown.whole[name]["estimator"] == "mean" else "Median"
    return [Key("median", f"{value} by {shown.scope.bucket}"), Key("point", f"Each {COUNTED[name]}")]


def _points(shown: Shown, found: Sequence[Row], scale: Scale) -> tuple[list[Dot], str]:
    """The cases, thinned out where they are too many to be told apart, and in which case it says so."""
    every = -(-len(found) // MOST_POINTS) or 1
    dots = [
        Dot(percent(shown.across.at(row.at)), pixels(scale.height(row.value)), _title(shown, row))
        for row in found[::every]
        if row.value is not None
    ]
    note = f"by {shown.scope.bucket}, each case a point, on a logarithmic scale" if dots else ""
    return dots, note + (f"; of {len(found):,} points one in {every} is drawn" if every > 1 else "")


def _title(shown: Shown, row: Row) -> str:
    return f"{duration(row.value)}, {shown.minute(row.at)}"


def _medians(shown: Shown, name: str, scale: Scale) -> Iterator[Dot | None]:
    """The value of each bucket; None is a gap in the line."""
    unit = MEANINGS[name].unit
    for span, figure in shown.of(name):
        value = figure["value"]
        title = f"{shown.day(span.begin)}: {amount(value, unit)} of {counted(figure['n'], COUNTED[name])}"
        yield None if value is None else Dot(shown.across.middle(span), pixels(scale.height(value)), title)


def _in_a_sentence(shown: Shown, name: str) -> str:
    """What a reader hears in the place of the picture."""
    found = told(name, shown.whole[name], bucket=shown.scope.bucket)
    parts = [f"{found.label}: {found.value} {found.unit}".strip(), f"of {found.n}", found.open, found.usual]
    return ", ".join(filter(None, parts)) + ". The table has the values."


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
    scale = from_nothing(max(count for _text, count in counts) or 1, "")
    width = 100 / len(counts)
    what = MEANINGS[name].label.lower()
    return Chart(
        name=name,
        title=f"Distribution of {what}",
        note=_middle(shown.whole[name]),
        says=f"How many {COUNTED[name]}s took how long. The table has the counts.",
        table=Table(
            ["Took", f"{COUNTED[name].capitalize()}s", "Share"],
            [[text, f"{count:,}", share(count / len(found))] for text, count in counts if count],
        ),
        up=scale.up,
        across=[Tick(percent(width * (n + 0.5)), text) for n, (text, _count) in enumerate(counts)],
        boxes=[
            _bar("value", percent(width * (n + 0.1)), percent(width * 0.8), scale, 0, count, f"{text}: {count:,}")
            for n, (text, count) in enumerate(counts)
            if count
        ],
    )


def _middle(figure: Mapping[str, Any]) -> str:
    if figure["median"] is None:
        return ""
    p90 = f", nine of ten within {duration(figure['p90'])}" if figure["n"] >= ENOUGH else ""
    return f"median {duration(figure['median'])}{p90}"


def _bar(tone: str, left: str, width: str, scale: Scale, low: float, high: float, title: str = "") -> Box:
    """A bar from a value up to another."""
    top, bottom = scale.height(high), scale.height(low)
    return Box(tone, left, pixels(top), width, pixels(bottom - top), title)


def _gap(left: str, width: str, height: int = HEIGHT) -> Box:
    return Box("gap", left, "0", width, str(height), "Nothing is known of this time")


def deployments(shown: Shown) -> Chart:
    """How many deployments there were, and how many of them failed."""
    frequency, failing = shown.of("deployment_frequency"), shown.of("change_fail_rate")
    counts = [_deployed(a, b) for (_span, a), (_same, b) in zip(frequency, failing, strict=True)]
    scale = from_nothing(max([each.good + each.bad for each in counts if each], default=1) or 1, "")
    boxes: list[Box] = []
    for (span, _figure), each in zip(frequency, counts, strict=True):
        if each is None:
            boxes.append(_gap(*_place(shown, span)))
            continue
        left, width = shown.across.bar(span)
        title = f"{shown.day(span.begin)}: {counted(each.good + each.bad, 'deployment')}, {each.bad:,} failed"
        boxes += [_bar("value", left, width, scale, 0, each.good, title)] if each.good else []
        boxes += [_bar("bad", left, width, scale, each.good, each.good + each.bad, title)] if each.bad else []
    figure = shown.whole["deployment_frequency"]
    return Chart(
        name="deployment_frequency",
        title=f"Deployments to production by {shown.scope.bucket}",
        note=f"{number(figure['value'])} a day" if figure["value"] is not None else "",
        says=_in_a_sentence(shown, "deployment_frequency"),
        table=_deployment_table(shown, counts),
        up=scale.up,
        across=shown.across.ticks(),
        boxes=boxes,
        keys=[Key("value", "Succeeded"), Key("bad", "Failed, or caused a failure"), *_gap_key(boxes)],
    )


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


def _deployment_table(shown: Shown, deployed: Sequence[Deployed | None]) -> Table:
    lines = []
    for (span, figure), each in reversed(list(zip(shown.of("deployment_frequency"), deployed, strict=True))):
        counts = [str(each.good), str(each.bad), str(each.back)] if each else [NOTHING] * 3
        lines.append([shown.day(span.begin), *counts, number(figure["value"])])
    return Table(["From", "Succeeded", "Failed", "Rollbacks", "A day"], lines)


def _gap_key(boxes: Sequence[Box]) -> list[Key]:
    return [Key("gap", "Nothing is known")] if any(box.tone == "gap" for box in boxes) else []


def downtime(shown: Shown) -> Chart:
    """When something was down, degraded or announced, as a strip."""
    found = shown.rows("downtimes")
    boxes = [_ground(shown, span, figure) for span, figure in shown.of("downtimes")]
    for tone in ("notice", "planned", "degraded", "down"):  # what matters most is drawn last
        boxes += [_outage(shown, row, tone) for row in found if (row.left_out or "down") == tone]
    figure = shown.whole["downtimes"]
    parts = [_count(figure), f"{share(figure['availability'])} available" if figure["value"] is not None else ""]
    return Chart(
        name="downtimes",
        title="Downtime",
        note=", ".join(filter(None, parts)),
        says=_in_a_sentence(shown, "downtimes"),
        table=Table(
            ["Began", "What", "Lasted in this time"],
            [
                [shown.minute(row.at), (row.left_out or "down").capitalize(), duration(row.value)]
                for row in reversed(found[-MOST_INCIDENTS:])
            ],
        ),
        height=STRIP,
        across=shown.across.ticks(),
        boxes=boxes,
        keys=[*(Key(tone, tone.capitalize()) for tone in ("down", "degraded", "planned", "up")), *_gap_key(boxes)],
    )


def _ground(shown: Shown, span: Span, figure: Mapping[str, Any]) -> Box:
    """What lies below the outages of a bucket: that all was well, or that nothing is known."""
    if figure["value"] is None:
        return _gap(*_place(shown, span), height=STRIP)
    left, width = _place(shown, span)
    return Box("up", left, "0", width, str(STRIP), f"{shown.day(span.begin)}: {_count(figure)}")


def _count(figure: Mapping[str, Any]) -> str:
    value = figure["value"]
    return "" if value is None else f"{counted(value, 'downtime')}, {duration(figure['seconds'])}"


def _place(shown: Shown, span: Span) -> tuple[str, str]:
    """From where on, and how wide: never so narrow that nobody sees it."""
    left, right = shown.across.at(span.begin), shown.across.at(span.end)
    return percent(min(left, 100 - NARROW)), percent(max(right - left, NARROW))


def _outage(shown: Shown, row: Row, tone: str) -> Box:
    begin = max(row.at, shown.scope.span.begin)
    left, width = _place(shown, Span(begin, begin + timedelta(seconds=row.value or 0)))
    title = f"{tone.capitalize()} from {shown.minute(row.at)}, {duration(row.value)}"
    return Box(tone, left, "0", width, str(STRIP), title)


def stages(shown: Shown) -> Chart:
    """Where the time goes on the way to production: the mean of each stage, one on the other."""
    found = shown.of("time_in_state")
    scale = from_nothing(max([figure["mean"] or 0 for _span, figure in found], default=0) or DAY, SECONDS)
    boxes: list[Box] = []
    for span, figure in found:
        left, width = shown.across.bar(span)
        low = 0.0
        for n, state in enumerate(BEFORE_USERS):
            mean = figure["states"][state]["mean"]
            if mean:
                title = f"{shown.day(span.begin)}, {_stage(state)}: {duration(mean)} on average"
                boxes.append(_bar(f"stage-{n}", left, width, scale, low, low + mean, title))
                low += mean
    return Chart(
        name="time_in_state",
        title="Cycle time by stage",
        note=f"mean of the releases that were deployed, by {shown.scope.bucket}",
        says=_in_a_sentence(shown, "time_in_state"),
        table=_stage_table(shown),
        up=scale.up,
        across=shown.across.ticks(),
        boxes=boxes,
        keys=[Key(f"stage-{n}", _stage(state).capitalize()) for n, state in enumerate(BEFORE_USERS)],
    )


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
