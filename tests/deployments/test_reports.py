"""Deployments that pipelines report: recorded once, attributed by their digests, flagged where nobody accepted them."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.models import Deployment
from releasemgmt.releases.commands import expose
from releasemgmt.releases.commands.commits import send_commits
from releasemgmt.releases.models import Release
from releasemgmt.workflow import queries
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted
from tests.conftest import NOW
from tests.deployments.world import Shop, at, kinds, picture, refused
from tests.factories import EnvironmentFactory, ProductFactory, someone
from tests.releases.history import commit


def state(release: Release) -> str:
    return str(Release.objects.get(pk=release.pk).state)


def test_a_success_in_production_deploys_an_accepted_release(shop: Shop) -> None:
    release = shop.release("1.0")
    deployment, new = shop.report(release=release)
    assert (new, deployment.origin, deployment.unauthorised, deployment.reported_by) == (
        True,
        "reported",
        False,
        shop.ci,
    )
    assert (state(release), kinds(release)[:3]) == ("deployed", ["step", "deploy", "report"])
    assert queries.timeline(release)[1].on_behalf_of == shop.ci
    assert list(queries.breaks()) == []


def test_the_release_was_released_when_its_deployment_ended(shop: Shop) -> None:
    release = shop.release("1.0")
    shop.report(release=release, finished_at=at(-5))
    assert Release.objects.get(pk=release.pk).released_at == at(-5)


def test_a_deployment_that_is_reported_late_moves_the_release_back(shop: Shop) -> None:
    send_commits(shop.product, commits=[commit(1)], actor=shop.ci, now=NOW)
    release = shop.release("1.0", builds=[shop.build(key, "1.0", commit=1) for key in ("api", "web")])
    shop.report(release=release, finished_at=at(-5))
    shop.report(release=release, started_at=at(-9), finished_at=at(-8), now=at(60))
    release.refresh_from_db()
    owned = release.first_commits.get()
    assert (release.released_at, owned.released_at, kinds(release)[:2]) == (at(-8), at(-8), ["edit", "report"])
    assert [each.released_at for each in owned.former_owners.all()] == [at(-5)]
    shop.report(release=release, started_at=at(20), finished_at=at(30), now=at(60))
    assert Release.objects.get(pk=release.pk).released_at == at(-8)


def test_digests_alone_say_which_release_it_is(shop: Shop) -> None:
    release = shop.release("1.0")
    deployment, _new = shop.report(builds=list(release.builds.all()))
    assert (deployment.release, state(release)) == (release, "deployed")


def test_digests_win_over_the_release_that_was_named(shop: Shop) -> None:
    accepted, other = shop.release("1.0"), shop.release("2.0", to="planned")
    deployment, _new = shop.report(release=other, builds=list(accepted.builds.all()))
    assert (deployment.release, deployment.unauthorised) == (accepted, False)
    assert (state(accepted), state(other)) == ("deployed", "planned")


def test_component_by_component_the_release_is_deployed_with_the_last(shop: Shop) -> None:
    release = shop.release("1.0")
    api, web = release.builds.order_by("component__key")
    shop.report(builds=[api], finished_at=at(-5))
    assert state(release) == "accepted"
    shop.report(builds=[web], finished_at=at(-4))
    assert state(release) == "deployed"


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_what_did_not_succeed_moves_nothing(shop: Shop, status: str) -> None:
    release = shop.release("1.0")
    deployment, _new = shop.report(release=release, status=status)
    assert (deployment.status, state(release), kinds(release)[0]) == (status, "accepted", "report")


def test_a_success_elsewhere_moves_nothing(shop: Shop) -> None:
    release = shop.release("1.0", to="planned")
    deployment, _new = shop.report(release=release, environment=shop.test)
    assert (deployment.unauthorised, state(release)) == (False, "planned")


@pytest.mark.parametrize("to", ["planned", "built", "integration_tested"])
def test_production_without_acceptance_is_recorded_and_flagged(shop: Shop, to: str) -> None:
    release = shop.release("1.0", to=to)
    deployment, new = shop.report(release=release)
    assert (new, deployment.unauthorised, state(release)) == (True, True, to)
    assert queries.timeline(release)[0].data["unauthorised"] is True


def test_digests_of_no_release_are_flagged_on_the_products_stream(shop: Shop) -> None:
    deployment, _new = shop.report(builds=[shop.build("api", "by hand")])
    assert (deployment.release, deployment.unauthorised) == (None, True)
    assert kinds(shop.product)[0] == "report"


def test_an_attempt_on_production_that_failed_is_flagged_too(shop: Shop) -> None:
    deployment, _new = shop.report(release=shop.release("1.0", to="built"), status="failed")
    assert deployment.unauthorised


def test_a_deployed_release_again_is_a_redeploy_that_moves_nothing(shop: Shop) -> None:
    release = shop.deployed(shop.release("1.0"))
    before = kinds(release)
    deployment, _new = shop.report(
        release=release, kind="redeploy", started_at=at(130), finished_at=at(131), now=at(131)
    )
    assert (deployment.unauthorised, kinds(release)) == (False, ["report", *before])


class TestRollback:
    """A rollback that leaves no production environment running a release rolls it back."""

    def back(self, shop: Shop, to: Release, **facts: Any) -> Deployment:
        when = {"started_at": at(400), "finished_at": at(405), "now": at(410)}
        return shop.report(release=to, kind="rollback", **{**when, **facts})[0]

    @pytest.fixture
    def first(self, shop: Shop) -> Release:
        return shop.deployed(shop.release("1.0"))

    @pytest.fixture
    def second(self, shop: Shop, first: Release) -> Release:
        return shop.deployed(shop.release("2.0"), planned_start=at(200), latest_start=at(300))

    def test_the_release_that_is_gone_is_rolled_back_and_withdrawn(
        self, shop: Shop, first: Release, second: Release
    ) -> None:
        expose(second, environment=shop.production, audience="beta", percent=50, actor=shop.deployer, now=at(350))
        deployment = self.back(shop, to=first)
        assert (state(second), state(first), deployment.unauthorised) == ("rolled_back", "deployed", False)
        last = {step.audience: step.percent for step in second.exposures.order_by("at", "pk")}
        assert last == {"everyone": 0, "beta": 0}

    def test_an_audience_that_sees_nothing_is_not_withdrawn_twice(
        self, shop: Shop, first: Release, second: Release
    ) -> None:
        expose(second, environment=shop.production, percent=0, actor=shop.deployer, now=at(350))
        self.back(shop, to=first)
        assert kinds(second)[:3] == ["roll_back", "step", "step"]

    def test_while_another_production_runs_it_it_stays_deployed(
        self, shop: Shop, first: Release, second: Release
    ) -> None:
        elsewhere = EnvironmentFactory(key="production-asia", tier="production")
        shop.product.environments.add(elsewhere)
        shop.report(release=second, environment=elsewhere, started_at=at(390), finished_at=at(395), now=at(400))
        self.back(shop, to=first)
        assert state(second) == "deployed"

    def test_one_that_failed_moves_nothing(self, shop: Shop, first: Release, second: Release) -> None:
        self.back(shop, to=first, status="failed")
        assert state(second) == "deployed"

    def test_one_elsewhere_moves_nothing(self, shop: Shop, first: Release, second: Release) -> None:
        self.back(shop, to=first, environment=shop.test)
        assert state(second) == "deployed"

    def test_a_release_that_a_later_one_replaced_stays_deployed(
        self, shop: Shop, first: Release, second: Release
    ) -> None:
        assert (state(first), state(second)) == ("deployed", "deployed")

    def test_one_that_comes_late_and_is_past_moves_nothing(self, shop: Shop, first: Release, second: Release) -> None:
        self.back(shop, to=first, started_at=at(130), finished_at=at(131))
        assert state(second) == "deployed"

    def test_to_digests_that_ran_there_before_it_needs_no_acceptance(self, shop: Shop) -> None:
        by_hand = shop.build("api", "by hand")
        shop.report(builds=[by_hand], started_at=at(-60), finished_at=at(-50))
        first = shop.release("1.0", to="planned")
        again, _new = shop.report(builds=[by_hand], kind="rollback")
        never, _new = shop.report(release=first, kind="rollback")
        assert (again.unauthorised, never.unauthorised) == (False, True)


class TestTheSameReportAgain:
    """An `external_id` makes a report idempotent."""

    def test_it_is_answered_and_not_recorded_twice(self, shop: Shop) -> None:
        release = shop.release("1.0")
        first, _new = shop.report(release=release, external_id="run-7")
        before = picture(release)
        again, new = shop.report(release=release, external_id="run-7")
        assert (again, new) == (first, False)
        assert picture(release) == before

    @pytest.mark.parametrize(
        "other",
        [{"status": "failed"}, {"finished_at": at(-1)}, {"kind": "redeploy"}],
        ids=["status", "time", "kind"],
    )
    def test_with_other_facts_it_contradicts(self, shop: Shop, other: dict[str, Any]) -> None:
        release = shop.release("1.0")
        first, _new = shop.report(release=release, external_id="run-7")
        with refused(Conflict, release) as caught:
            shop.report(**{"release": release, "external_id": "run-7", **other})
        assert caught.value.facts["id"] == first.pk

    def test_with_other_builds_it_contradicts(self, shop: Shop) -> None:
        release = shop.release("1.0")
        shop.report(release=release, external_id="run-7")
        with refused(Conflict, release):
            shop.report(builds=list(release.builds.all()[:1]), external_id="run-7")

    def test_of_another_product_it_is_another_report(self, shop: Shop) -> None:
        shop.report(release=shop.release("1.0"), external_id="run-7")
        shop.product = ProductFactory(team=shop.product.team, components=["api", "web"])
        assert shop.report(release=shop.release("1.0"), external_id="run-7")[1]

    def test_without_an_id_each_is_its_own(self, shop: Shop) -> None:
        release = shop.release("1.0")
        assert [shop.report(release=release)[1], shop.report(release=release)[1]] == [True, True]


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"status": "running"}, "finished_at"),
        ({"status": "running", "finished_at": None, "started_at": at(10)}, "started_at"),
        ({"finished_at": None}, "finished_at"),
        ({"finished_at": at(-60)}, "finished_at"),
        ({"finished_at": at(10)}, "finished_at"),
    ],
    ids=["running and over", "begins in the future", "no end", "ends before it starts", "ends in the future"],
)
def test_a_report_that_makes_no_sense_is_refused(shop: Shop, facts: dict[str, Any], named: str) -> None:
    release = shop.release("1.0")
    with refused(Invalid, release) as caught:
        shop.report(release=release, **facts)
    assert list(caught.value.errors) == [named]


def test_a_report_names_what_was_deployed_and_where(shop: Shop) -> None:
    release = shop.release("1.0")
    two_of_one = [shop.build("api", "a"), shop.build("api", "b")]
    elsewhere = EnvironmentFactory(key="moon", tier="production")
    for facts in ({}, {"builds": two_of_one}, {"release": release, "environment": elsewhere}):
        with refused(Invalid, release):
            shop.report(**facts)


def test_builds_of_two_products_are_no_deployment(shop: Shop) -> None:
    release = shop.release("1.0")
    shop.product = ProductFactory(team=shop.product.team, components=["api", "web"])
    of_another = shop.build("api", "1.0")
    with refused(Invalid, release):
        shop.report(release=release, builds=[of_another])


@pytest.mark.parametrize("role", ["contributor", "release_manager", "cab_member", "auditor", "administrator"])
def test_others_report_nothing(shop: Shop, role: str) -> None:
    release = shop.release("1.0")
    with refused(NotPermitted, release):
        shop.report(release=release, actor=someone(role, team=shop.product.team))


def test_a_token_without_the_scope_reports_nothing(shop: Shop) -> None:
    release = shop.release("1.0")
    shop.ci.scopes = frozenset({"write"})
    with refused(NotPermitted, release):
        shop.report(release=release)


def test_a_report_costs_the_same_however_long_the_history(shop: Shop, django_assert_max_num_queries: Any) -> None:
    for n in range(8):
        shop.report(release=shop.release(f"1.{n}"), started_at=at(n), finished_at=at(n), now=at(n))
    release = shop.release("2.0")
    with django_assert_max_num_queries(42):
        shop.report(release=release, started_at=at(20), finished_at=at(20), now=at(20), external_id="run-1")
