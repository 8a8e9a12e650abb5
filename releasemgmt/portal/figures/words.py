"""Figures in words: durations, shares and counts as people read them. What is not known is a dash, never 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from releasemgmt.kpis.definitions import MEANINGS

MINUTE, HOUR, DAY = 60, 3_600, 86_400
NOTHING = "–"
#: From so many facts on nine of ten say something.
ENOUGH = 10
SECONDS, SHARE, NUMBER = "seconds", "share", "number"

#: What `n` counts.
COUNTED = {
    "commits_per_active_day": "commit",
    "commit_volume": "release",
    "release_cycle_time": "release",
    "change_lead_time": "commit",
    "deployment_frequency": "deployment",
    "change_fail_rate": "deployment",
    "failed_deployment_recovery_time": "repaired deployment",
    "deployment_rework_rate": "deployment",
    "mttr_defects": "repaired defect",
    "time_to_restore": "restored incident",
    "downtimes": "incident",
    "time_in_state": "release",
    "approval_latency": "decided round",
    "first_try_sign_offs": "first round",
    "emergency_changes": "change",
    "overrides_used": "start",
    "releases_reworked": "release",
    "commits_without_work_item": "commit",
}
ESTIMATORS = {"median": "median", "mean": "mean", "kaplan_meier_median": "median, open cases counted (Kaplan-Meier)"}
#: What else some figures say: in which words, and in which unit.
BESIDE = {
    "by_author_date": ("By author dates", NUMBER),
    "active_days": ("Active days", NUMBER),
    "per_contributor_day": ("For each contributor", NUMBER),
    "commits": ("Commits", NUMBER),
    "merges": ("Merges", NUMBER),
    "bots": ("By bots", NUMBER),
    "release_days": ("Days with one", NUMBER),
    "median_interval": ("Usually every", SECONDS),
    "rollbacks": ("Rollbacks", NUMBER),
    "failed": ("Failed", NUMBER),
    "inferred": ("With suspected ones", SHARE),
    "maturing": ("Younger than a day", NUMBER),
    "seconds": ("Down for", SECONDS),
    "availability": ("Available", SHARE),
    "reworks": ("Times sent back", NUMBER),
}
LEFT_OUT = {
    "baseline": "of the first release",
    "no_commits": "without commits",
    "skew": "clock ran ahead, counted as 0",
    "failed": "failed",
    "rollback": "rollback",
    "planned": "planned",
    "notice": "notice only",
    "rejected": "rejected",
    "no_opening_date": "without an opening date",
    "fix_in_no_release": "fix is in no release",
    "open": "still open",
    "work_item": "names a work item",
}


def duration(seconds: float | None) -> str:
    """In its two largest units, as far as they matter."""
    if seconds is None:
        return NOTHING
    whole = round(seconds)
    for size, name, smaller, rest in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "min"), (MINUTE, "min", 1, "s")):
        if whole >= size:
            large, left = divmod(whole, size)
            small = left // smaller
            return f"{large:,}\u00a0{name}" + (f" {small}\u00a0{rest}" if small and large < 10 else "")
    return f"{whole}\u00a0s"


def share(value: float | None) -> str:
    """Of a hundred; what is nearly all or nothing is not rounded to it."""
    if value is None:
        return NOTHING
    digits = f"{value * 100:.{2 if value > 0.99 else 1}f}"
    return digits.rstrip("0").rstrip(".") + "\u00a0%"


def number(value: float | None) -> str:
    """With two digits after the point, or more where it is nearly nothing."""
    if value is None:
        return NOTHING
    digits = ",.0f" if value == round(value) or value >= 1_000 else ",.2f" if value >= 0.01 else ".1g"
    return f"{value:{digits}}"


FORMATS = {SECONDS: duration, SHARE: share, NUMBER: number}


def amount(value: float | None, unit: str) -> str:
    """A value in its unit, which is said elsewhere."""
    return FORMATS.get(unit, number)(value)


def counted(n: int, what: str) -> str:
    """So many of something."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def joined(*parts: str) -> str:
    """What there is to say, in one line."""
    return ", ".join(filter(None, parts))


def waiting(figure: Mapping[str, Any]) -> str:
    """How many cases are open, and for how long the oldest; nothing where a figure knows none."""
    found = figure["open"]
    if not found:
        return ""
    oldest = found["oldest_seconds"]
    return f"{found['count']:,} open" + (f", the oldest for {duration(oldest)}" if oldest is not None else "")


def value_of(figure: Mapping[str, Any], unit: str) -> str:
    """Its value, or the longest time observed where too many cases are open for a median."""
    if figure["value"] is None and figure.get("at_least") is not None:
        return f"> {duration(figure['at_least'])}"
    return amount(figure["value"], unit)


class Told(NamedTuple):
    """A figure as a card says it."""

    name: str
    label: str
    value: str
    unit: str
    estimator: str
    n: str
    open: str
    usual: str
    facts: list[tuple[str, str]]
    left_out: list[tuple[str, int]]


def told(name: str, figure: Mapping[str, Any], *, bucket: str) -> Told:
    """A figure of the whole time, with what belongs beside it."""
    unit = MEANINGS[name].unit
    value = value_of(figure, unit)
    return Told(
        name=name,
        label=MEANINGS[name].label,
        value=value,
        unit="" if unit in (SECONDS, SHARE) or value == NOTHING else unit.removesuffix("s") if value == "1" else unit,
        estimator=ESTIMATORS.get(figure["estimator"], ""),
        n=counted(figure["n"], COUNTED[name]),
        open=waiting(figure),
        usual=_usual(figure.get("trend"), unit, bucket),
        facts=list(_facts(figure, unit)),
        left_out=[(LEFT_OUT.get(why, why), n) for why, n in figure["excluded"].items()],
    )


def _usual(trend: Mapping[str, float | None] | None, unit: str, bucket: str) -> str:
    if not trend or None in trend.values():
        return ""
    return f"Last whole {bucket} {amount(trend['last'], unit)}, usually {amount(trend['usual'], unit)}"


def _facts(figure: Mapping[str, Any], unit: str) -> Iterator[tuple[str, str]]:
    """The median and what else is said; nine of ten only where there are enough."""
    for name, label in (("median", "Median"), ("mean", "Mean"), ("p90", "Nine of ten within")):
        if name in figure and (name != "p90" or figure["n"] >= ENOUGH):
            yield label, amount(figure[name], unit)
    for name, (label, kind) in BESIDE.items():
        if name in figure:
            yield label, amount(figure[name], kind)
    for name, label in (("degraded", "Degraded"), ("planned", "Down as planned")):
        if name in figure:
            yield label, f"{figure[name]['count']:,}, {duration(figure[name]['seconds'])}"
