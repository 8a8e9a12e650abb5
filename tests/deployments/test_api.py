"""Plans, deployments and what is where over REST."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from deployments.commands import finish_plans
from deployments.models import Deployment, DeploymentPlan
from releasemgmt.accounts.models import User
from releasemgmt.releases.models import Release
from tests.deployments.world import Shop, picture, task
from tests.factories import EnvironmentFactory, ProductFactory, someone

PLANS = "/api/v1/deployment-plans/"
DEPLOYMENTS = "/api/v1/deployments/"


class Caller:
    """Somebody who calls the API; each call says which status it expects."""

    def __init__(self, user: User) -> None:
        self.client = APIClient()
        self.client.force_authenticate(user)

    def get(self, path: str, expect: int = 200, **query: str) -> Any:
        return self._checked(self.client.get(path, query), expect)

    def post(self, path: str, body: Any = None, expect: int = 200, **headers: str) -> Any:
        return self._checked(self.client.post(path, body or {}, format="json", headers=headers), expect)

    def patch(self, path: str, body: Any, expect: int = 200, **headers: str) -> Any:
        return self._checked(self.client.patch(path, body, format="json", headers=headers), expect)

    def _checked(self, answer: Any, expect: int) -> Any:
        assert answer.status_code == expect, answer.content
        return answer.json()


@pytest.fixture
def deployer(shop: Shop) -> Caller:
    return Caller(shop.deployer)


@pytest.fixture
def ci(shop: Shop) -> Caller:
    return Caller(shop.ci)


@pytest.fixture
def release(shop: Shop) -> Release:
    return shop.release("1.0")


def instant(offset: timedelta = timedelta(0)) -> str:
    return (timezone.now() + offset).isoformat()


def body(planned: Release, **fields: Any) -> dict[str, Any]:
    """A plan that may start at once."""
    times = {"planned_start": instant(), "latest_start": instant(timedelta(hours=1))}
    tasks = [{"title": "Swap", "purpose": "deploy", "estimate_minutes": 5}, {"title": "Look", "depends_on": [0]}]
    lists = {"tasks": tasks, "backout_tasks": [{"title": "Swap back", "purpose": "restore"}]}
    return {"release": planned.number, "environment": "production", **times, **lists, **fields}


def at_once(shop: Shop, release: Release) -> DeploymentPlan:
    """A scheduled plan that may start now by the clock of the API."""
    now = timezone.now()
    return shop.scheduled(release, planned_start=now, latest_start=now + timedelta(hours=1))


def test_a_plan_is_created_and_read(deployer: Caller, release: Release) -> None:
    created = deployer.post(PLANS, body(release, autostart=True, backout_minutes=20), expect=201)
    plan = deployer.get(f"{PLANS}{created['number']}/")
    assert plan == created
    assert (plan["state"], plan["revision"], plan["url"]) == ("draft", 1, f"{PLANS}{plan['number']}/")
    assert (plan["release"], plan["environment"], plan["autostart"]) == (release.number, "production", True)
    assert [(each["title"], each["depends_on"], each["state"]) for each in plan["tasks"]] == [
        ("Swap", [], "pending"),
        ("Look", [0], "pending"),
    ]
    assert [each["title"] for each in plan["backout_tasks"]] == ["Swap back"]


def test_a_release_is_named_by_its_alias_too(deployer: Caller, release: Release) -> None:
    assert deployer.post(PLANS, body(release, release="shop@1.0"), expect=201)["release"] == release.number


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"state": "scheduled"}, "/state"),
        ({"planned_start": "2026-03-02T09:00:00"}, "/planned_start"),
        ({"latest_start": "2020-03-02T09:00:00Z"}, "/latest_start"),
        ({"release": "REL-999999"}, "/release"),
        ({"environment": "moon"}, "/environment"),
        ({"tasks": [{"title": "One", "depends_on": [3]}]}, "/tasks/0/depends_on"),
        ({"tasks": [{"title": "One", "depends_on": [0]}]}, "/tasks/0/depends_on"),
        ({"tasks": [{"title": "One", "state": "done"}]}, "/tasks/0/state"),
        ({"tasks": [{"title": "One", "kind": "by_magic"}]}, "/tasks/0/kind"),
        ({"tasks": [{"title": "One", "assignee": "nobody"}]}, "/tasks/0/assignee"),
        ({"tasks": "all"}, "/tasks"),
        ({"backout_minutes": -1}, "/backout_minutes"),
    ],
)
def test_a_body_that_makes_no_sense_is_400(
    deployer: Caller, release: Release, fields: dict[str, Any], pointer: str
) -> None:
    before = picture(release)
    problem = deployer.post(PLANS, body(release, **fields), expect=400)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert picture(release) == before and not DeploymentPlan.objects.exists()


def test_an_edit_needs_the_etag_that_was_read(shop: Shop, deployer: Caller, release: Release) -> None:
    plan = shop.plan(release)
    path = f"{PLANS}{plan.number}/"
    deployer.patch(path, {"autostart": True}, expect=428)
    deployer.patch(path, {"autostart": True}, expect=412, If_Match=f'"{plan.number}.7"')
    changed = deployer.patch(path, {"autostart": True, "tasks": [{"title": "Only"}]}, If_Match=f'"{plan.number}.1"')
    assert (changed["autostart"], [each["title"] for each in changed["tasks"]]) == (True, ["Only"])
    deployer.patch(path, {"state": "succeeded"}, expect=400, If_Match="*")
    deployer.patch(path, {"release": "REL-1"}, expect=400, If_Match="*")


def test_a_plan_walks_to_its_end_over_rest(shop: Shop, deployer: Caller, release: Release) -> None:
    record = f"{PLANS}{deployer.post(PLANS, body(release), expect=201)['number']}/"
    for transition, state in (("prepare", "ready"), ("schedule", "scheduled"), ("start", "in_progress")):
        assert deployer.post(f"{record}transitions/{transition}/")["state"] == state
    first, second = deployer.get(record)["tasks"]
    early = deployer.post(f"{record}tasks/{second['id']}/transitions/done/", expect=409)
    assert [blocker["code"] for blocker in early["blockers"]] == ["waits_for_task"]
    deployer.post(f"{record}tasks/{first['id']}/transitions/fail/", {}, expect=400)
    deployer.post(f"{record}tasks/{first['id']}/transitions/fail/", {"reason": "no space"})
    over = f"{record}tasks/{first['id']}/transitions/hand_over/"
    for fields in ({"note": "Yours."}, {"assignee": "nobody", "note": "Yours."}, {"assignee": "author", "note": ""}):
        deployer.post(over, fields, expect=400)
    given = deployer.post(over, {"assignee": "author", "note": "You know that disk."})
    assert given["tasks"][0]["assignee"] == "author"
    deployer.post(f"{record}tasks/{first['id']}/transitions/retry/")
    deployer.post(f"{record}tasks/{first['id']}/transitions/done/", {"evidence": "seen"})
    after = deployer.post(f"{record}tasks/{second['id']}/transitions/skip/", {"reason": "no graphs"})
    assert [(each["state"], each["attempt"]) for each in after["tasks"]] == [("done", 2), ("skipped", 1)]
    refused = deployer.post(f"{record}transitions/succeed/", expect=403)
    assert refused["code"] == "not_permitted"
    assert deployer.post(f"{record}transitions/fail/", {"reason": "smoke"})["state"] == "failed"
    deployer.post(f"{record}transitions/back_out/", {}, expect=400)
    (back,) = deployer.post(f"{record}transitions/back_out/", {"reason": "It smokes."})["backout_tasks"]
    assert back["state"] == "in_progress"
    deployer.post(f"{record}tasks/{back['id']}/transitions/done/")
    finish_plans(timezone.now())
    attempt, rollback = reversed(deployer.get(DEPLOYMENTS)["results"])
    assert (rollback["kind"], rollback["status"], rollback["remediates"]) == ("rollback", "succeeded", attempt["id"])
    assert deployer.post(f"{record}transitions/reschedule/")["tasks"][0]["state"] == "pending"


def test_transitions_say_what_is_in_the_way(shop: Shop, release: Release) -> None:
    plan = shop.scheduled(release)
    found = {each["name"]: each for each in Caller(shop.manager).get(f"{PLANS}{plan.number}/transitions/")}
    assert sorted(found) == ["cancel", "miss", "reopen", "start"]
    assert (found["start"]["allowed"], found["reopen"]["allowed"], found["miss"]["allowed"]) == (False, True, False)
    assert [blocker["code"] for blocker in found["start"]["blockers"]] == ["too_late"]


def test_a_wrong_state_names_what_is_allowed(shop: Shop, deployer: Caller, release: Release) -> None:
    problem = deployer.post(f"{PLANS}{shop.plan(release).number}/transitions/schedule/", expect=409)
    assert sorted(problem["allowed_transitions"]) == ["cancel", "prepare", "start"]


@pytest.mark.parametrize(
    "fields", [{"on_behalf_of": "me"}, {"data": "x"}, {"now": "x"}, {"actor": "me"}, {"plan": "x"}]
)
def test_a_start_takes_no_fields(shop: Shop, deployer: Caller, release: Release, fields: dict[str, str]) -> None:
    plan = at_once(shop, release)
    before = picture(plan)
    deployer.post(f"{PLANS}{plan.number}/transitions/start/", fields, expect=400)
    assert picture(plan) == before


def test_the_plans_of_another_team_do_not_exist(shop: Shop, release: Release) -> None:
    plan = shop.started(release)
    stranger = Caller(someone("deployer", team=ProductFactory().team))
    record = f"{PLANS}{plan.number}/"
    stranger.get(record, expect=404)
    stranger.post(f"{record}transitions/fail/", {"reason": "no"}, expect=404)
    stranger.post(f"{record}tasks/{task(plan, 'Swap the image').pk}/transitions/done/", expect=404)
    stranger.get(f"{DEPLOYMENTS}{Deployment.objects.get().pk}/", expect=404)
    stranger.get(f"/api/v1/releases/{release.number}/comparison/", expect=404, environment="production")
    stranger.get(f"/api/v1/releases/{release.number}/readiness/", expect=404, environment="production")
    assert stranger.get(PLANS)["results"] == stranger.get(DEPLOYMENTS)["results"] == []


def test_a_task_of_another_plan_is_404(shop: Shop, deployer: Caller, release: Release) -> None:
    plan, other = shop.started(release), shop.plan(release)
    foreign = task(other, "Swap the image").pk
    deployer.post(f"{PLANS}{plan.number}/tasks/{foreign}/transitions/done/", expect=404)


def test_plans_are_listed_and_filtered(shop: Shop, deployer: Caller, release: Release) -> None:
    planned, other = shop.plan(release), shop.scheduled(shop.release("2.0"), shop.test)

    def numbers(**query: Any) -> list[str]:
        return [each["number"] for each in deployer.get(PLANS, **query)["results"]]

    assert numbers() == [other.number, planned.number]
    assert numbers(state="scheduled") == numbers(environment="test") == numbers(release="shop@2.0") == [other.number]
    assert numbers(release="REL-99999") == numbers(product="none") == []
    deployer.get(PLANS, expect=400, colour="red")
    deployer.get(PLANS, expect=400, state="lost")


def test_a_list_costs_the_same_however_long(
    shop: Shop, deployer: Caller, release: Release, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        shop.plan(release)
    with django_assert_max_num_queries(4):
        assert len(deployer.get(PLANS)["results"]) == 5


class TestReports:
    """A pipeline reports what it did."""

    def report(self, release: Release, **fields: Any) -> dict[str, Any]:
        times = {"started_at": instant(-timedelta(minutes=5)), "finished_at": instant()}
        return {"release": release.number, "environment": "production", "status": "succeeded", **times, **fields}

    def test_a_success_is_recorded_and_deploys(self, ci: Caller, release: Release) -> None:
        made = ci.post(DEPLOYMENTS, self.report(release, external_id="run-7"), expect=201)
        assert (made["release"], made["origin"], made["unauthorised"]) == (release.number, "reported", False)
        assert sorted(made["builds"]) == sorted(build.digest for build in release.builds.all())
        assert ci.get(f"{DEPLOYMENTS}{made['id']}/") == made
        assert ci.get(DEPLOYMENTS, release=release.number)["results"] == [made]
        assert Release.objects.get(pk=release.pk).state == "deployed"

    def test_the_same_again_is_200(self, ci: Caller, release: Release) -> None:
        sent = self.report(release, external_id="run-7")
        assert ci.post(DEPLOYMENTS, sent, expect=201) == ci.post(DEPLOYMENTS, sent, expect=200)
        problem = ci.post(DEPLOYMENTS, {**sent, "status": "failed"}, expect=409)
        assert problem["url"] == f"{DEPLOYMENTS}{problem['id']}/"

    def test_digests_say_what_was_deployed(self, ci: Caller, release: Release) -> None:
        sent = self.report(release, builds=[build.digest for build in release.builds.all()])
        del sent["release"]
        assert ci.post(DEPLOYMENTS, sent, expect=201)["release"] == release.number

    def test_a_repair_names_what_it_repairs(self, ci: Caller, release: Release) -> None:
        broken = ci.post(DEPLOYMENTS, self.report(release, status="failed"), expect=201)
        repair = ci.post(DEPLOYMENTS, self.report(release, remediates=broken["id"]), expect=201)
        assert repair["remediates"] == broken["id"]

    @pytest.mark.parametrize(
        ("fields", "pointer"),
        [
            ({"status": "running"}, "/finished_at"),
            ({"status": "lost"}, "/status"),
            ({"finished_at": None}, "/finished_at"),
            ({"finished_at": "2026-03-02T09:00:00"}, "/finished_at"),
            ({"builds": ["sha256:0"]}, "/builds/0"),
            ({"product": "moon"}, "/product"),
            ({"remediates": 99}, "/remediates"),
            ({"kind": "hotfix"}, "/kind"),
            ({"unauthorised": False}, "/unauthorised"),
        ],
    )
    def test_a_malformed_one_is_400(self, ci: Caller, release: Release, fields: dict[str, Any], pointer: str) -> None:
        before = picture(release)
        problem = ci.post(DEPLOYMENTS, self.report(release, **fields), expect=400)
        assert [error["pointer"] for error in problem["errors"]] == [pointer]
        assert picture(release) == before

    def test_others_are_403(self, shop: Shop, release: Release) -> None:
        before = picture(release)
        Caller(shop.manager).post(DEPLOYMENTS, self.report(release), expect=403)
        assert picture(release) == before


class TestOutlook:
    """What is where, what would change, and what is in the way."""

    def test_the_matrix_shows_what_runs_now_and_then(self, shop: Shop, deployer: Caller, release: Release) -> None:
        shop.report(release=release)
        (api, _web) = deployer.get("/api/v1/environments/matrix/")["results"]
        assert (api["environment"], api["component"], api["release"]) == ("production", "api", release.number)
        assert api["digest"] == release.builds.get(component__key="api").digest
        assert deployer.get("/api/v1/environments/matrix/", at="2020-01-01T00:00:00Z")["results"] == []
        deployer.get("/api/v1/environments/matrix/", expect=400, at="2020-01-01T00:00:00")
        deployer.get("/api/v1/environments/matrix/", expect=400, when="now")

    def test_a_comparison_shows_what_would_change(self, shop: Shop, deployer: Caller, release: Release) -> None:
        shop.report(release=release)
        second = shop.release("2.0")
        found = deployer.get(f"/api/v1/releases/{second.number}/comparison/", environment="production")
        assert [(each["component"], each["running_release"], each["changes"]) for each in found["components"]] == [
            ("api", release.number, True),
            ("web", release.number, True),
        ]
        assert (found["commits"], found["commits_without_work_item"], found["changes"]) == ([], 0, [])
        deployer.get(f"/api/v1/releases/{second.number}/comparison/", expect=400)
        deployer.get(f"/api/v1/releases/{second.number}/comparison/", expect=400, environment="moon")

    def test_readiness_answers_every_gate(self, shop: Shop, deployer: Caller, settings: Any) -> None:
        release = shop.release("1.0", to="built")
        path = f"/api/v1/releases/{release.number}/readiness/"
        found = deployer.get(path, environment="production", at="2030-01-01T00:00:00Z")
        gates = {each["gate"]: each for each in found["gates"]}
        assert len(gates) == len(settings.WORKFLOW_GATES["deployments.DeploymentPlan.start"])
        assert (found["ready"], found["at"]) == (False, "2030-01-01T00:00:00Z")
        assert [name for name, each in gates.items() if not each["open"]] == ["release_may_reach_production"]
        assert gates["environment_free"]["asks_for"] == "No other deployment of the product runs in the environment."
        assert deployer.get(path, environment="test")["ready"]
        deployer.get(path, expect=400, environment="production", at="2030-01-01")

    def test_readiness_writes_nothing(self, shop: Shop, deployer: Caller, release: Release) -> None:
        before = picture(release)
        deployer.get(f"/api/v1/releases/{release.number}/readiness/", environment="production")
        assert picture(release) == before and not DeploymentPlan.objects.exists()


def test_an_environment_that_is_called_matrix_does_not_hide_it(shop: Shop, deployer: Caller) -> None:
    EnvironmentFactory(key="matrix", tier="test")
    assert deployer.get("/api/v1/environments/matrix/") == {"results": []}
