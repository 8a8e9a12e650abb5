"""Deployments that pipelines begin: the same gates as a plan's start, one at a time in an environment, ended once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from deployments.commands import end_deployment, start
from deployments.models import Deployment, Window
from releasemgmt.releases.models import Release
from releasemgmt.workflow import queries
from releasemgmt.workflow.errors import Blocked, Conflict, NotPermitted, WrongState
from tests.conftest import NOW
from tests.deployments.test_api import Caller
from tests.deployments.windows import approved, freeze
from tests.deployments.world import HOUR, Shop, at, codes, kinds, refused
from tests.factories import someone


def begin(shop: Shop, release: Release | None = None, **facts: Any) -> Deployment:
    """The pipeline says that it begins now."""
    return shop.report(**{"release": release, "status": "running", "started_at": NOW, "finished_at": None, **facts})[0]


def end(shop: Shop, deployment: Deployment, status: str = "succeeded", **facts: Any) -> Deployment:
    return end_deployment(deployment, status=status, **{"actor": shop.ci, "now": at(5), **facts})


@contextmanager
def unchanged(release: Release) -> Iterator[None]:
    """The block changes nothing, though it is not refused."""
    before = kinds(release)
    yield
    assert kinds(release) == before


def state(release: Release) -> str:
    return str(Release.objects.get(pk=release.pk).state)


# --- the gate ---


def test_where_every_gate_is_open_it_begins_and_holds_the_environment(shop: Shop) -> None:
    release, other = shop.release("1.0"), shop.release("2.0")
    deployment = begin(shop, release)
    assert (deployment.status, deployment.origin, deployment.finished_at) == ("running", "reported", None)
    assert kinds(release)[0] == "report"
    with refused(Blocked, release, other) as caught:
        begin(shop, other)
    assert codes(caught) == ["environment_busy"]
    assert "by a pipeline" in caught.value.blockers[0].reason
    plan = shop.scheduled(other)
    with refused(Blocked, plan) as caught:
        start(plan, actor=shop.deployer, now=plan.planned_start)
    assert codes(caught) == ["environment_busy"]


def test_a_release_that_is_not_accepted_does_not_begin_in_production(shop: Shop) -> None:
    release = shop.release("1.0", to="built")
    with refused(Blocked, release, shop.product) as caught:
        begin(shop, release)
    assert codes(caught) == ["release_not_accepted"]
    assert begin(shop, release, environment=shop.test).status == "running"


def test_builds_of_no_release_do_not_begin(shop: Shop) -> None:
    loose = shop.build("api", "loose")
    with refused(Blocked, shop.product) as caught:
        begin(shop, builds=[loose])
    assert codes(caught) == ["no_release"]


def test_a_freeze_keeps_it_out_and_an_override_lets_it_in_once(shop: Shop) -> None:
    release = shop.release("1.0")
    frozen = freeze(shop, 0, 9)
    with refused(Blocked, release) as caught:
        begin(shop, release)
    assert (codes(caught), caught.value.blockers[0].next_open) == (["frozen"], NOW + 9 * HOUR)
    given = approved(shop, release, frozen)
    assert begin(shop, release).status == "running"
    given.refresh_from_db()
    assert given.used == 1
    assert next(e for e in queries.timeline(release) if e.kind.endswith("override.use")).data["plan"].startswith("dep")


def test_a_person_does_not_send_their_own_release_to_production(shop: Shop) -> None:
    both = someone("contributor", "deployer", team=shop.product.team)
    shop.author = both
    release = shop.release("1.0")
    with refused(NotPermitted, release):
        begin(shop, release, actor=both)
    assert begin(shop, release, actor=shop.deployer).status == "running"


@pytest.mark.parametrize("role", ["contributor", "release_manager", "cab_chair", "auditor", "administrator"])
def test_only_deployers_and_services_begin_and_end(shop: Shop, role: str) -> None:
    release, somebody = shop.release("1.0"), someone(role, team=shop.product.team)
    with refused(NotPermitted, release):
        begin(shop, release, actor=somebody)
    running = begin(shop, release)
    with refused(NotPermitted, release):
        end(shop, running, actor=somebody)


def test_the_same_beginning_sent_again_is_the_same_one(shop: Shop) -> None:
    release = shop.release("1.0")
    first = begin(shop, release, external_id="run-7")
    with unchanged(release):
        assert begin(shop, release, external_id="run-7") == first
    end(shop, first)
    with refused(Conflict, release):
        begin(shop, release, external_id="run-7")


# --- rollback ---


def test_a_rollback_to_what_ran_there_needs_no_window(shop: Shop) -> None:
    old, new = shop.release("1.0"), shop.release("2.0")
    shop.report(release=old, finished_at=at(-20), started_at=at(-25))
    shop.report(release=new, finished_at=at(-10), started_at=at(-15))
    freeze(shop, 0, 9)
    back = begin(shop, old, kind="rollback")
    end(shop, back)
    assert (state(new), Deployment.objects.get(pk=back.pk).status) == ("rolled_back", "succeeded")


def test_a_rollback_to_what_never_ran_there_passes_the_gates(shop: Shop) -> None:
    release = shop.release("1.0")
    freeze(shop, 0, 9)
    with refused(Blocked, release) as caught:
        begin(shop, release, kind="rollback")
    assert codes(caught) == ["frozen"]
    given = approved(shop, release, Window.objects.get())
    begin(shop, release, kind="rollback")
    given.refresh_from_db()
    assert given.used == 1


def test_a_rollback_waits_until_the_environment_is_free(shop: Shop) -> None:
    old, new = shop.release("1.0"), shop.release("2.0")
    shop.report(release=old, finished_at=at(-20), started_at=at(-25))
    begin(shop, new)
    with refused(Blocked, old, new) as caught:
        begin(shop, old, kind="rollback")
    assert codes(caught) == ["environment_busy"]


# --- the end ---


def test_a_success_in_production_deploys_the_release(shop: Shop) -> None:
    release = shop.release("1.0")
    done = end(shop, begin(shop, release))
    assert (done.status, done.finished_at, state(release)) == ("succeeded", at(5), "deployed")
    assert set(done.deployed_builds.values_list("succeeded_at", flat=True)) == {at(5)}
    assert kinds(release)[:4] == ["step", "deploy", "end", "report"]
    assert list(queries.breaks()) == []


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_one_that_went_wrong_frees_the_environment(shop: Shop, status: str) -> None:
    release = shop.release("1.0")
    done = end(shop, begin(shop, release), status, reason="The disk was full.")
    assert (done.status, state(release)) == (status, "accepted")
    assert queries.timeline(release)[0].data["reason"] == "The disk was full."
    assert begin(shop, release).status == "running"


def test_it_ends_once(shop: Shop) -> None:
    release = shop.release("1.0")
    running = begin(shop, release)
    end(shop, running)
    with unchanged(release):
        assert end(shop, running).status == "succeeded"
    with refused(WrongState, release):
        end(shop, running, "failed")


def test_what_a_plan_carries_out_is_ended_by_its_tasks(shop: Shop) -> None:
    plan = shop.started(shop.release("1.0"))
    with refused(WrongState, plan) as caught:
        end(shop, plan.deployments.get())
    assert plan.number in str(caught.value)


# --- over REST ---


def test_a_pipeline_asks_waits_for_its_turn_and_reports(shop: Shop) -> None:
    release = shop.release("1.0")
    ci = Caller(shop.ci)
    body = {"release": release.number, "environment": "production", "status": "running", "started_at": NOW.isoformat()}
    made = ci.post("/api/v1/deployments/", body, 201)
    problem = ci.post("/api/v1/deployments/", body, 409)
    assert [each["code"] for each in problem["blockers"]] == ["environment_busy"]
    path = f"/api/v1/deployments/{made['id']}/transitions/"
    Caller(shop.manager).post(f"{path}succeed/", expect=403)
    ci.post(f"{path}explode/", expect=404)
    assert ci.post(f"{path}succeed/")["status"] == "succeeded"
    assert ci.post(f"{path}succeed/")["status"] == "succeeded"
    ci.post(f"{path}fail/", expect=409)
