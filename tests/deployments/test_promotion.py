"""The promotion path: what starts in an environment has run, and soaked, in the one before; and when it may start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from deployments.commands import approve_override, ask_for, start, start_due_plans
from deployments.models import DeploymentPlan
from deployments.queries import readiness
from deployments.queries.outlook import CLOCKED
from releasemgmt.catalog.models import Environment
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import reading
from releasemgmt.workflow.errors import Blocked, Conflict, Invalid, NotPermitted
from tests.conftest import NOW
from tests.deployments.test_api import Caller
from tests.deployments.windows import approved, chair, freeze, left_alone, on_from, override, window
from tests.deployments.world import HOUR, Shop, at, codes, refused
from tests.factories import EnvironmentFactory, someone

DAY = timedelta(days=1)
ANY: Any = {"If-Match": "*"}


@pytest.fixture
def strict(shop: Shop) -> Shop:
    """The shop, whose builds go through test before production."""
    shop.production = _ranked(shop, "production", 40, tier="production")
    shop.test = _ranked(shop, "test", 20, tier="test")
    shop.product.environments.set([_ranked(shop, "staging", 10, tier="staging"), shop.test, shop.production])
    return asks_for(shop, minutes=0)


def _ranked(shop: Shop, key: str, rank: int, *, tier: str) -> Environment:
    environment, _new = Environment.objects.get_or_create(key=key, defaults={"tier": tier, "rank": rank})
    Environment.objects.filter(pk=environment.pk).update(rank=rank)
    return Environment.objects.get(pk=environment.pk)


def asks_for(shop: Shop, *, minutes: int) -> Shop:
    type(shop.product).objects.filter(pk=shop.product.pk).update(promotion_required=True, soak_minutes=minutes)
    shop.product.refresh_from_db()
    return shop


def in_test(shop: Shop, release: Release, *, ago: timedelta = HOUR) -> None:
    """The release's builds have been brought to the test environment."""
    done = NOW - ago
    shop.report(release=release, environment=shop.test, started_at=done - HOUR / 6, finished_at=done)


def begin(shop: Shop, plan: DeploymentPlan, now: datetime | None = None) -> DeploymentPlan:
    return start(plan, actor=shop.deployer, now=now or plan.planned_start)


# --- promotion ---


def test_what_never_ran_in_the_environment_before_does_not_start(strict: Shop) -> None:
    plan = strict.scheduled(strict.release("1.0"))
    with refused(Blocked, plan) as caught:
        begin(strict, plan)
    assert codes(caught) == ["not_promoted", "not_promoted"]
    assert "The build of api has not run in Test; deploy REL" in caught.value.blockers[0].reason


def test_what_ran_in_the_environment_before_starts(strict: Shop) -> None:
    release = strict.release("1.0")
    in_test(strict, release)
    assert begin(strict, strict.scheduled(release)).state == "in_progress"


def test_each_component_is_asked_for(strict: Shop) -> None:
    release = strict.release("1.0")
    api = release.builds.get(component__key="api")
    strict.report(environment=strict.test, builds=[api])
    plan = strict.scheduled(release)
    with refused(Blocked, plan) as caught:
        begin(strict, plan)
    assert [blocker.reason.split()[3] for blocker in caught.value.blockers] == ["web"]


def test_a_deployment_that_failed_there_does_not_count(strict: Shop) -> None:
    release = strict.release("1.0")
    strict.report(release=release, environment=strict.test, status="failed")
    plan = strict.scheduled(release)
    with refused(Blocked, plan) as caught:
        begin(strict, plan)
    assert set(codes(caught)) == {"not_promoted"}


def test_where_the_product_does_not_ask_for_it_nothing_must_have_run(shop: Shop) -> None:
    assert begin(shop, shop.scheduled(shop.release("1.0"))).state == "in_progress"


def test_the_lowest_environment_takes_anything(strict: Shop) -> None:
    assert (
        begin(strict, strict.scheduled(strict.release("1.0"), Environment.objects.get(key="staging"))).state
        == "in_progress"
    )


def test_an_environment_that_the_product_does_not_use_is_no_step(strict: Shop) -> None:
    EnvironmentFactory(key="canary", rank=30)
    release = strict.release("1.0")
    in_test(strict, release)
    assert begin(strict, strict.scheduled(release)).state == "in_progress"


def test_self_service_asks_for_promotion_too(strict: Shop) -> None:
    lab = _ranked(strict, "lab", 30, tier="test")
    Environment.objects.filter(pk=lab.pk).update(change_controlled=False)
    strict.product.environments.add(lab)
    plan = strict.plan(strict.release("1.0"), Environment.objects.get(pk=lab.pk))
    with refused(Blocked, plan) as caught:
        begin(strict, plan, NOW)
    assert set(codes(caught)) == {"not_promoted"}


# --- soak ---


