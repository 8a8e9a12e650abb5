"""Reading windows: whether a product's deployment may start in an environment at a time, and what stands in its way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple

from deployments import policies
from deployments.models import LineStop, Occurrence, Window, WindowOverride
from deployments.policies import Span, Verdict
from releasemgmt.catalog.models import Environment, Product
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import once, while_reading

#: How far is looked at first: mostly the next opening and closing are within it.
NEAR = timedelta(days=35)
#: Later than any time of a rule that matters.
END_OF_RULES = datetime(2400, 1, 1, tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Clearance:
    """What the windows say of a start: the verdict, and the override by which it is open where one is needed.

    `spent` are the release's overrides that would do, were they not used up or expired.
    """

    verdict: Verdict
    override: WindowOverride | None = None
    spent: Sequence[WindowOverride] = ()


def windows_over(environment: Environment, product: Product | None) -> list[Window]:
    """The windows that count for a product in an environment; one statement."""
    in_force = Window.objects.in_force().over(environment, product).order_by("pk")
    return while_reading(("windows", environment.pk, product.pk if product else None), lambda: list(in_force))


def approved_overrides(release: Release, environment: Environment) -> list[WindowOverride]:
    """What was ever let through of a release in an environment, what expires first before; two statements."""
    given = release.window_overrides.filter(environment=environment, state=WindowOverride.State.APPROVED)
    given = given.prefetch_related("windows").order_by("expires_at", "pk")
    return while_reading(("overrides", release.pk, environment.pk), lambda: list(given))


def window_verdict(environment: Environment, product: Product | None, *, at: datetime) -> Verdict:
    """Whether anything may start there at that time; at most three statements, however many times are laid out."""
    return judge(windows_over(environment, product), at)


def clearance(release: Release, environment: Environment, *, at: datetime) -> Clearance:
    """Whether the windows let a release start in an environment at that time, by an override if one is needed.

    Looked up once for a command or a read.
    """
    return once(("clearance", release.pk, environment.pk, at), lambda: _clearance(release, environment, at))


def _clearance(release: Release, environment: Environment, at: datetime) -> Clearance:
    windows = windows_over(environment, release.product)
    found = judge(windows, at)
    if found.is_open:
        return Clearance(found)
    spent = []
    for override in approved_overrides(release, environment):
        left_out = set(override.windows.all())
        without = judge([window for window in windows if window not in left_out], at)
        if without.is_open and override.standing(at) == WindowOverride.State.APPROVED:
            return Clearance(without, override)
        spent += [override] if without.is_open else []
    return Clearance(found, spent=spent)


def judge(windows: Sequence[Window], at: datetime) -> Verdict:
    """What these windows, which are in force, say of a time; at most two statements."""
    laid_out = [window.laid_out_until for window in windows if window.laid_out_until]
    known_until = min(laid_out, default=None)
    near = _near(windows, at, known_until)
    found = _verdict(windows, near.spans, at, near.until)
    whole = found.next_open and found.next_close
    if not windows or whole or near.until == known_until:
        return replace(found, known_until=known_until)
    return _verdict(windows, spans_of(windows, at, known_until or END), at, known_until)


class Near(NamedTuple):
    """The times of some windows between two instants."""

    begin: datetime
    until: datetime
    spans: Sequence[tuple[Window, Span]]


def _near(windows: Sequence[Window], at: datetime, known_until: datetime | None) -> Near:
    """The times from then on in which the next opening and closing mostly are; a read that tries several looks once."""
    until = min(filter(None, [known_until, at + NEAR]))
    if not windows:
        return Near(at, until, ())
    key = ("near", *(window.pk for window in windows))
    there = while_reading(key, lambda: Near(at, until, spans_of(windows, at, until)))
    if at == there.begin:
        return there
    if there.begin < at < there.until:
        return there._replace(spans=[(window, span) for window, span in there.spans if at < span.ends_at])
    return Near(at, until, spans_of(windows, at, until))


def _verdict(
    windows: Sequence[Window], spans: Sequence[tuple[Window, Span]], at: datetime, known_until: datetime | None
) -> Verdict:
    by_kind = {kind: [span for window, span in spans if window.kind == kind] for kind in Window.Kind}
    needs_leave = any(not window.is_freeze for window in windows)
    return policies.verdict(
        at,
        allow=by_kind[Window.Kind.ALLOW] if needs_leave else None,
        deny=by_kind[Window.Kind.DENY],
        known_until=known_until,
    )


def spans_of(windows: Iterable[Window], begin: datetime, end: datetime) -> list[tuple[Window, Span]]:
    """The times of these windows that overlap a half-open interval, the earliest first; one statement."""
    known = {window.pk: window for window in windows}
    longest = max((window.duration for window in known.values()), default=timedelta())
    rows = Occurrence.objects.filter(window__in=known).overlapping(begin, end, longest=longest)
    return [
        (known[pk], Span(starts_at, ends_at, known[pk].label))
        for pk, starts_at, ends_at in rows.order_by("starts_at", "pk").values_list("window", "starts_at", "ends_at")
    ]


def line_stops(environment: Environment, product: Product | None) -> list[LineStop]:
    """The stops that keep everything of a product from starting in an environment; one statement."""
    stops = LineStop.objects.standing().over(environment, product)
    return list(stops.select_related("product", "environment", "stopped_by").order_by("pk"))


def times_ahead(window: Window, now: datetime, most: int) -> list[tuple[datetime, datetime]]:
    """The next times of a window, one that is on included, by its rule: also of one that is only asked for."""
    begin = now - window.duration
    starts = (start for start in window.starts(begin, END_OF_RULES) if start + window.duration > now)
    return [(start, start + window.duration) for start in islice(starts, most)]
