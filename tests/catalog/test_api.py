"""Products, components, environments and release models over REST."""

from __future__ import annotations

from typing import Any

import pytest

from releasemgmt.accounts.models import Role
from releasemgmt.catalog.models import Environment, Product, ReleaseModel
from releasemgmt.workflow.models import Event
from tests.factories import EnvironmentFactory, ProductFactory, TeamFactory, someone
from tests.web.world import API, Caller, picture

pytestmark = pytest.mark.django_db
ENVIRONMENTS, MODELS, PRODUCTS = f"{API}/environments/", f"{API}/release-models/", f"{API}/products/"
ANY = {"If-Match": "*"}
LAB = {"key": "lab", "name": "Lab", "tier": "test", "rank": 15}
SHIPPED = 3
SMOKE = {"suite": "smoke", "tier": "test", "gates": "pass_integration"}


@pytest.fixture
def administrator() -> Caller:
    return Caller(someone("administrator", username="admin"))


@pytest.fixture
def tiers() -> list[Environment]:
    return [EnvironmentFactory(key=key) for key in ("test", "staging", "production")]


def kinds(caller: Caller, address: str) -> list[str]:
    return [event["kind"] for event in caller.get(f"{address}events/").json()["results"]][::-1]


# --- products --------------------------------------------------------------------------------------------------------


def test_a_product_is_one_call(administrator: Caller, tiers: list[Environment]) -> None:
    TeamFactory(key="shop")
    made = administrator.post(PRODUCTS, {"key": "shop", "name": "Shop", "team": "shop"})
    assert made.status_code == 201
    product = administrator.get(made["Location"]).json()
    assert product == made.json()
    assert product["default_model"] == "normal@1"
    assert product["environments"] == ["test", "staging", "production"]
    assert (product["time_zone"], product["revision"], product["url"]) == ("UTC", 1, f"{PRODUCTS}shop/")
    event = Event.objects.get(kind="catalog.product.create")
    assert (event.actor, event.team_id) == (administrator.user, Product.objects.get().team_id)


def test_the_first_product_of_an_installation_brings_its_environments(administrator: Caller) -> None:
    TeamFactory(key="shop")
    made = administrator.post(PRODUCTS, {"key": "shop", "name": "Shop", "team": "shop"})
    assert made.json()["environments"] == ["test", "staging", "production"]
    assert [row["tier"] for row in administrator.get(f"{ENVIRONMENTS}?ordering=key").json()["results"]] == [
        "production",
        "staging",
        "test",
    ]
    assert Event.objects.filter(kind="catalog.environment.create").count() == 3


def test_a_product_is_edited_with_one_event_for_what_changed(administrator: Caller, tiers: list[Environment]) -> None:
    product = ProductFactory(key="shop", environments=tiers)
    path = f"{PRODUCTS}shop/"
    body = {"name": "The shop", "time_zone": "Europe/Berlin", "repository_url": "https://example.org/shop.git"}
    edited = administrator.patch(path, body, headers=ANY).json()
    assert {name: edited[name] for name in body} == body
    assert edited["revision"] == 2
    EnvironmentFactory(key="development")
    wider = {"environments": ["development", "test", "staging", "production"]}
    assert administrator.patch(path, wider, headers=ANY).json()["environments"] == wider["environments"]
    before = picture(product)
    assert administrator.patch(path, wider, headers=ANY).status_code == 200
    assert picture(product) == before
    assert kinds(administrator, path) == ["catalog.product.edit", "catalog.product.edit"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"team": "nobody"}, "/team"),
        ({"key": "Shop"}, "/key"),
        ({"key": ""}, "/key"),
        ({"key": "x" * 41}, "/key"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone"),
        ({"repository_url": "javascript:alert(1)"}, "/repository_url"),
        ({"default_model": "unheard-of"}, "/default_model"),
        ({"environments": ["moon"]}, "/environments"),
        ({"environments": ["test", "production"]}, "/environments"),
        ({"environments": []}, "/environments"),
        ({"environments": "test"}, "/environments"),
        ({"colour": "blue"}, "/colour"),
    ],
)
def test_a_product_that_makes_no_sense_is_refused(
    administrator: Caller, tiers: list[Environment], body: dict[str, Any], pointer: str
) -> None:
    TeamFactory(key="shop")
    good = {"key": "shop", "name": "Shop", "team": "shop"}
    document = administrator.refused("post", PRODUCTS, good | body, status=400)
    assert [error["pointer"] for error in document["errors"]] == [pointer]
    assert Product.objects.count() == 0