def test_what_is_too_young_there_waits_and_says_until_when(strict: Shop) -> None:
    release = strict.release("1.0")
    in_test(strict, release, ago=HOUR)
    asks_for(strict, minutes=180)
    plan = strict.scheduled(release, latest_start=NOW + DAY)
    with refused(Blocked, plan) as caught:
        begin(strict, plan)
    assert codes(caught) == ["not_soaked", "not_soaked"]
    assert {blocker.next_open for blocker in caught.value.blockers} == {at(120)}
    with refused(Blocked, plan):
        begin(strict, plan, at(120) - timedelta(seconds=1))
    assert begin(strict, plan, at(120)).state == "in_progress"


def test_a_plan_that_is_due_waits_for_the_soak_by_itself(strict: Shop) -> None:
    release = strict.release("1.0")
    in_test(strict, release)
    asks_for(strict, minutes=180)
    plan = strict.scheduled(release, latest_start=NOW + DAY, autostart=True)
    start_due_plans(at(119))
    assert DeploymentPlan.objects.get(pk=plan.pk).state == "scheduled"
    start_due_plans(at(120))
    assert DeploymentPlan.objects.get(pk=plan.pk).state == "in_progress"


def test_what_was_replaced_before_it_had_soaked_has_to_go_there_again(strict: Shop) -> None:
    release, other = strict.release("1.0"), strict.release("2.0")
    in_test(strict, release, ago=3 * HOUR)
    in_test(strict, other, ago=2 * HOUR)
    asks_for(strict, minutes=120)
    plan = strict.scheduled(release)
    with refused(Blocked, plan) as caught:
        begin(strict, plan)
    assert codes(caught) == ["not_soaked", "not_soaked"]
    assert {blocker.next_open for blocker in caught.value.blockers} == {None}
    assert "was replaced in Test" in caught.value.blockers[0].reason


def test_what_had_soaked_before_it_was_replaced_may_go_on(strict: Shop) -> None:
    release, other = strict.release("1.0"), strict.release("2.0")
    in_test(strict, release, ago=3 * HOUR)
    in_test(strict, other, ago=HOUR)
    asks_for(strict, minutes=120)
    plan = strict.scheduled(release)
    assert begin(strict, plan).state == "in_progress"


# --- skipping it ---


def test_a_skip_is_approved_by_another_person_and_used_up(strict: Shop, crowded: Shop) -> None:
    first, second = strict.release("1.0"), strict.release("2.0")
    given = approved(strict, first, skips_promotion=True)
    assert begin(strict, strict.scheduled(first)).state == "in_progress"
    given.refresh_from_db()
    assert given.used == 1
    plan = strict.scheduled(second)
    with refused(Blocked, plan) as caught:
        begin(strict, plan)
    assert set(codes(caught)) == {"environment_busy", "not_promoted"}


def test_a_skip_that_is_used_up_or_expired_is_named(strict: Shop) -> None:
    release = strict.release("1.0")
    given = approved(strict, release, skips_promotion=True)
    plan = strict.scheduled(release, latest_start=NOW + 2 * DAY)
    with refused(Blocked, plan) as caught:
        begin(strict, plan, given.expires_at)
    assert codes(caught) == ["not_promoted", "not_promoted", "override_expired"]
    type(given).objects.filter(pk=given.pk).update(used=1)
    with refused(Blocked, plan) as caught:
        begin(strict, plan)
    assert codes(caught)[-1] == "override_used_up"


def test_one_override_for_a_window_and_the_path_is_used_once(strict: Shop) -> None:
    release = strict.release("1.0")
    plan = strict.scheduled(release)
    frozen = freeze(strict, 0, 9)
    given = approved(strict, release, frozen, skips_promotion=True, uses=2)
    assert begin(strict, plan).state == "in_progress"
    given.refresh_from_db()
    assert given.used == 1


def test_an_override_of_a_window_does_not_skip_the_path(strict: Shop) -> None:
    release = strict.release("1.0")
    plan = strict.scheduled(release)
    approved(strict, release, freeze(strict, 0, 9))
    with refused(Blocked, plan) as caught:
        begin(strict, plan)
    assert set(codes(caught)) == {"not_promoted"}


def test_who_asked_for_a_skip_does_not_approve_it_nor_does_a_deployer(strict: Shop, now: datetime) -> None:
    both = someone("cab_chair", "deployer", team=strict.product.team)
    release = strict.release("1.0")
    asked = override(strict, release, actor=both, skips_promotion=True)
    for person in (both, strict.deployer, strict.manager):
        with left_alone(NotPermitted, release):
            approve_override(asked, actor=person, now=now)
    assert approve_override(asked, actor=chair(strict), now=now).state == "approved"
    late = override(strict, release, skips_promotion=True)
    with left_alone(Conflict, release):
        approve_override(late, actor=chair(strict), now=now + 2 * DAY)


def test_a_skip_of_nothing_is_refused(shop: Shop) -> None:
    release = shop.release("1.0")
    for fields in ({"skips_promotion": True}, {}):
        with left_alone(Invalid, release):
            override(shop, release, **fields)


# --- readiness and the earliest start ---


