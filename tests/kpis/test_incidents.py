"""Figures of incidents, from what was reported by commands: the fixtures of the specification."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import time_machine

from approvals.commands import create_change
from deployments.commands import correct_incident, record_incident, report_incident, withdraw_incident
from deployments.models import Incident
from releasemgmt.accounts.commands import system
from releasemgmt.kpis import queries
from releasemgmt.releases.commands.importing import import_past
from releasemgmt.workflow.commands import fire
from tests.conftest import NOW
from tests.deployments.world import Shop
from tests.kpis.world import DAY, MINUTE, by_bucket, figures, scope, ship
from tests.releases.history import past

HOUR = 60 * MINUTE
TEN = NOW.replace(hour=10)


def at(clock: str) -> datetime:
    hours, minutes = map(int, clock.split(":"))
    return NOW.replace(hour=hours, minute=minutes)


def down(shop: Shop, begin: datetime, end: datetime | None = None, **facts: Any) -> Incident:
    given = {"title": "Down", "kind": "down", "environment": shop.production, "now": NOW + 5 * DAY, **facts}
    return report_incident(product=shop.product, actor=shop.manager, started_at=begin, restored_at=end, **given)


def asked(shop: Shop, **facts: Any) -> dict[str, Any]:
    return figures(shop.ci, **{"product": shop.product, **facts})


def test_overlapping_incidents_are_one_downtime(shop: Shop) -> None:  # fixtures 5 and 12
    for begin, end in (("10:00", "11:00"), ("10:30", "12:00"), ("12:00", "12:10"), ("12:20", "12:30")):
        down(shop, at(begin), at(end))
    found = asked(shop)["downtimes"]
    assert (found["value"], found["seconds"], found["n"]) == (2, 8_400, 4)
    assert found["availability"] == 1 - 8_400 / (7 * 24 * 3600)
    other = down(shop, NOW + DAY, NOW + DAY + 59 * MINUTE)
    assert asked(shop)["downtimes"]["seconds"] == 8_400 + 3_540
    withdraw_incident(other, reason="It was a drill.", actor=shop.manager, now=NOW + 5 * DAY)
    assert asked(shop)["downtimes"]["seconds"] == 8_400


def test_a_downtime_counts_where_it_starts_and_lasts_where_it_lasts(shop: Shop) -> None:
    midnight = NOW.replace(hour=0)
    down(shop, midnight - HOUR, midnight + 2 * HOUR)
    down(shop, midnight + HOUR, midnight + HOUR, kind="degraded")
    days = [each["downtimes"] for _begin, each in by_bucket(shop.ci, "day", product=shop.product)]
    assert [each["value"] for each in days] == [None, None, 1, 0, 0, 0, 0, 0]
    assert [each["seconds"] for each in days][2:4] == [3600, 7200]
    assert asked(shop)["downtimes"]["degraded"]["count"] == 0  # it was down at the same time


def test_what_ends_with_a_day_is_open_at_its_end(shop: Shop) -> None:
    midnight = NOW.replace(hour=0) + DAY
    down(shop, midnight - HOUR, midnight)
    days = dict(by_bucket(shop.ci, "day", product=shop.product))
    found = [days[begin]["time_to_restore"] for begin in (midnight - DAY, midnight)]
    assert [(each["n"], each["open"]["count"]) for each in found] == [(0, 1), (1, 0)]


def test_rows_of_downtimes_say_what_was_none(shop: Shop) -> None:
    for kind in ("down", "degraded"):
        down(shop, TEN, TEN + HOUR, kind=kind)
    rows = queries.rows(scope(shop.ci, product=shop.product), "downtimes")
    assert sorted(row.left_out for row in rows) == ["", "degraded"]


def test_closed_and_open_incidents(shop: Shop) -> None:  # fixture 6
    for hours in (1, 2, 3):
        down(shop, TEN, TEN + hours * HOUR)
    down(shop, NOW + 4 * DAY - 4 * HOUR)
    found = asked(shop)["time_to_restore"]
    assert (found["mean"], found["n"], found["value"], found["estimator"]) == (7200, 3, 7200, "kaplan_meier_median")
    assert found["open"] == {"count": 1, "oldest_seconds": 4 * 3600}
    assert asked(shop, end=NOW + 2 * DAY)["time_to_restore"]["estimator"] == "median"


def test_where_most_are_open_there_is_no_median(shop: Shop) -> None:  # fixture 6
    down(shop, TEN, TEN + HOUR)
    for hours in (4, 5):
        down(shop, NOW + 4 * DAY - hours * HOUR)
    found = asked(shop)["time_to_restore"]
    assert (found["value"], found["at_least"], found["median"]) == (None, 5 * 3600, 3600)


def test_many_incidents_of_one_deployment_are_one_failure(shop: Shop) -> None:  # fixture 7
    first, *_others = [ship(shop, f"1.{n}", at=NOW + n * HOUR) for n in range(4)]
    begin = NOW + 30 * MINUTE
    suspected = down(shop, begin, begin + HOUR)
    found = asked(shop)["change_fail_rate"]
    assert (found["value"], found["inferred"], found["n"]) == (0, 0.25, 4)
    correct_incident(suspected, changes={"caused_by": first}, actor=shop.manager, now=NOW + DAY)
    down(shop, begin, begin + 2 * HOUR, caused_by=first)
    found = asked(shop)
    assert (found["change_fail_rate"]["value"], found["change_fail_rate"]["inferred"]) == (0.25, 0.25)
    assert found["failed_deployment_recovery_time"]["value"] == 90 * 60
    rows = queries.rows(scope(shop.ci, product=shop.product), "change_fail_rate")
    assert [(row.pk, row.value) for row in rows][0] == (first.pk, 1)


def test_a_failure_that_is_not_repaired_is_open(shop: Shop) -> None:
    deployed = ship(shop, "1", at=NOW)
    down(shop, NOW + HOUR, caused_by=deployed)
    found = asked(shop)["failed_deployment_recovery_time"]
    assert (found["value"], found["n"], found["open"]["count"]) == (None, 0, 1)
    assert found["at_least"] == found["open"]["oldest_seconds"] == 7 * 24 * 3600


def test_what_was_recorded_late_restates_the_past(shop: Shop) -> None:  # fixture 13
    late = NOW + 33 * DAY
    down(shop, TEN, TEN + HOUR, now=late)
    before, after = (asked(shop, now=late + DAY, as_of=moment)["downtimes"] for moment in (late - DAY, late + HOUR))
    assert (before["value"], before["n"]) == (None, 0)
    assert (after["value"], after["seconds"]) == (1, 3600)
    corrected = Incident.objects.get()
    correct_incident(corrected, changes={"restored_at": TEN + 2 * HOUR}, actor=shop.manager, now=late + DAY)
    known = [asked(shop, now=late + 9 * DAY, as_of=late + n * DAY)["downtimes"]["seconds"] for n in (0.5, 2)]
    assert known == [3600, 7200]


def test_planned_outages_stand_apart(shop: Shop) -> None:
    record_incident(
        product=shop.product,
        external_id="old-1",
        recorded_at=NOW - DAY,
        actor=system(),
        title="Maintenance",
        kind="down",
        planned=True,
        started_at=TEN,
        restored_at=TEN + HOUR,
    )
    found = asked(shop)
    assert (found["downtimes"]["value"], found["downtimes"]["planned"]) == (0, {"count": 1, "seconds": 3600})
    assert (found["time_to_restore"]["value"], found["time_to_restore"]["excluded"]) == (None, {"planned": 1})


def test_maintenance_of_one_thing_does_not_interrupt_the_outage_of_another(shop: Shop) -> None:
    down(shop, TEN, TEN + 4 * HOUR)
    record_incident(
        product=shop.product,
        external_id="old-1",
        recorded_at=NOW - DAY,
        actor=system(),
        title="Maintenance",
        kind="down",
        planned=True,
        started_at=TEN + HOUR,
        restored_at=TEN + 2 * HOUR,
    )
    found = asked(shop)["downtimes"]
    assert (found["value"], found["seconds"], found["planned"]) == (1, 4 * 3600, {"count": 1, "seconds": 3600})


def test_where_nobody_told_of_incidents_there_was_no_time_without(shop: Shop) -> None:
    """NOW is before the product was made; a release of before says nothing of incidents, one incident does."""
    given: list[Any] = [past("1", 1, day=5)]
    import_past(shop.product, releases=given, actor=system(), now=NOW)
    found = asked(shop)
    assert found["deployment_frequency"]["value"] == 0
    assert [found["downtimes"][name] for name in ("value", "seconds", "availability")] == [None] * 3
    assert found["overrides_used"]["value"] is None
    down(shop, NOW - 9 * DAY, NOW - 8 * DAY)
    found = asked(shop)
    assert [found["downtimes"][name] for name in ("value", "seconds", "availability")] == [0, 0, 1]


def test_days_that_have_not_come_know_no_more_than_today(shop: Shop) -> None:
    down(shop, TEN, now=TEN)
    days = by_bucket(shop.ci, "day", product=shop.product, now=TEN + 6 * HOUR)
    waiting = {begin: each["time_to_restore"]["open"]["oldest_seconds"] for begin, each in days if begin > TEN}
    assert set(waiting.values()) == {6 * 3600}


def test_what_lasts_longer_than_it_was_allowed_to_is_no_plan(shop: Shop) -> None:
    change = create_change(
        product=shop.product,
        title="Move the database",
        actor=shop.author,
        now=NOW,
        planned_start=TEN,
        planned_end=TEN + 4 * HOUR,
        outage_expected=True,
        outage_minutes=60,
        environments=[shop.production],
    )
    down(shop, TEN, TEN + 90 * MINUTE, now=TEN + 2 * HOUR)
    assert asked(shop)["downtimes"]["seconds"] == 90 * 60  # nobody has allowed it
    with time_machine.travel(TEN + DAY, tick=False):
        for transition, actor in (("submit", shop.author), ("assess", shop.manager), ("authorize", system())):
            change = fire(change, transition, actor=actor, now=NOW)
    with time_machine.travel(TEN + 3 * DAY, tick=False):
        fire(change, "cancel", actor=shop.manager, now=NOW, reason="Not now.")
    known = [asked(shop, as_of=TEN + n * DAY)["downtimes"] for n in (0.9, 1, 4)]
    assert [each["seconds"] for each in known] == [90 * 60, 30 * 60, 90 * 60]
    assert (known[1]["value"], known[1]["planned"]) == (1, {"count": 1, "seconds": 3600})
    assert asked(shop)["downtimes"] == {**known[2], "as_of": NOW + 7 * DAY}


def test_what_ends_as_a_time_begins_counts_in_that_time_alone(shop: Shop) -> None:
    down(shop, NOW - HOUR, NOW)
    down(shop, NOW, NOW + HOUR)
    times = [{"begin": NOW - 2 * DAY, "end": NOW}, {"begin": NOW, "end": NOW + 2 * DAY}]
    parts = [asked(shop, **each) for each in times]
    whole = asked(shop, begin=NOW - 2 * DAY, end=NOW + 2 * DAY)
    for name in ("time_to_restore", "downtimes"):
        assert sum(each[name]["n"] for each in parts) == whole[name]["n"] == 2
    # The two touch: they are one downtime, of the time in which it began.
    assert [each["downtimes"]["value"] for each in (*parts, whole)] == [1, 0, 1]
    listed = queries.rows(scope(shop.ci, product=shop.product, **times[1]), "downtimes")
    assert [row.at for row in listed] == [NOW]


def test_what_will_end_later_is_open_as_of_now(shop: Shop) -> None:
    facts: dict[str, Any] = {
        "title": "Move",
        "kind": "down",
        "severity": "major",
        "started_at": NOW - DAY,
        "restored_at": NOW + HOUR,
    }
    record_incident(product=shop.product, external_id="a", recorded_at=NOW - DAY, actor=system(), **facts)
    now = scope(shop.ci, product=shop.product, as_of=NOW)
    found = asked(shop, as_of=NOW)["time_to_restore"]
    assert (found["n"], found["open"]) == (0, {"count": 1, "oldest_seconds": 86400})
    assert [row.left_out for row in queries.rows(now, "time_to_restore")] == ["open"]


def test_an_open_outage_counts_until_then(shop: Shop) -> None:
    down(shop, NOW)
    found = asked(shop, now=NOW + timedelta(hours=6))["downtimes"]
    assert (found["value"], found["seconds"], found["open"]) == (1, 6 * 3600, {"count": 1, "oldest_seconds": 6 * 3600})
