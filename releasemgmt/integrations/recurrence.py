"""Recurrence rules of RFC 5545: on which days something comes again, at a local time of day, as instants."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

PART = re.compile(r"([A-Z]+)=([A-Z0-9,+-]+)")
ALWAYS = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY"}
OF_LONGER = ALWAYS | {"BYMONTH", "BYMONTHDAY", "BYSETPOS"}
#: What a rule may say, by how often it comes: the hour is no part of it, and a rule that can't be met is found at once.
PARTS = {"DAILY": ALWAYS, "WEEKLY": ALWAYS | {"BYMONTH"}, "MONTHLY": OF_LONGER, "YEARLY": OF_LONGER}
NUMBER = re.compile(r"[1-9][0-9]{0,2}")
DAY = re.compile(r"[0-9]{8}")
MONTHS = re.compile(r"(0?[1-9]|1[0-2])(,(0?[1-9]|1[0-2]))*")
#: The calendar of days and weekdays repeats: a rule that does not come in so many years never does.
CYCLE = 400
UNITS = {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year"}
NAMES = {
    "MO": "Monday", "TU": "Tuesday", "WE": "Wednesday", "TH": "Thursday", "FR": "Friday", "SA": "Saturday",
    "SU": "Sunday",
}  # fmt: skip
ORDINALS = {"1": "first", "2": "second", "3": "third", "4": "fourth", "5": "fifth", "-1": "last"}
NAMED_DAY = re.compile(r"([+-]?[0-9]+)?([A-Z]{2})")


class BadRule(ValueError):
    """A rule that can't be taken; the message says why."""


def instants(
    rule: str, *, first_on: date, start: time, zone: str, begin: datetime, end: datetime
) -> Iterator[datetime]:
    """When it comes in a half-open interval, in UTC, the earliest first and each once.

    Where a zone left out a whole day, that day's instant is the next day's too.
    """
    last = None
    for local in parsed(rule, first_on=first_on, start=start):
        at = instant(local, zone)
        if at >= end:
            return
        if at >= begin and at != last:
            yield at
        last = at


def instant(local: datetime, zone: str) -> datetime:
    """A local wall time in UTC: one that doesn't exist moves forward by the gap, of two the first counts."""
    return local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)


def parsed(rule: str, *, first_on: date, start: time) -> rrule:
    """The rule's local times, without a zone; raises BadRule, also for one that never comes."""
    found = dict(_parts(rule))
    _check(found)
    try:
        times = rrulestr(rule, dtstart=datetime.combine(first_on, start))
        if isinstance(times, rrule) and _comes(times, first_on):
            return times
    except (ValueError, OverflowError, IndexError) as error:
        raise BadRule(f"This is no rule: {error}.") from error
    raise BadRule("There is no day on which it would come.")


def _comes(times: rrule, first_on: date) -> bool:
    """Whether there is such a day; asked where the calendar ends, so that the search for none is over soon."""
    late = datetime.combine(first_on.replace(year=first_on.year + (9999 - first_on.year) // CYCLE * CYCLE), time())
    ever = next(iter(times.replace(dtstart=late, until=None)), None) is not None
    return ever and next(iter(times), None) is not None


def words(rule: str) -> str:
    """The rule as people say it; one with more than days in it stays as it is."""
    found = dict(_parts(rule))
    if not set(found) <= {"FREQ", "INTERVAL", "BYDAY"}:
        return rule
    unit, every = UNITS[found["FREQ"]], found.get("INTERVAL", "1")
    often = f"every {unit}" if every == "1" else f"every {every} {unit}s"
    days = [_named(day) for day in found["BYDAY"].split(",")] if "BYDAY" in found else []
    return f"{often} on {', '.join(days)}" if days else often


def _named(day: str) -> str:
    found = NAMED_DAY.fullmatch(day)
    if found is None:
        return day
    which = found[1] and found[1].removeprefix("+")
    return f"the {ORDINALS.get(which, which)} {NAMES[found[2]]}" if which else NAMES[found[2]]


def _parts(rule: str) -> Iterator[tuple[str, str]]:
    seen = set()
    for part in rule.split(";"):
        found = PART.fullmatch(part)
        if found is None or found[1] in seen:
            raise BadRule("Write it like FREQ=WEEKLY;BYDAY=TU: parts with a value, each once.")
        seen.add(found[1])
        yield found[1], found[2]


def _check(found: dict[str, str]) -> None:
    often = found.get("FREQ", "")
    if often not in PARTS:
        raise BadRule(f"FREQ is one of {', '.join(PARTS)}: it comes at most once a day.")
    if unknown := sorted(set(found) - PARTS[often]):
        raise BadRule(f"A rule that is {often} has no {', '.join(unknown)}.")
    if wrong := [name for name in ("INTERVAL", "COUNT") if name in found and not NUMBER.fullmatch(found[name])]:
        raise BadRule(f"{wrong[0]} is a number from 1 to 999.")
    if "BYMONTH" in found and not MONTHS.fullmatch(found["BYMONTH"]):
        raise BadRule("BYMONTH names months by numbers from 1 to 12.")
    if "UNTIL" in found and not DAY.fullmatch(found["UNTIL"]):
        raise BadRule("UNTIL is a day, like 20271231.")