def test_a_model_that_tests_where_a_product_is_not_is_refused(administrator: Caller, tiers: list[Environment]) -> None:
    product = ProductFactory(key="shop", environments=tiers)
    performance = {"suite": "performance", "tier": "development", "gates": "accept"}
    administrator.post(MODELS, {"key": "slow", "name": "Slow", "suites": [performance]})
    before = picture(product)
    for body in ({"default_model": "slow"}, {"environments": ["production"]}):
        document = administrator.refused("patch", f"{PRODUCTS}shop/", body, status=400, **ANY)
        assert "name such environments" in document["detail"]
    assert picture(product) == before
    assert product.environments.count() == 3


def test_a_key_is_taken_once(administrator: Caller, tiers: list[Environment]) -> None:
    product = ProductFactory(key="shop", team=TeamFactory(key="shop"))
    before = picture(product)
    body = {"key": "shop", "name": "Other", "team": "shop"}
    assert administrator.refused("post", PRODUCTS, body, status=409)["code"] == "exists"
    assert administrator.refused("post", ENVIRONMENTS, LAB | {"key": "test"}, status=409)["code"] == "exists"
    assert picture(product) == before


def test_components_are_added_and_listed(administrator: Caller) -> None:
    product = ProductFactory(key="shop", components=["api"])
    path = f"{PRODUCTS}shop/components/"
    assert administrator.post(path, {"key": "web", "name": "Web"}).json() == {"key": "web", "name": "Web"}
    assert administrator.post(path, {"key": "cli"}).json()["name"] == "cli"
    assert [row["key"] for row in administrator.get(path).json()] == ["api", "cli", "web"]
    before = picture(product)
    assert administrator.refused("post", path, {"key": "web"}, status=409)["code"] == "exists"
    administrator.refused("post", path, {"key": "We b"}, status=400)
    assert picture(product) == before
    assert before[1] == 3


def test_another_teams_product_does_not_exist(administrator: Caller) -> None:
    shop, other = ProductFactory(key="shop"), ProductFactory(key="other")
    caller = Caller(someone(*set(Role.values) - {"service"}, team=shop.team))
    assert [row["key"] for row in caller.get(PRODUCTS).json()["results"]] == ["shop"]
    before = picture(other)
    for path in ("", "components/", "events/", "comments/"):
        caller.refused("get", f"{PRODUCTS}other/{path}", status=404)
    caller.refused("patch", f"{PRODUCTS}other/", {"name": "Mine"}, status=404, **ANY)
    caller.refused("post", f"{PRODUCTS}other/components/", {"key": "x"}, status=404)
    assert picture(other) == before


def test_documents_that_releases_inherit_are_written_under_the_products_etag(administrator: Caller) -> None:
    product = ProductFactory(key="shop")
    path, document = f"{PRODUCTS}shop/", f"{PRODUCTS}shop/documents/impact/"
    writer = Caller(someone("contributor", team=product.team))
    assert writer.refused("get", document, status=404)["detail"] == "It is not written yet."
    tag = writer.get(path)["ETag"]
    assert writer.put(document, {"body": "None."}, headers={"If-Match": tag}).json()["revision"] == 2
    found = writer.get(document).json()
    assert (found["kind"], found["body"]) == ("impact", "None.")
    before = picture(product)
    assert writer.put(document, {"body": "None."}, headers=ANY).status_code == 200
    writer.refused("put", document, {"body": "Some."}, status=412, **{"If-Match": tag})
    writer.refused("put", document, {"body": "Some."}, status=428)
    writer.refused("put", f"{PRODUCTS}shop/documents/poem/", {"body": "O rose"}, status=404, **ANY)
    for role, status in (("auditor", 403), ("administrator", 403), ("cab_member", 403)):
        Caller(someone(role, team=product.team)).refused("put", document, {"body": "x"}, status=status, **ANY)
    Caller(someone("contributor", team=TeamFactory())).refused("put", document, {"body": "x"}, status=404, **ANY)
    assert picture(product) == before
    assert kinds(administrator, path) == ["catalog.product_document.write"]