def ready(shop: Shop, release: Release, at: datetime = NOW) -> Any:
    return readiness(Release.objects.select_related("product", "model").get(pk=release.pk), shop.production, at=at)


def test_what_is_ready_may_start_at_once(shop: Shop) -> None:
    found = ready(shop, shop.release("1.0"))
    assert (found.is_ready, found.earliest_start) == (True, NOW)


def test_the_earliest_start_is_when_the_window_opens_and_the_freeze_is_over(shop: Shop) -> None:
    release = shop.release("1.0")
    window(shop, **on_from(NOW + 2 * HOUR, 4))
    assert ready(shop, release).earliest_start == NOW + 2 * HOUR
    freeze(shop, 1, 2)
    found = ready(shop, release)
    assert (found.is_ready, found.earliest_start) == (False, NOW + 3 * HOUR)
    assert ready(shop, release, NOW + 4 * HOUR).earliest_start == NOW + 4 * HOUR


def test_the_earliest_start_is_unknown_where_the_window_never_opens_again(shop: Shop) -> None:
    release = shop.release("1.0")
    window(shop, **on_from(NOW, 1))
    assert ready(shop, release, NOW + 2 * HOUR).earliest_start is None


def test_the_earliest_start_waits_for_the_soak_and_then_for_the_window(strict: Shop) -> None:
    release = strict.release("1.0")
    in_test(strict, release)
    asks_for(strict, minutes=180)
    window(strict, rule="FREQ=DAILY", **on_from(NOW, 1))
    assert ready(strict, release).earliest_start == NOW + DAY


def test_what_waits_for_a_person_does_not_hide_the_earliest_start(shop: Shop) -> None:
    release = shop.release("1.0", to="built")
    found = ready(shop, release)
    assert (found.is_ready, found.earliest_start) == (False, NOW)


def test_the_clocked_gates_are_gates_of_a_start(settings: Any) -> None:
    assert set(CLOCKED) <= set(settings.WORKFLOW_GATES["deployments.DeploymentPlan.start"])


@pytest.mark.parametrize(("is_prepared", "statements"), [(False, 15), (True, 19)])
def test_readiness_takes_at_most_fifteen_statements_and_four_for_a_list(
    strict: Shop, is_prepared: bool, statements: int
) -> None:
    release = strict.release("1.0")
    in_test(strict, release)
    asks_for(strict, minutes=180)
    window(strict, rule="FREQ=DAILY", **on_from(NOW, 1))
    freeze(strict, 4, 3)
    if is_prepared:
        asked = [("functionality", ""), ("artifacts", ""), ("configuration", ""), ("other", "Call Bob")]
        ask_for(strict.product, tier="production", items=asked, actor=someone("administrator"))
        strict.plan(release)
    found = Release.objects.select_related("product", "model").get(pk=release.pk)
    with CaptureQueriesContext(connection) as captured, reading():
        readiness(found, strict.production, at=NOW)
    assert len(captured) <= statements, "\n".join(query["sql"][:300] for query in captured)


# --- over REST ---


def test_an_administrator_asks_for_promotion_and_a_pipeline_reads_the_earliest_start(strict: Shop) -> None:
    administrator = Caller(someone("administrator"))
    path = f"/api/v1/products/{strict.product.key}/"
    changed = administrator.patch(path, {"promotion_required": True, "soak_minutes": 180}, 200, **ANY)
    assert (changed["promotion_required"], changed["soak_minutes"]) == (True, 180)
    for wrong in (-1, 43_201, "long"):
        problem = administrator.patch(path, {"soak_minutes": wrong}, 400, **ANY)
        assert [error["pointer"] for error in problem["errors"]] == ["/soak_minutes"]
    release = strict.release("1.0")
    in_test(strict, release)
    ask = f"/api/v1/releases/{release.number}/readiness/"
    found = Caller(strict.ci).get(ask, environment="production", at=NOW.isoformat())
    gate = next(each for each in found["gates"] if each["gate"] == "promoted")
    assert (found["ready"], gate["open"], found["earliest_start"]) == (False, False, "2026-03-02T11:00:00Z")
    assert {each["next_open"] for each in gate["blockers"]} == {"2026-03-02T11:00:00Z"}


def test_a_skip_is_asked_for_and_approved_over_rest(strict: Shop) -> None:
    release = strict.release("1.0")
    body = {"release": release.number, "environment": "production", "reason": "Hotfix.", "skips_promotion": True}
    body["expires_at"] = (datetime.now(UTC) + DAY).isoformat()
    made = Caller(strict.manager).post("/api/v1/window-overrides/", body, 201)
    assert (made["skips_promotion"], made["windows"], made["state"]) == (True, [], "requested")
    Caller(strict.manager).post(f"{made['url']}transitions/approve/", expect=403)
    assert Caller(chair(strict)).post(f"{made['url']}transitions/approve/")["state"] == "approved"
    told = Caller(strict.manager).get(f"/api/v1/releases/{release.number}/events/")["results"][0]
    assert told["data"]["windows"] == ["the promotion path"]
