"""Figures of imported histories: parallel lines, two names of one release, what came to light late; and of defects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine
from django.test import Client

from deployments.commands import record_incident
from releasemgmt.accounts.commands import system
from releasemgmt.kpis import queries
from releasemgmt.kpis.queries.commits import Arrivals, Brought, by_release
from releasemgmt.kpis.queries.gathered import SECOND
from releasemgmt.releases.commands import create_defect, link_defect
from releasemgmt.releases.commands.commits import send_commits
from releasemgmt.releases.commands.importing import import_past
from releasemgmt.workflow.commands import fire
from tests.conftest import NOW
from tests.deployments.world import Shop
from tests.kpis.test_incidents import down
from tests.kpis.world import DAY, MINUTE, by_bucket, commits, figures, scope, ship
from tests.releases.history import START, commit, past

HOUR = 60 * MINUTE
SPRING = {"begin": START, "end": START + 60 * DAY, "now": NOW}


def test_a_commit_belongs_to_one_release(shop: Shop) -> None:  # fixtures 10 and 11
    line = [commit(1), commit(2, 1), commit(3, 2), commit(4, 3), commit(5, 2), commit(6, 5)]
    send_commits(shop.product, commits=line, actor=shop.ci, now=NOW)
    #: 3.19.54 and 3.19.55 are on a branch of their own, 3.20.0 on the main line between them.
    tags = [("3.19.54", 2, 5), ("3.20.0", 4, 6), ("3.19.55", 6, 7), ("v3.20.0", 4, 8)]
    given: list[Any] = [past(version, tip, day=day) for version, tip, day in tags]
    import_past(shop.product, releases=given, actor=system(), now=NOW)
    found = figures(shop.ci, product=shop.product, **SPRING)
    assert (found["commit_volume"]["n"], found["commit_volume"]["commits"]) == (3, 6)
    volumes = queries.rows(scope(shop.ci, product=shop.product, **SPRING), "commit_volume")
    assert [row.value for row in volumes] == [2, 2, 2]
    assert (found["deployment_frequency"]["n"], found["change_lead_time"]["excluded"]) == (3, {"baseline": 2})


def test_what_came_to_light_late_restates_lead_times(shop: Shop) -> None:
    line = [commit(1), commit(2, 1), commit(3, 2)]
    with time_machine.travel(START + 20 * DAY, tick=False):
        send_commits(shop.product, commits=line, actor=system(), now=START + 20 * DAY)
        first: list[Any] = [past("1", 1, day=5), past("3", 3, day=19)]
        import_past(shop.product, releases=first, actor=system(), now=START + 20 * DAY)
    late = START + 40 * DAY
    with time_machine.travel(late, tick=False):
        forgotten: list[Any] = [past("2", 2, day=9)]
        import_past(shop.product, releases=forgotten, actor=system(), now=late)
    before, after = (figures(shop.ci, product=shop.product, **SPRING, as_of=late + n * DAY) for n in (-1, 1))
    lead = [19 * 86400 - 2 * 3600, 19 * 86400 - 3 * 3600]
    assert (before["change_lead_time"]["mean"], before["change_lead_time"]["n"]) == (sum(lead) / 2, 2)
    assert after["change_lead_time"]["mean"] == (9 * 86400 - 2 * 3600 + lead[1]) / 2
    assert [each["commit_volume"]["n"] for each in (before, after)] == [2, 3]
    assert [each["commit_volume"]["commits"] for each in (before, after)] == [3, 3]
    assert [each["release_cycle_time"]["mean"] for each in (before, after)] == [
        lead[0],
        (9 * 86400 - 2 * 3600 + lead[1]) / 2,
    ]
    nothing = figures(shop.ci, product=shop.product, **SPRING, as_of=START + 19 * DAY)
    assert (nothing["commit_volume"]["n"], nothing["commits_per_active_day"]["value"]) == (0, None)


def test_what_was_not_known_to_be_released_waited_then(shop: Shop) -> None:
    known = START + 20 * DAY
    with time_machine.travel(START + 10 * DAY, tick=False):
        send_commits(shop.product, commits=[commit(1), commit(2, 1)], actor=system(), now=known)
    with time_machine.travel(known, tick=False):
        given: list[Any] = [past("1", 1, day=5), past("2", 2, day=6)]
        import_past(shop.product, releases=given, actor=system(), now=known)
    asked = {**SPRING, "product": shop.product, "end": START + 15 * DAY}
    waited = [figures(shop.ci, **asked, as_of=known + n * DAY)["change_lead_time"]["open"]["count"] for n in (-1, 1)]
    assert waited == [2, 0]


def test_of_two_releases_of_one_instant_the_first_recorded_is_the_baseline(shop: Shop) -> None:
    send_commits(shop.product, commits=[commit(1), commit(2, 1)], actor=shop.ci, now=NOW)
    given: list[Any] = [past("1", 1, day=5), past("2", 2, day=5)]
    import_past(shop.product, releases=given, actor=system(), now=NOW)
    found = figures(shop.ci, product=shop.product, **SPRING)
    for name in ("release_cycle_time", "change_lead_time"):
        assert (found[name]["n"], found[name]["excluded"]) == (1, {"baseline": 1}), name
    rows = queries.rows(scope(shop.ci, product=shop.product, **SPRING), "release_cycle_time")
    assert [row.left_out for row in sorted(rows, key=lambda row: row.pk)] == ["baseline", ""]


def test_what_a_release_brings_when_it_is_deployed_again_counts_from_its_first_time_on() -> None:
    facts = [(200, 7, 1, 1, 0, 0, 170), (100, 7, 2, 0, 0, 0, 50), (150, 8, 0, 1, 0, 0, None)]
    found = Arrivals.in_order(zip(*((at * SECOND, *rest) for at, *rest in facts), strict=True))
    assert found.release == [7, 8, 7]
    assert by_release(found) == {
        7: Brought(at=100 * SECOND, commits=3, merges=1, took=70),
        8: Brought(at=150 * SECOND, merges=1),
    }


def test_who_waits_at_the_end_of_each_day_is_who_was_made_before_and_came_after(shop: Shop) -> None:
    made = {n: START + timedelta(hours=1 + n * 17 % 400) for n in range(1, 41)}
    late = {n for n, at in made.items() if at > START + 14 * DAY}  # these still wait
    reached = {n: 10 + n * 7 % 23 for n in made.keys() - late if made[n] < START + (10 + n * 7 % 23) * DAY}
    lonely = [commit(n, committed_at=at, authored_at=at) for n, at in made.items()]
    send_commits(shop.product, commits=lonely, actor=shop.ci, now=NOW)
    given: list[Any] = [past("0.1", 1, day=1), *(past(f"1.{n}", n, day=day) for n, day in reached.items() if n > 1)]
    import_past(shop.product, releases=given, actor=system(), now=NOW)

    for begin, found in by_bucket(shop.ci, "day", product=shop.product, **SPRING):
        end = min(begin + DAY, SPRING["end"])
        left = {n: START + reached[n] * DAY if n in reached else None for n in made if n > 1}
        waiting = [made[n] for n, at in left.items() if made[n] < end and (at is None or at >= end)]
        oldest = int((end - min(waiting)).total_seconds()) if waiting else None
        assert found["change_lead_time"]["open"] == {"count": len(waiting), "oldest_seconds": oldest}, begin


def test_what_the_first_release_brought_never_waited_however_early_one_asks(shop: Shop) -> None:
    send_commits(shop.product, commits=[commit(1), commit(2, 1)], actor=shop.ci, now=NOW)
    given: list[Any] = [past("1", 1, day=9)]
    import_past(shop.product, releases=given, actor=system(), now=NOW)
    for day in (5, 12):
        asked = {**SPRING, "product": shop.product, "end": START + day * DAY}
        assert figures(shop.ci, **asked)["change_lead_time"]["open"]["count"] == 1, day
        rows = queries.rows(scope(shop.ci, **asked), "change_lead_time")
        assert [row.left_out for row in rows if row.left_out == "open"] == ["open"], day


def test_what_the_first_release_was_thought_to_bring_did_not_wait_either(shop: Shop) -> None:
    """Once an earlier one comes to light, it did; asked for what was known before, it did not."""
    known = START + 20 * DAY
    for releases, at in (([past("2", 2, day=9)], known), ([past("1", 1, day=7)], known + 10 * DAY)):
        with time_machine.travel(at, tick=False):
            send_commits(shop.product, commits=[commit(1), commit(2, 1)], actor=system(), now=at)
            given: list[Any] = releases
            import_past(shop.product, releases=given, actor=system(), now=at)
    asked = {**SPRING, "product": shop.product, "end": START + 5 * DAY}
    waited = [figures(shop.ci, **asked, as_of=known + n * DAY)["change_lead_time"]["open"]["count"] for n in (1, 11)]
    assert waited == [0, 1]


def test_a_defect_lives_until_its_fix_is_deployed(shop: Shop) -> None:
    opened = NOW - 2 * DAY
    first, second, third, fourth = (
        create_defect(product=shop.product, title=f"{n}", actor=shop.author, now=NOW, opened_at=opened)
        for n in range(4)
    )
    fixed = ship(shop, "1", at=NOW + DAY).release
    for defect in (first, second):
        link_defect(fixed, defect=defect, relation="fixed_in", actor=shop.manager, now=NOW)
    for defect in (first, second, third):
        fire(defect, "fix", actor=shop.author, now=NOW)
    fire(fourth, "reject", actor=shop.author, now=NOW, reason="It is meant so.")
    second.refresh_from_db()
    fire(second, "reopen", actor=shop.author, now=NOW, reason="It is there again.")
    long = {"begin": NOW - 3 * DAY, "end": datetime(2100, 1, 1, tzinfo=UTC), "now": datetime(2099, 1, 1, tzinfo=UTC)}
    found = figures(shop.ci, product=shop.product, **long)["mttr_defects"]
    assert (found["value"], found["estimator"], found["n"]) == (3 * 86400, "mean", 1)
    assert (found["open"]["count"], found["excluded"]) == (2, {"rejected": 1})
    rows = {row.pk: row.left_out for row in queries.rows(scope(shop.ci, product=shop.product, **long), "mttr_defects")}
    assert rows == {first.pk: "", second.pk: "open", third.pk: "open", fourth.pk: "rejected"}


def test_the_way_to_production_is_in_the_event_log(shop: Shop) -> None:
    with time_machine.travel(NOW - DAY, tick=False) as clock:
        release = shop.release("1", to="planned")
        clock.move_to(NOW - 20 * HOUR)
        release = fire(release, "build", actor=shop.manager, now=NOW)
        clock.move_to(NOW - 15 * HOUR)
        release = fire(release, "rework", actor=shop.manager, now=NOW, reason="Not yet.")
        for n, step in enumerate(("build", "pass_integration", "accept")):
            clock.move_to(NOW - (9 - n) * HOUR)
            release = fire(release, step, actor=shop.manager, now=NOW)
        clock.move_to(NOW)
        shop.report(release=release)
    found = figures(shop.ci, product=shop.product)["time_in_state"]
    hours = {state: each["mean"] / 3600 for state, each in found["states"].items()}
    assert hours == {"planned": 10, "built": 6, "integration_tested": 1, "accepted": 7}
    assert (found["value"] / 3600, found["n"]) == (24, 1)
    sent_back = figures(shop.ci, product=shop.product)["releases_reworked"]
    assert (sent_back["value"], sent_back["reworks"]) == (1, 1)


def test_releases_on_their_way_are_open(shop: Shop) -> None:
    with time_machine.travel(NOW - 49 * HOUR, tick=False) as clock:
        shipped = shop.release("1")
        clock.move_to(NOW - 48 * HOUR)
        given_up, _left = (shop.release(version) for version in "23")
        clock.move_to(NOW - DAY)
        shop.release("4", to="planned")
        clock.move_to(NOW)
        shop.report(release=shipped)
        clock.move_to(NOW + HOUR)
        fire(given_up, "cancel", actor=shop.manager, now=NOW, reason="No more.")
    asked = {"product": shop.product, "begin": NOW - 3 * DAY}
    for hours, open, oldest in ((-30, 3, 19), (-1, 4, 48), (0.5, 3, 48.5), (2, 2, 50)):
        end = NOW + hours * HOUR
        for at in ({"end": end}, {"as_of": end}):
            found = figures(shop.ci, **asked, **at)["time_in_state"]
            assert found["open"] == {"count": open, "oldest_seconds": oldest * 3600}, (hours, at)
    rows = queries.rows(scope(shop.ci, **asked), "time_in_state")
    assert [row.left_out for row in rows] == ["open", "open", ""]
    later = figures(shop.ci, product=shop.product, begin=NOW + 2 * HOUR)["time_in_state"]
    assert (later["n"], later["open"]["count"]) == (0, 2)


def test_a_monitoring_system_sees_what_is_going_on(shop: Shop) -> None:
    with time_machine.travel(NOW, tick=False):
        ship(shop, "1", at=NOW - HOUR)
        ship(shop, "2", at=NOW - HOUR / 2, status="failed")
        commits(shop, [(1, NOW), (2, NOW)])
        down(shop, NOW - HOUR)
        down(shop, NOW + HOUR)  # it has not begun
        facts: dict[str, Any] = {"title": "Soon", "kind": "notice", "severity": "minor", "started_at": NOW - HOUR}
        record_incident(product=shop.product, external_id="n", recorded_at=NOW - HOUR, actor=system(), **facts)
        told = Client().get("/metrics").content.decode()
    for name, value in (("open_incidents", 1), ("waiting_commits", 2), ("deployments_1d", 1)):
        assert f'releasemgmt_{name}{{product="shop"}} {float(value)}' in told
    assert 'releasemgmt_failed_deployments_1d{product="shop"} 1.0' in told
    last = (NOW - HOUR).timestamp()
    assert any(
        line.startswith("releasemgmt_last_deployment_timestamp_seconds") and float(line.split()[-1]) == last
        for line in told.splitlines()
    )
