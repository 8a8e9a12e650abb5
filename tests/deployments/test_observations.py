"""What is seen to run: a difference from the records is said once, and once more when it is gone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from deployments.commands import observe
from deployments.models import Observation
from deployments.queries import what_is_where
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment, Product
from releasemgmt.notifications.fanout import drain
from releasemgmt.notifications.models import Delivery
from releasemgmt.releases.models import Build
from releasemgmt.workflow.errors import Invalid, NotPermitted
from releasemgmt.workflow.models import Event
from tests.conftest import NOW
from tests.deployments.test_api import Caller
from tests.deployments.test_what_is_where import ran
from tests.deployments.world import Shop, at, refused
from tests.factories import EnvironmentFactory, ProductFactory, someone

HERE, MATRIX = "/api/v1/environments/production/observations/", "/api/v1/environments/matrix/"
STRANGE, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


@pytest.fixture(autouse=True)
def later() -> Any:
    with time_machine.travel(at(60), tick=False):
        yield


def digest(shop: Shop, component: str, version: str) -> str:
    return shop.build(component, version).digest


def see(shop: Shop, minute: int, *, actor: User | None = None, **digests: str) -> list[Observation]:
    """What runs in production at that minute."""
    who = actor or shop.ci
    return observe(shop.product, shop.production, digests=digests, observed_at=at(minute), actor=who, now=at(60))


def drifts() -> list[tuple[str, list[str]]]:
    """What was said about differences, in order: found or resolved, and of which components."""
    events = Event.objects.filter(kind__startswith="deployments.drift.").order_by("pk")
    return [(event.kind.rpartition(".")[2], event.data["components"]) for event in events]


def differing(minute: int | None = None) -> list[str]:
    """The components of which something else runs than was deployed."""
    places = what_is_where(None if minute is None else at(minute))
    return [place.component.key for place in places if place.differs]


@pytest.fixture
def running(shop: Shop) -> Shop:
    """The shop with 1.0 in production since the hour."""
    ran(shop, shop.release("1.0"), 0)
    return shop


def test_what_was_deployed_is_seen_and_nothing_is_said(running: Shop) -> None:
    see(running, 1, api=digest(running, "api", "1.0"), web=digest(running, "web", "1.0"))
    see(running, 2, api=digest(running, "api", "1.0"))
    assert (drifts(), differing()) == ([], [])
    assert {row.component.key: row.last_seen_at for row in Observation.objects.all()} == {"api": at(2), "web": at(1)}


def test_a_difference_is_said_once_and_again_when_it_is_gone(running: Shop) -> None:
    for minute in (1, 2, 3):
        see(running, minute, api=STRANGE, web=digest(running, "web", "1.0"))
    assert (drifts(), differing()) == ([("find", ["api"])], ["api"])
    for minute in (4, 5):
        see(running, minute, api=digest(running, "api", "1.0"))
    assert (drifts(), differing()) == ([("find", ["api"]), ("resolve", ["api"])], [])
    see(running, 6, api=STRANGE)
    assert drifts()[2:] == [("find", ["api"])]


def test_another_difference_is_another_one(running: Shop) -> None:
    see(running, 1, api=STRANGE)
    see(running, 2, api=OTHER)
    assert drifts() == [("find", ["api"])] * 2


def test_several_differences_of_one_report_are_one_event(running: Shop) -> None:
    see(running, 1, api=STRANGE, web=OTHER)
    event = Event.objects.get(kind="deployments.drift.find")
    assert (event.stream, event.actor) == (running.product.stream, running.ci)
    assert event.data["environment"] == "production"
    assert event.data["differences"] == [
        {"component": "api", "digest": STRANGE, "expected": digest(running, "api", "1.0")},
        {"component": "web", "digest": OTHER, "expected": digest(running, "web", "1.0")},
    ]


def test_where_nothing_was_deployed_whatever_runs_differs(shop: Shop) -> None:
    (seen,) = see(shop, 1, api=STRANGE)
    assert (seen.expected, drifts(), differing()) == ("", [("find", ["api"])], ["api"])


def test_what_is_being_deployed_may_run_already(shop: Shop) -> None:
    ran(shop, shop.release("1.0"), 0)
    shop.started(shop.release("2.0"), planned_start=at(10), latest_start=at(20))
    see(shop, 11, api=digest(shop, "api", "2.0"), web=digest(shop, "web", "1.0"))
    assert drifts() == []
    see(shop, 12, api=STRANGE)
    assert drifts() == [("find", ["api"])]


def test_what_stays_behind_a_deployment_differs_from_it(running: Shop) -> None:
    see(running, 1, api=digest(running, "api", "1.0"))
    ran(running, running.release("2.0"), 10)
    assert differing() == []  # nobody has looked since
    see(running, 11, api=digest(running, "api", "1.0"))
    assert (drifts(), differing()) == ([("find", ["api"])], ["api"])


def test_a_deployment_reported_afterwards_explains_what_was_seen(running: Shop) -> None:
    second = running.release("2.0")
    see(running, 11, api=digest(running, "api", "2.0"))
    ran(running, second, 10, now=at(30))
    assert differing() == []
    see(running, 31, api=digest(running, "api", "2.0"))
    assert drifts() == [("find", ["api"]), ("resolve", ["api"])]


@pytest.mark.parametrize("minute", [1, 4, 5])
def test_what_is_late_or_sent_twice_says_nothing(running: Shop, minute: int) -> None:
    see(running, 5, api=STRANGE)
    before = list(Observation.objects.values()), Event.objects.count()
    (known,) = see(running, minute, api=digest(running, "api", "1.0"))
    assert known.digest == STRANGE
    assert (list(Observation.objects.values()), Event.objects.count()) == before


@pytest.mark.parametrize(("minute", "there"), [(0, []), (2, ["api"]), (3, ["api"]), (4, []), (60, [])])
def test_the_matrix_shows_it_as_it_was(running: Shop, minute: int, there: list[str]) -> None:
    see(running, 2, api=STRANGE)
    see(running, 4, api=digest(running, "api", "1.0"))
    assert differing(minute) == there


def test_deployers_are_told_once(running: Shop) -> None:
    see(running, 1, api=STRANGE)
    see(running, 2, api=STRANGE)
    drain(now=at(3))
    told = Delivery.objects.filter(event__kind__startswith="deployments.drift.")
    inbox = told.get(channel="inbox")
    assert inbox.recipient == running.deployer
    assert inbox.subject == "Shop: something else runs in production than was deployed there"
    assert f"- api runs {STRANGE}, and {digest(running, 'api', '1.0')} was deployed" in inbox.body
    assert inbox.url == "/admin/deployments/deployment/matrix/"


@pytest.mark.parametrize("role", ["contributor", "release_manager", "cab_chair", "auditor", "administrator"])
def test_only_deployers_and_pipelines_say_what_runs(running: Shop, role: str) -> None:
    with refused(NotPermitted, running.product):
        see(running, 1, actor=someone(role, team=running.product.team), api=STRANGE)
    assert not Observation.objects.exists()
    see(running, 1, actor=running.deployer, api=STRANGE)


@pytest.mark.parametrize(
    ("field", "minute", "digests"),
    [
        ("digests", 1, {}),
        ("digests", 1, {"app": STRANGE}),
        ("digests", 1, {"api": STRANGE, "nothing": STRANGE}),
        ("observed_at", 66, {"api": STRANGE}),
    ],
)
def test_what_makes_no_sense_is_refused(running: Shop, field: str, minute: int, digests: Any) -> None:
    with refused(Invalid, running.product) as caught:
        see(running, minute, **digests)
    assert list(caught.value.errors) == [field] and not Observation.objects.exists()


def test_an_environment_that_the_product_does_not_use_is_refused(running: Shop) -> None:
    moon = EnvironmentFactory(key="moon", tier="test")
    with refused(Invalid, running.product) as caught:
        observe(running.product, moon, digests={"api": STRANGE}, observed_at=at(1), actor=running.ci, now=at(2))
    assert list(caught.value.errors) == ["product"]


# --- REST ---


def report(**fields: Any) -> dict[str, Any]:
    return {"product": "shop", "observed_at": "2026-03-02T09:30:00Z", "digests": {"api": STRANGE}, **fields}


def test_a_pipeline_reports_and_reads_what_is_known(running: Shop) -> None:
    ci = Caller(running.ci)
    answer = ci.post(HERE, report())
    entry = {
        "product": "shop",
        "component": "api",
        "digest": STRANGE,
        "expected": digest(running, "api", "1.0"),
        "differs": True,
        "first_seen_at": "2026-03-02T09:30:00Z",
        "last_seen_at": "2026-03-02T09:30:00Z",
    }
    assert answer == {"environment": "production", "results": [entry]}
    assert ci.post(HERE, report()) == answer
    assert ci.get(HERE)["results"] == ci.get(HERE, differs="true", component="api")["results"] == [entry]
    assert ci.get(HERE, differs="false")["results"] == ci.get(HERE, product="other")["results"] == []
    api, web = ci.get(MATRIX)["results"]
    assert (api["observed_digest"], api["observed_at"], api["differs"]) == (STRANGE, "2026-03-02T09:30:00Z", True)
    assert (web["observed_digest"], web["observed_at"], web["differs"]) == (None, None, False)
    assert [each["differs"] for each in ci.get(MATRIX, at="2026-03-02T09:29:59Z")["results"]] == [False, False]


def test_the_matrix_has_a_place_for_what_was_never_deployed(shop: Shop) -> None:
    ci = Caller(shop.ci)
    ci.post(HERE, report())
    (place,) = ci.get(MATRIX)["results"]
    assert {name: place[name] for name in ("product", "component", "environment", "tier")} == {
        "product": "shop",
        "component": "api",
        "environment": "production",
        "tier": "production",
    }
    assert [place[name] for name in ("digest", "release", "version", "since", "deployment")] == [None] * 5
    assert place["differs"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"digests": {"api": "sha256:abc"}}, "/digests/api"),
        ({"digests": {"api": STRANGE.upper()}}, "/digests/api"),
        ({"digests": {"api": f"{STRANGE}\n"}}, "/digests/api"),
        ({"digests": {"api": None}}, "/digests/api"),
        ({"digests": {"api": ["x"]}}, "/digests/api"),
        ({"digests": {}}, "/digests"),
        ({"digests": [STRANGE]}, "/digests"),
        ({"digests": {"nothing": STRANGE}}, "/digests"),
        ({"product": "nothing"}, "/product"),
        ({"observed_at": "2026-03-02T09:30:00"}, "/observed_at"),
        ({"observed_at": "2026-03-02T12:30:00Z"}, "/observed_at"),
        ({"colour": "blue"}, "/colour"),
    ],
)
def test_a_body_that_makes_no_sense_is_400(running: Shop, fields: dict[str, Any], pointer: str) -> None:
    before = Event.objects.count()
    problem = Caller(running.ci).post(HERE, report(**fields), 400)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert Event.objects.count() == before and not Observation.objects.exists()


def test_an_environment_that_is_not_there_is_404(running: Shop) -> None:
    ci = Caller(running.ci)
    ci.post(HERE.replace("production", "moon"), report(), 404)
    ci.get(HERE.replace("production", "moon"), 404)
    assert not Observation.objects.exists()


def test_another_team_neither_reports_nor_reads(running: Shop) -> None:
    see(running, 1, api=STRANGE)
    stranger = Caller(someone("service", "deployer", team=ProductFactory().team))
    stranger.post(HERE, report(), 400)
    assert stranger.get(HERE)["results"] == []
    Caller(running.author).post(HERE, report(), 403)
    assert len(Caller(running.author).get(HERE)["results"]) == 1


# --- size ---

COMPONENTS, MOST = 200, 6


@pytest.fixture
def large(db: None, shop: Shop) -> Product:
    """200 components in each of 5 environments, deployed and seen to be something else."""
    keys = [f"part-{n}" for n in range(COMPONENTS)]
    product = ProductFactory(key="large", team=shop.product.team, components=keys)
    parts = {each.key: each for each in product.components.all()}
    builds = [Build(product=product, component=part, commit_sha="c" * 40, digest=f"sha256:{n:064x}",
                    artifact_uri=f"oci://example.org/{key}", built_at=NOW, status="succeeded")
              for n, (key, part) in enumerate(parts.items())]  # fmt: skip
    Build.objects.bulk_create(builds)
    for environment in Environment.objects.filter(products=product):
        shop.report(environment=environment, builds=builds)
        seen = dict.fromkeys(keys, STRANGE)
        observe(product, environment, digests=seen, observed_at=at(1), actor=shop.ci, now=at(1))
    return product


def test_200_components_in_5_environments_are_read_at_a_constant_cost(shop: Shop, large: Product) -> None:
    caller = Caller(shop.author)
    asked: list[dict[str, Any]] = [{}, {"at": at(2).isoformat()}]
    for instant in asked:
        with CaptureQueriesContext(connection) as seen:
            found = caller.get(MATRIX, **instant)["results"]
        assert len(found) == 5 * COMPONENTS and all(place["differs"] for place in found)
        assert len(seen) <= MOST, [each["sql"] for each in seen]


def test_a_report_costs_the_same_however_much_it_names_if_nothing_has_changed(shop: Shop, large: Product) -> None:
    def cost(keys: list[str], seen_at: datetime) -> int:
        digests = dict.fromkeys(keys, STRANGE)
        with CaptureQueriesContext(connection) as seen:
            observe(large, shop.production, digests=digests, observed_at=seen_at, actor=shop.ci, now=at(60))
        return len(seen)

    assert cost([f"part-{n}" for n in range(20)], at(2)) == cost(["part-77"], at(3))
