"""Digests that nobody registered, and deployments that nobody authorised: kept, named, and put on record once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.urls import reverse

from approvals.models import ApprovalRound, ChangeRequest
from deployments.commands import observe
from deployments.models import Deployment
from deployments.queries import comparison, what_is_where
from releasemgmt.workflow import queries
from releasemgmt.workflow.errors import Absent, Conflict, Invalid
from tests.conftest import NOW
from tests.deployments.test_api import DEPLOYMENTS, Caller, instant
from tests.deployments.world import Shop, at, kinds, picture, refused
from tests.factories import ProductFactory, someone
from tests.portal.test_pages import signed_in

STRANGE, STRANGER = (f"sha256:{digit * 64}" for digit in "ab")


def recorded() -> ChangeRequest:
    return ChangeRequest.objects.get(deployment__isnull=False)


# --- put on record ---


def test_an_unauthorised_deployment_opens_a_recorded_change_once(shop: Shop) -> None:
    release = shop.release("1.0", to="built")
    deployment, _new = shop.report(release=release, external_id="run-7")
    change = recorded()
    assert deployment.change == change
    assert (change.state, change.unauthorised, change.outcome) == ("review", True, "successful")
    assert (change.requested_by, change.created_by.kind) == (shop.ci, "system")
    assert list(change.environments.all()) == [shop.production]
    assert {each.key for each in change.components.all()} == {"api", "web"}
    assert all(build.digest in change.implementation_plan for build in release.builds.all())
    told = queries.timeline(change).get(kind="approvals.changerequest.record")
    assert (told.actor.kind, told.on_behalf_of) == ("system", shop.ci)
    assert (told.data["deployment"], told.data["release"]) == (deployment.pk, release.number)
    assert ApprovalRound.objects.get(change=change).retrospective
    assert change.retrospective_due_at == NOW + timedelta(hours=48)
    assert queries.timeline(release)[0].data["change"] == change.number
    before = picture(release, change)
    assert shop.report(release=release, external_id="run-7") == (deployment, False)
    assert (picture(release, change), ChangeRequest.objects.count()) == (before, 1)
    assert list(queries.breaks()) == []


def test_an_attempt_that_failed_is_on_record_as_unsuccessful(shop: Shop) -> None:
    shop.report(release=shop.release("1.0", to="built"), status="failed", started_at=NOW, finished_at=NOW)
    assert (recorded().outcome, recorded().planned_start, recorded().planned_end) == ("unsuccessful", NOW, None)


def test_what_was_authorised_or_is_elsewhere_opens_no_change(shop: Shop) -> None:
    shop.report(release=shop.release("1.0"))
    shop.report(release=shop.release("2.0", to="planned"), environment=shop.test)
    shop.report(product=shop.product, environment=shop.test, unregistered=[STRANGE])
    assert not ChangeRequest.objects.exists()


# --- digests that nobody registered ---


def test_what_begins_with_them_is_refused_and_they_are_named(shop: Shop) -> None:
    release = shop.release("1.0")
    with refused(Absent, release, shop.product) as caught:
        shop.report(
            release=release,
            status="running",
            finished_at=None,
            unregistered=[STRANGE],
            builds=list(release.builds.all()),
        )
    assert STRANGE in str(caught.value)


def test_what_is_over_is_kept_and_names_them(shop: Shop) -> None:
    release = shop.release("1.0")
    api = release.builds.get(component__key="api")
    facts: dict[str, Any] = {"release": release, "builds": [api], "unregistered": [STRANGE], "external_id": "run-7"}
    before = kinds(release)
    deployment, new = shop.report(**facts)
    assert (new, deployment.unauthorised, deployment.release) == (True, True, None)
    assert deployment.digests == {api.digest, STRANGE}
    told = queries.timeline(shop.product)[0].data
    assert (told["unauthorised"], told["unregistered"], told["change"]) == (True, [STRANGE], recorded().number)
    assert STRANGE in recorded().implementation_plan
    assert (kinds(release), release.state) == (before, "accepted")
    assert shop.report(**facts) == (deployment, False)
    with refused(Conflict, release, shop.product):
        shop.report(**{**facts, "unregistered": [STRANGER]})


def test_the_same_report_once_they_are_registered_is_the_same_report(shop: Shop) -> None:
    digest = shop.build("api", "late").digest
    first, _new = shop.report(product=shop.product, unregistered=[digest], external_id="run-7")
    assert shop.report(builds=[shop.build("api", "late")], external_id="run-7") == (first, False)


def test_they_are_flagged_wherever_changes_are_controlled(shop: Shop) -> None:
    shop.test.change_controlled = False
    shop.test.save()
    places = (shop.production, True), (shop.test, False)
    for environment, flagged in places:
        deployment, _new = shop.report(product=shop.product, environment=environment, unregistered=[STRANGE])
        assert deployment.unauthorised == flagged


def test_somebody_says_of_which_product_they_are(shop: Shop) -> None:
    other = ProductFactory(team=shop.product.team)
    release = shop.release("1.0")
    with refused(Invalid, release) as caught:
        shop.report(unregistered=[STRANGE])
    assert STRANGE in caught.value.errors["product"]
    with refused(Invalid, release):
        shop.report(release=release, product=other)


# --- what is where does not lie ---


def doubts(**options: Any) -> dict[tuple[str, str], list[str]]:
    return {(each.environment.key, each.component.key): each.unregistered for each in what_is_where(**options)}


def test_what_ran_there_is_in_doubt_until_somebody_knows(shop: Shop) -> None:
    release = shop.release("1.0")
    shop.report(release=release, finished_at=at(-9))
    shop.report(product=shop.product, unregistered=[STRANGE, STRANGER], finished_at=at(-5))
    shop.report(product=shop.product, environment=shop.test, unregistered=[STRANGE], status="failed")
    both = [STRANGE, STRANGER]
    assert doubts() == {("production", "api"): both, ("production", "web"): both}
    assert doubts(at=at(-6)) == {("production", "api"): [], ("production", "web"): []}
    observe(shop.product, shop.production, digests={"api": STRANGE}, observed_at=at(-4), actor=shop.ci, now=at(0))
    shop.report(builds=[release.builds.get(component__key="web")], kind="redeploy", finished_at=at(-3))
    assert doubts() == {("production", "api"): [], ("production", "web"): []}
    assert [each.differs for each in what_is_where()] == [True, False]


def test_where_nothing_was_known_they_are_all_that_is_known(shop: Shop, django_assert_max_num_queries: Any) -> None:
    shop.report(product=shop.product, environment=shop.test, unregistered=[STRANGE])
    ProductFactory(team=shop.product.team)
    with django_assert_max_num_queries(5):
        assert doubts() == {("test", "api"): [STRANGE], ("test", "web"): [STRANGE]}
    assert doubts(user=someone("deployer", team=ProductFactory().team)) == {}


def test_a_comparison_says_what_may_have_been_replaced(shop: Shop, django_assert_max_num_queries: Any) -> None:
    release = shop.release("1.0")
    shop.report(release=release, finished_at=at(-9))
    shop.report(product=shop.product, unregistered=[STRANGE, STRANGER], finished_at=at(-5))
    shop.report(product=shop.product, environment=shop.test, unregistered=[STRANGER], finished_at=at(-5))
    shop.report(builds=[release.builds.get(component__key="web")], kind="redeploy", finished_at=at(-3))
    with django_assert_max_num_queries(10):
        told = comparison(release, shop.production).components
    assert [(each.component.key, each.unregistered) for each in told] == [("api", [STRANGE, STRANGER]), ("web", [])]
    answer = Caller(shop.ci).get(f"/api/v1/releases/{release.number}/comparison/", environment="test")
    assert [each["unregistered"] for each in answer["components"]] == [[STRANGER], [STRANGER]]


# --- over REST ---


def test_the_api_names_them_and_the_change(shop: Shop) -> None:
    ci, digest = Caller(shop.ci), shop.build("api", "1.0").digest
    foreign = ProductFactory(components=["api"])
    sent = {"environment": "production", "builds": [digest, STRANGE], "started_at": instant(-timedelta(minutes=5))}
    before = picture(shop.product)
    problem = ci.post(DEPLOYMENTS, {**sent, "status": "running"}, expect=404)
    assert STRANGE in problem["detail"] and digest not in problem["detail"]
    ci.post(DEPLOYMENTS, {**sent, "builds": [STRANGE], "status": "failed", "finished_at": instant()}, expect=400)
    ci.post(DEPLOYMENTS, {**sent, "product": foreign.key, "status": "failed", "finished_at": instant()}, expect=400)
    assert picture(shop.product) == before
    made = ci.post(
        DEPLOYMENTS, {**sent, "product": "shop", "status": "succeeded", "finished_at": instant()}, expect=201
    )
    assert (made["builds"], made["unregistered"], made["unauthorised"]) == ([digest], [STRANGE], True)
    assert (made["change"], made["release"]) == (recorded().number, None)
    assert ci.get(DEPLOYMENTS, change=made["change"])["results"] == [made]
    assert ci.get(DEPLOYMENTS, change="CHG-x")["results"] == []
    places = {each["component"]: each["unregistered"] for each in ci.get("/api/v1/environments/matrix/")["results"]}
    assert places == {"api": [], "web": [STRANGE]}


def test_a_list_of_deployments_costs_the_same_however_long(shop: Shop, django_assert_max_num_queries: Any) -> None:
    for n in range(4):
        shop.report(builds=[shop.build("api", str(n))], unregistered=[STRANGE], external_id=str(n))
    with django_assert_max_num_queries(5):
        assert len(Caller(shop.ci).get(DEPLOYMENTS)["results"]) == Deployment.objects.count() == 4


# --- pages ---


def test_the_pages_say_that_nobody_knows_and_where_it_is_on_record(shop: Shop) -> None:
    reader = signed_in(shop.manager)
    shop.report(release=shop.release("1.0"), finished_at=at(-9))
    shop.report(builds=[shop.build("api", "1.0")], unregistered=[STRANGE])
    change = recorded()
    pages = {
        reverse("admin:deployments_deployment_matrix"): ["In 1 place nobody knows", "Perhaps replaced", STRANGE[:19]],
        reverse("admin:deployments_deployment_change", args=[change.deployment.pk]): ["Not registered", change.number],
        reverse("admin:approvals_changerequest_change", args=[change.pk]): [f"deployment {change.deployment.pk}</a>"],
    }
    for page, texts in pages.items():
        shown = reader.get(page).content.decode()
        assert [text for text in texts if text not in shown] == []