# --- environments ----------------------------------------------------------------------------------------------------


def test_an_environment_is_made_and_edited(administrator: Caller) -> None:
    made = administrator.post(ENVIRONMENTS, LAB)
    assert (made.status_code, made.json()["change_controlled"]) == (201, True)
    body = {"rank": 1, "tier": "development", "change_controlled": False, "time_zone": "Asia/Tokyo", "name": "Bench"}
    edited = administrator.patch(made["Location"], body, headers={"If-Match": made["ETag"]}).json()
    assert {name: edited[name] for name in body} == body
    assert kinds(administrator, made["Location"]) == ["catalog.environment.create", "catalog.environment.edit"]
    environment = Environment.objects.get()
    before = picture(environment)
    for bad in ({"tier": "moon"}, {"rank": -1}, {"rank": 2**40}, {"time_zone": "Mars"}, {"key": "x"}, {"name": ""}):
        administrator.refused("patch", made["Location"], bad, status=400, **ANY)
    assert picture(environment) == before


def test_environments_and_models_are_seen_by_whoever_signed_in() -> None:
    EnvironmentFactory(key="production")
    caller = Caller(someone())
    assert [row["key"] for row in caller.get(ENVIRONMENTS).json()["results"]] == ["production"]
    shown = {row["number"] for row in caller.get(MODELS).json()["results"]}
    assert shown == {"continuous@1", "emergency@1", "normal@1"}


# --- release models --------------------------------------------------------------------------------------------------


def test_the_normal_model_is_shipped(administrator: Caller) -> None:
    normal = administrator.get(f"{MODELS}normal/").json()
    assert (normal["number"], normal["sign_off"], len(normal["suites"]), len(normal["documents"])) == (
        "normal@1",
        "round",
        4,
        4,
    )
    assert administrator.get(f"{MODELS}normal@1/").json() == normal


def test_an_edit_of_a_model_makes_its_next_version(administrator: Caller) -> None:
    product = ProductFactory(key="shop")
    made = administrator.post(MODELS, {"key": "normal", "name": "Normal", "suites": [SMOKE], "review": "always"})
    assert (made.status_code, made.json()["number"], made.json()["documents"]) == (201, "normal@2", [])
    assert administrator.get(f"{MODELS}normal/").json()["version"] == 2
    assert len(administrator.get(f"{MODELS}normal@1/").json()["suites"]) == 4
    assert administrator.get(f"{PRODUCTS}shop/").json()["default_model"] == product.default_model.number == "normal@1"
    administrator.refused("patch", f"{MODELS}normal@1/", {"name": "X"}, status=405, **ANY)
    for nowhere in ("normal@3", "normal@x", "normal@" + "9" * 30, "x"):
        administrator.refused("get", f"{MODELS}{nowhere}/", status=404)


def test_a_model_says_what_fires_by_itself_and_what_ends_its_pre_approval(administrator: Caller) -> None:
    shipped = administrator.get(f"{MODELS}continuous/").json()
    assert shipped["sign_off"] == "pre_approved"
    assert shipped["by_itself"] == ["build", "pass_integration", "accept", "close"]
    assert {(entry["origin"], entry["gates"]) for entry in shipped["documents"]} == {("inherited", "accept")}
    due = {entry["kind"]: entry["gates"] for entry in administrator.get(f"{MODELS}emergency/").json()["documents"]}
    assert [kind for kind, gates in due.items() if gates == "accept"] == ["deployment_procedure", "impact"]
    body: dict[str, Any] = {"key": "daily", "name": "Daily", "sign_off": "pre_approved", "by_itself": ["build"]}
    body |= {"pre_approval_days": 30, "fail_rate_ceiling": 5, "suites": [SMOKE]}
    body |= {"documents": [{"kind": "impact", "origin": "inherited", "gates": "accept"}]}
    made = administrator.post(MODELS, body).json()
    assert {name: made[name] for name in body} == body
    assert Event.objects.get(kind="catalog.releasemodel.create").data == {
        **body,
        "version": 1,
        "review": "after_trouble",
        "exposure": "with_deployment",
    }


