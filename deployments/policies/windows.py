"""Rules of windows and freezes: whether a time is open, why not, and when that changes. Ranges are half-open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby, islice, pairwise
from operator import itemgetter
from typing import NamedTuple

from releasemgmt.integrations import recurrence

#: So many people other than the one who stopped the line agree before it goes on.
RESUME_QUORUM = 2
#: How many times of a rule are looked at to see how close they come to each other.
LOOKED_AT = 60


class Span(NamedTuple):
    """One occurrence of a window, and what the window is called."""

    starts_at: datetime
    ends_at: datetime
    label: str

    def covers(self, at: datetime) -> bool:
        """Whether it is going on at that instant: its start belongs to it, its end does not."""
        return self.starts_at <= at < self.ends_at


@dataclass(frozen=True)
class Verdict:
    """Whether a time is open: `closed_by` are pairs of code and sentence, none where it is.

    `next_open` and `next_close` are the first instants after it at which that turns, None where none is known: what
    lies beyond `known_until` is not laid out yet.
    """

    closed_by: tuple[tuple[str, str], ...]
    next_open: datetime | None
    next_close: datetime | None
    known_until: datetime | None = None

    @property
    def is_open(self) -> bool:
        return not self.closed_by

    @property
    def reason(self) -> str:
        """Why it is closed, in words."""
        return " ".join(sentence for _code, sentence in self.closed_by)


def verdict(
    at: datetime, *, allow: Sequence[Span] | None, deny: Sequence[Span], known_until: datetime | None = None
) -> Verdict:
    """Whether that time is open: nothing denies it, and something allows it where anything has to (`allow` is None).

    The spans are those that have not ended by then; they may overlap and come in any order.
    """
    if known_until and at >= known_until:
        beyond = f"Windows are laid out until {moment(known_until)}; name an earlier time."
        return Verdict((("not_laid_out", beyond),), None, None, known_until)
    frozen = [("frozen", f"{span.label} is on until {moment(span.ends_at)}.") for span in deny if span.covers(at)]
    outside = allow is not None and not any(span.covers(at) for span in allow)
    closed_by = (*frozen, *([("outside_window", "It is outside every maintenance window.")] if outside else []))
    turns = {
        is_open: instant
        for instant, is_open in islice(_turns(at, allow, deny), 2)
        if known_until is None or instant < known_until
    }
    return Verdict(closed_by, turns.get(True), turns.get(False), known_until)


def _turns(at: datetime, allow: Sequence[Span] | None, deny: Sequence[Span]) -> Iterator[tuple[datetime, bool]]:
    """When it turns open or closed after that instant, in order."""
    edges, on = [], {"allow": 0, "deny": 0}
    for kind, spans in (("allow", allow or ()), ("deny", deny)):
        on[kind] = sum(span.covers(at) for span in spans)
        edges += [(span.starts_at, kind, 1) for span in spans if span.starts_at > at]
        edges += [(span.ends_at, kind, -1) for span in spans if span.ends_at > at]
    was_open = _is_open(on, allow)
    for instant, steps in groupby(sorted(edges), key=itemgetter(0)):
        for _instant, kind, step in steps:
            on[kind] += step
        if _is_open(on, allow) != was_open:
            was_open = not was_open
            yield instant, was_open


def _is_open(on: dict[str, int], allow: Sequence[Span] | None) -> bool:
    return not on["deny"] and (allow is None or on["allow"] > 0)


def overlap_with_itself(rule: str, *, first_on: date, start: time, duration: timedelta) -> bool:
    """Whether a time of the rule would not be over when the next one comes: then it would never end."""
    times = islice(recurrence.parsed(rule, first_on=first_on, start=start), LOOKED_AT)
    return any(later - earlier <= duration for earlier, later in pairwise(times))


def moment(at: datetime) -> str:
    """An instant in a sentence, in UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
