"""Figures of deployments and commits, from what was done by commands: the fixtures of the specification."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine

from deployments.models import Deployment
from releasemgmt.kpis import queries
from tests.conftest import NOW
from tests.deployments.world import Shop
from tests.kpis.world import DAY, MINUTE, by_bucket, commits, figures, scope, ship

HOUR = 60 * MINUTE


def test_without_deployments_the_rate_is_0_and_the_share_is_none(shop: Shop) -> None:  # fixture 9
    found = figures(shop.ci, product=shop.product, end=NOW + 40 * DAY * 365, now=NOW + 50 * DAY * 365)
    assert (found["deployment_frequency"]["value"], found["deployment_frequency"]["n"]) == (0, 0)
    for name in ("change_fail_rate", "deployment_rework_rate", "change_lead_time", "commits_per_active_day"):
        assert (found[name]["value"], found[name]["n"]) == (None, 0), name


def test_before_the_service_knew_the_product_nothing_is_0(shop: Shop) -> None:
    found = figures(shop.ci, product=shop.product)  # NOW is before the product was made
    assert found["deployment_frequency"]["value"] is None


def test_five_deployments_in_seven_days(shop: Shop) -> None:  # fixture 15
    for n in range(5):
        ship(shop, f"1.{n}", at=NOW - 2 * DAY + n * HOUR)
    found = figures(shop.ci, product=shop.product)["deployment_frequency"]
    assert round(found["value"], 3) == 0.714
    assert (found["n"], found["release_days"], found["median_interval"]) == (5, 1, 3600)
    days = [each["deployment_frequency"]["n"] for _begin, each in by_bucket(shop.ci, "day", product=shop.product)]
    assert days == [0, 5, 0, 0, 0, 0, 0, 0]


def test_the_interval_from_what_was_before_the_asked_time_is_of_no_time(shop: Shop) -> None:
    for n, at in enumerate((NOW - 4 * DAY, NOW, NOW + DAY)):
        ship(shop, f"1.{n}", at=at)
    assert figures(shop.ci, product=shop.product)["deployment_frequency"]["median_interval"] == 86400
    days = by_bucket(shop.ci, "day", product=shop.product)
    assert {each["deployment_frequency"]["median_interval"] for _begin, each in days} == {None}


def test_a_rollback_and_a_hotfix(shop: Shop) -> None:  # fixture 8
    commits(shop, [(1, NOW - 9 * DAY), (2, NOW - 8 * DAY), (3, NOW - DAY), (4, NOW + 110 * MINUTE)])
    ship(shop, "1", at=NOW - DAY, tip=2)
    v2 = ship(shop, "2", at=NOW + HOUR, tip=3)
    before = figures(shop.ci, product=shop.product)
    old = list(v2.release.product.builds.filter(artifact_uri__endswith=":1"))
    shop.report(
        builds=old,
        kind="rollback",
        remediates=v2,
        started_at=NOW + 70 * MINUTE,
        finished_at=NOW + 80 * MINUTE,
        now=NOW + 80 * MINUTE,
    )
    ship(shop, "2.1", at=NOW + 3 * HOUR, tip=4, remediates=v2)
    found = figures(shop.ci, product=shop.product)
    assert (found["deployment_frequency"]["n"], found["deployment_frequency"]["rollbacks"]) == (3, 1)
    assert (found["change_fail_rate"]["value"], found["change_fail_rate"]["n"]) == (1 / 3, 3)
    assert found["failed_deployment_recovery_time"]["value"] == 20 * 60
    assert found["deployment_rework_rate"]["value"] == 2 / 4
    # The rollback did not restate the lead time of what it took back; the hotfix brought its own commit only.
    assert before["change_lead_time"]["n"] == 1
    lead = {row.pk: row.value for row in queries.rows(scope(shop.ci, product=shop.product), "change_lead_time")}
    assert sorted(value for value in lead.values() if value is not None)[:2] == [70 * 60, 25 * 3600]
    volumes = queries.rows(scope(shop.ci, product=shop.product), "commit_volume")
    assert [row.value for row in volumes] == [2, 1, 1]


def test_a_hotfix_says_that_what_it_repairs_failed(shop: Shop) -> None:
    broken = ship(shop, "1", at=NOW)
    ship(shop, "1.1", at=NOW + HOUR, remediates=broken)
    found = figures(shop.ci, product=shop.product)
    assert (found["change_fail_rate"]["value"], found["change_fail_rate"]["n"]) == (1 / 2, 2)
    assert found["failed_deployment_recovery_time"]["value"] == 3600


def test_a_rollback_that_names_nothing_takes_back_what_was_there(shop: Shop) -> None:
    first = ship(shop, "1", at=NOW)
    ship(shop, "2", at=NOW + HOUR)
    times = {"started_at": NOW + 2 * HOUR, "finished_at": NOW + 3 * HOUR, "now": NOW + 3 * HOUR}
    shop.report(builds=list(first.builds.all()), kind="rollback", **times)
    found = figures(shop.ci, product=shop.product)
    assert (found["change_fail_rate"]["value"], found["failed_deployment_recovery_time"]["value"]) == (0.5, 7200)


@pytest.mark.parametrize(
    ("acts", "wrong"),
    [
        (["1", "2 failed", "back to 1"], ["2"]),
        (["1", "2", "3", "back to 2", "back to 1"], ["2", "3"]),
        (["1", "2", "back to 1 failed", "back to 1"], ["2"]),
        (["1", "2", "back to 1", "back to 1"], ["2"]),
        (["1", "back to 1"], []),
        (["1", "2", "back to 1", "3"], ["2"]),
        (["1", "2", "3 failed", "back to 1"], ["2"]),
        (["1", "2", "3 failed", "back to 2", "back to 1"], ["2", "3"]),
    ],
)
def test_what_a_rollback_took_back_is_what_ran_before_it(shop: Shop, acts: list[str], wrong: list[str]) -> None:
    releases: dict[str, Any] = {}
    for hour, act in enumerate(acts):
        version, _, failure = act.removeprefix("back to ").partition(" ")
        facts: dict[str, Any] = {"at": NOW + hour * HOUR, "status": failure or "succeeded"}
        if act.startswith("back"):
            facts |= {"started_at": facts["at"] - MINUTE, "finished_at": facts.pop("at"), "kind": "rollback"}
            shop.report(builds=list(releases[version].builds.all()), now=NOW + DAY, **facts)
        else:
            releases[version] = ship(shop, version, **facts).release
    assert [each.release and each.release.version for each in failed(shop)] == wrong


@pytest.mark.parametrize("took", [timedelta(), timedelta(seconds=1), 2 * HOUR])
def test_a_rollback_takes_back_nothing_that_it_brought(shop: Shop, took: timedelta) -> None:
    first = ship(shop, "1", at=NOW)
    second = ship(shop, "2", at=NOW + HOUR)
    over = NOW + 2 * HOUR  # it may have begun before what it takes back was over
    times = {"started_at": over - took, "finished_at": over, "now": NOW + DAY}
    shop.report(builds=list(first.builds.all()), kind="rollback", **times)
    assert failed(shop) == [second]


def test_each_component_goes_back_by_itself(shop: Shop) -> None:
    def report(release: Any, hour: int, builds: list[Any], **facts: Any) -> Deployment:
        at = NOW + hour * HOUR
        given = {"started_at": at, "finished_at": at, "now": NOW + DAY, **facts}
        return shop.report(release=release, builds=builds, **given)[0]

    first = ship(shop, "1", at=NOW).release
    api, web = first.builds.get(component__key="api"), first.builds.get(component__key="web")
    new = [shop.build("api", "2"), shop.build("web", "3")]
    second = report(shop.release("2", builds=[new[0], web]), 1, new[:1])
    third = report(shop.release("3", builds=new), 2, new[1:])
    report(None, 3, [api], kind="rollback")
    assert failed(shop) == [second]
    report(None, 4, [web], kind="rollback")
    assert failed(shop) == [second, third]


def failed(shop: Shop) -> list[Deployment]:
    rows = queries.rows(scope(shop.ci, product=shop.product), "change_fail_rate")
    return [Deployment.objects.get(pk=row.pk) for row in rows if row.value == 1]


def test_what_was_reported_later_was_not_there_before_a_rollback_as_of_then(shop: Shop) -> None:
    first = ship(shop, "1", at=NOW)
    with time_machine.travel(NOW + HOUR, tick=False):
        ship(shop, "2", at=NOW + HOUR)
    then = NOW + 3 * HOUR
    with time_machine.travel(then, tick=False):
        back = {"started_at": then - MINUTE, "finished_at": then, "now": then}
        shop.report(builds=list(first.builds.all()), kind="rollback", **back)
    Deployment.objects.filter(pk=first.pk).update(recorded_at=NOW)
    known = figures(shop.ci, product=shop.product, now=then + MINUTE)
    with time_machine.travel(then + DAY, tick=False):
        ship(shop, "3", at=NOW + 2 * HOUR, now=then + DAY)
    names = ("change_fail_rate", "failed_deployment_recovery_time")
    restated = figures(shop.ci, product=shop.product, as_of=then + MINUTE)
    assert [restated[name] | {"trend": None} for name in names] == [known[name] | {"trend": None} for name in names]
    assert known["change_fail_rate"]["value"] == 1 / 2


def test_what_failed_and_was_taken_back_took_traffic(shop: Shop) -> None:
    first = ship(shop, "1", at=NOW)
    second = ship(shop, "2", at=NOW + HOUR, status="failed")
    found = figures(shop.ci, product=shop.product)
    assert (found["change_fail_rate"]["value"], found["change_fail_rate"]["n"]) == (0, 1)
    assert found["deployment_frequency"]["excluded"] == {"failed": 1}
    times = {"started_at": NOW + 2 * HOUR, "finished_at": NOW + 3 * HOUR, "now": NOW + 3 * HOUR}
    shop.report(builds=list(first.builds.all()), kind="rollback", remediates=second, **times)
    found = figures(shop.ci, product=shop.product)
    assert (found["change_fail_rate"]["value"], found["change_fail_rate"]["n"]) == (0.5, 2)


def test_young_deployments_are_maturing(shop: Shop) -> None:
    ship(shop, "1", at=NOW - 25 * HOUR)
    ship(shop, "2", at=NOW - 23 * HOUR)
    ship(shop, "3", at=NOW - 22 * HOUR)
    found = figures(shop.ci, product=shop.product, now=NOW)["change_fail_rate"]
    assert (found["value"], found["n"], found["maturing"]) == (0, 3, 2)


def test_of_the_first_day_counts_what_came_after_it_was_asked_from(shop: Shop) -> None:
    noon = NOW.replace(hour=12, minute=0)
    commits(shop, [(n, noon + n * HOUR) for n in (-1, 1, 2)])
    found = figures(shop.ci, product=shop.product, begin=noon, end=noon + DAY)["commits_per_active_day"]
    assert (found["value"], found["n"], found["active_days"]) == (2, 2, 1)


def test_commits_wait_and_are_delivered(shop: Shop) -> None:
    commits(shop, [(n, NOW - 5 * DAY + n * HOUR) for n in range(1, 6)])
    ship(shop, "1", at=NOW - DAY, tip=2)
    ship(shop, "2", at=NOW, tip=4)
    found = figures(shop.ci, product=shop.product)["change_lead_time"]
    took = [5 * 24 * 3600 - n * 3600 for n in (3, 4)]
    assert (found["n"], found["median"], found["excluded"]) == (2, sum(took) / 2, {"baseline": 2})
    assert found["open"] == {"count": 1, "oldest_seconds": int(timedelta(days=9, hours=-5).total_seconds())}
    waiting = {
        begin: each["change_lead_time"]["open"]
        for begin, each in by_bucket(shop.ci, "day", product=shop.product, begin=NOW - 6 * DAY)
    }
    assert [each["count"] for each in waiting.values()] == [0, 3, 3, 3, 3, 3, 1, 1, 1, 1, 1]
    oldest = list(waiting.values())[4]["oldest_seconds"]
    assert oldest == int((list(waiting)[5] - (NOW - 5 * DAY + 3 * HOUR)).total_seconds())


def test_a_release_takes_as_long_as_its_oldest_commit(shop: Shop) -> None:
    commits(shop, [(n, NOW - 5 * DAY + n * HOUR) for n in range(1, 6)])
    ship(shop, "1", at=NOW - DAY, tip=2)
    ship(shop, "2", at=NOW, tip=4)
    ship(shop, "3", at=NOW + HOUR, tip=4)
    found = figures(shop.ci, product=shop.product)
    assert (found["release_cycle_time"]["value"], found["release_cycle_time"]["n"]) == ((5 * 24 - 3) * 3600, 1)
    assert found["release_cycle_time"]["excluded"] == {"baseline": 1, "no_commits": 1}
    volume = found["commit_volume"]
    assert (volume["commits"], volume["n"], volume["median"], volume["mean"]) == (4, 3, 2, 4 / 3)
    (row,) = [
        row for row in queries.rows(scope(shop.ci, product=shop.product), "release_cycle_time") if not row.left_out
    ]
    assert (row.at, row.value) == (NOW, (5 * 24 - 3) * 3600)


def test_a_clock_that_ran_ahead_counts_as_none(shop: Shop) -> None:
    commits(shop, [(1, NOW - 5 * DAY), (2, NOW + HOUR)])
    ship(shop, "1", at=NOW - DAY, tip=1)
    ship(shop, "2", at=NOW, tip=2)
    found = figures(shop.ci, product=shop.product)
    for name in ("change_lead_time", "release_cycle_time"):
        assert (found[name]["value"], found[name]["n"], found[name]["excluded"]["skew"]) == (0, 1, 1)


def test_commits_a_day_by_the_zone(shop: Shop) -> None:
    late = NOW.replace(hour=22, minute=30)
    commits(shop, [(1, late), (2, late + HOUR), (3, late + 2 * HOUR)], author="a@example.org", subject="SHOP-1 Do")
    utc = figures(shop.ci, product=shop.product)["commits_per_active_day"]
    riga = figures(shop.ci, product=shop.product, time_zone="Europe/Riga")["commits_per_active_day"]
    assert (utc["value"], utc["active_days"], utc["time_zone"]) == (1.5, 2, "UTC")
    assert (riga["value"], riga["active_days"], riga["time_zone"]) == (3, 1, "Europe/Riga")
    assert (utc["per_contributor_day"], utc["by_author_date"]) == (1.5, 1.5)
    assert figures(shop.ci, product=shop.product)["commits_without_work_item"]["value"] == 0


def test_neither_merges_nor_bots_count(shop: Shop) -> None:
    commits(shop, [(1, NOW), (2, NOW)], is_bot=True)
    commits(shop, [(3, NOW)])
    assert figures(shop.ci, product=shop.product)["commits_per_active_day"]["n"] == 1


def test_the_trend_is_of_buckets_that_are_over(shop: Shop) -> None:
    midnight = NOW.replace(hour=0)
    for day, times in enumerate((1, 3, 2, 4)):
        for n in range(times):
            ship(shop, f"{day}.{n}", at=midnight + day * DAY + MINUTE * (n + 1))

    def trend(end: datetime, **asked: Any) -> Any:
        given = {"begin": midnight, "end": end, "now": midnight + 9 * DAY, "bucket": "day", **asked}
        return figures(shop.ci, product=shop.product, **given)["deployment_frequency"]["trend"]

    assert trend(midnight + 3 * DAY) == {"last": 2, "usual": 2}
    assert trend(midnight + 3.5 * DAY) == {"last": 2, "usual": 2}  # half a day is no day
    assert trend(midnight + 8 * DAY, now=midnight + 3.5 * DAY) == {"last": 2, "usual": 2}
    assert trend(midnight + 3 * DAY, begin=midnight + HOUR) == {"last": 2, "usual": 3}
    assert trend(midnight + DAY / 2) is None