def test_a_product_without_the_tier_of_a_shipped_model_is_refused_it(administrator: Caller) -> None:
    production = EnvironmentFactory(key="production")
    TeamFactory(key="shop")
    for model in ("continuous", "emergency"):
        body = {"key": "shop", "name": "Shop", "team": "shop", "environments": ["production"], "default_model": model}
        assert "tests in test" in administrator.refused("post", PRODUCTS, body, status=400)["detail"]
    bare = ReleaseModel.objects.create(key="bare", name="Bare")
    product = ProductFactory(key="shop", environments=[production], default_model=bare)
    before = picture(product)
    for model in ("continuous", "emergency"):
        administrator.refused("patch", f"{PRODUCTS}shop/", {"default_model": model}, status=400, **ANY)
        release = {"product": "shop", "version": "1.0", "model": model}
        manager = Caller(someone("release_manager", team=product.team))
        assert "uses no such" in manager.refused("post", f"{API}/releases/", release, status=400)["detail"]
    assert picture(product) == before


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"suites": 5}, "/suites"),
        ({"suites": [5]}, "/suites/0"),
        ({"suites": [SMOKE | {"tier": "moon"}]}, "/suites/0/tier"),
        ({"suites": [SMOKE | {"colour": "blue"}]}, "/suites/0/colour"),
        ({"documents": [{"kind": "poem", "origin": "own"}]}, "/documents/0/kind"),
        ({"review": "sometimes"}, "/review"),
        ({"sign_off": "by nobody"}, "/sign_off"),
        ({"documents": [{"kind": "impact", "origin": "heaven"}]}, "/documents/0/origin"),
        ({"documents": [{"kind": "impact", "origin": "own", "gates": "build"}]}, "/documents/0/gates"),
        ({"documents": [{"kind": "impact", "origin": "own"}] * 2}, "/documents"),
        ({"by_itself": ["rework"]}, "/by_itself/0"),
        ({"by_itself": "accept"}, "/by_itself"),
        ({"pre_approval_days": 0}, "/pre_approval_days"),
        ({"pre_approval_days": 367}, "/pre_approval_days"),
        ({"fail_rate_ceiling": 0}, "/fail_rate_ceiling"),
        ({"fail_rate_ceiling": 101}, "/fail_rate_ceiling"),
        ({"key": "a b"}, "/key"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused(administrator: Caller, body: dict[str, Any], pointer: str) -> None:
    document = administrator.refused("post", MODELS, {"key": "fast", "name": "Fast"} | body, status=400)
    assert [error["pointer"] for error in document["errors"]] == [pointer]
    assert ReleaseModel.objects.count() == SHIPPED


# --- who -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [role for role in Role.values if role != "administrator"])
def test_only_administrators_write(role: str) -> None:
    product, environment = ProductFactory(key="shop", team=TeamFactory(key="shop")), EnvironmentFactory(key="test")
    caller = Caller(someone(role))
    before = picture(product), picture(environment), ReleaseModel.objects.count()
    for method, path, body in (
        ("post", PRODUCTS, {"key": "x", "name": "X", "team": "shop"}),
        ("patch", f"{PRODUCTS}shop/", {"name": "X"}),
        ("post", f"{PRODUCTS}shop/components/", {"key": "x"}),
        ("post", ENVIRONMENTS, LAB),
        ("patch", f"{ENVIRONMENTS}test/", {"name": "X"}),
        ("post", MODELS, {"key": "x", "name": "X"}),
    ):
        assert caller.refused(method, path, body, status=403, **ANY)["code"] == "not_permitted"
    assert (picture(product), picture(environment), ReleaseModel.objects.count()) == before
    assert Event.objects.filter(stream=caller.user.stream, kind="workflow.refused").count() == 6


def test_lists_take_a_constant_number_of_statements(administrator: Caller, django_assert_max_num_queries: Any) -> None:
    for _ in range(12):
        ProductFactory()
    for path in (PRODUCTS, ENVIRONMENTS, MODELS):
        with django_assert_max_num_queries(4):
            assert administrator.get(path).status_code == 200
