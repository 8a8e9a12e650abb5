"""Preparation over REST: the lists of a product, and what people and pipelines find of a plan's."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from rest_framework.test import APIClient

from deployments.models import PreparationItem, Verification
from releasemgmt.catalog.models import Product
from tests.conftest import NOW
from tests.deployments.test_api import PLANS, Caller
from tests.deployments.world import Shop, picture
from tests.factories import ProductFactory, someone

LISTS = "/api/v1/products/shop/preparation/"


@pytest.fixture(autouse=True)
def at_nine() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def put(client: APIClient, tier: str, *kinds: str, expect: int = 200, **headers: str) -> Any:
    items = [{"kind": kind} if kind != "other" else {"kind": kind, "title": "Call Bob"} for kind in kinds]
    answer = client.put(f"{LISTS}{tier}/", {"items": items}, format="json", headers={"If-Match": "*", **headers})
    assert answer.status_code == expect, answer.content
    return answer


@pytest.fixture
def administrator(shop: Shop) -> APIClient:
    client = APIClient()
    client.force_authenticate(someone("administrator"))
    return client


def test_a_list_is_written_with_the_products_etag_and_read(shop: Shop, administrator: APIClient) -> None:
    reader = Caller(shop.author)
    assert reader.get(LISTS) == []
    answer = put(administrator, "production", "artifacts", "other")
    product = Product.objects.get(pk=shop.product.pk)
    assert answer["ETag"] == f'"shop.{product.revision}"'
    items = [{"kind": "artifacts", "title": ""}, {"kind": "other", "title": "Call Bob"}]
    assert answer.json() == {"tier": "production", "items": items}
    assert put(administrator, "production", "artifacts", "other")["ETag"] == answer["ETag"]
    put(administrator, "staging", "compliance")
    assert [each["tier"] for each in reader.get(LISTS)] == ["staging", "production"]
    before = picture(product), list(PreparationItem.objects.values())
    put(administrator, "moon", "artifacts", expect=404)
    put(administrator, "production", "smell", expect=400)
    put(administrator, "production", "artifacts", "artifacts", expect=400)
    put(administrator, "production", expect=412, **{"If-Match": '"shop.1"'})
    reader.get(f"{LISTS}?page=2", expect=400)
    Caller(someone("deployer", team=ProductFactory().team)).get(LISTS, expect=404)
    product = Product.objects.get(pk=shop.product.pk)
    assert (picture(product), list(PreparationItem.objects.values())) == before


def test_a_pipeline_verifies_artifacts_and_people_the_rest(shop: Shop, administrator: APIClient) -> None:
    put(administrator, "production", "configuration", "artifacts", "other")
    release = shop.release("1.0")
    plan, ci, deployer = shop.plan(release), Caller(shop.ci), Caller(shop.deployer)
    here = f"{PLANS}{plan}/preparation/"
    listed = deployer.get(here)
    assert [each["state"] for each in listed] == ["missing"] * 3
    digests = dict(release.builds.values_list("component__key", "digest"))
    strange = {**digests, "api": f"sha256:{'a' * 64}"}
    evidence = {"evidence": "registry.example.org, by crane digest"}
    answer = ci.post(here, {"kind": "artifacts", "digests": strange, **evidence}, expect=201)
    assert (answer["state"], answer["by"], answer["digests"]) == ("refuted", "ci", strange)
    refused = deployer.post(f"{PLANS}{plan}/transitions/prepare/", expect=409)
    assert [each["code"] for each in refused["blockers"]] == [
        "preparation_missing", "preparation_refuted", "preparation_missing",
    ]  # fmt: skip
    answer = ci.post(here, {"kind": "artifacts", "digests": digests, **evidence}, expect=201)
    assert (answer["state"], answer["at"], answer["reason"]) == ("verified", "2026-03-02T09:00:00Z", "")
    deployer.post(here, {"kind": "configuration", "digest": listed[0]["digest"], **evidence}, expect=201)
    deployer.post(here, {"kind": "other", "title": "Call Bob", **evidence}, expect=201)
    assert deployer.post(f"{PLANS}{plan}/transitions/prepare/")["state"] == "ready"


def test_what_means_nothing_is_refused_and_written_nowhere(shop: Shop, administrator: APIClient) -> None:
    put(administrator, "production", "configuration", "artifacts")
    plan, deployer = shop.plan(shop.release("1.0")), Caller(shop.deployer)
    here, said = f"{PLANS}{plan}/preparation/", {"kind": "artifacts", "evidence": "Seen."}
    before = picture(plan)
    assert deployer.post(here, {**said, "digests": {"api": "latest"}}, expect=400)["code"] == "invalid"
    stale = deployer.post(here, {**said, "kind": "configuration"}, expect=412)
    assert stale["digest"] == deployer.get(here)[0]["digest"]
    deployer.post(here, {**said, "kind": "smell"}, expect=400)
    deployer.post(here, {**said, "mood": "good"}, expect=400)
    deployer.post(here, {"kind": "artifacts"}, expect=400)
    Caller(shop.author).post(here, {**said, "kind": "configuration"}, expect=403)
    Caller(someone("deployer", team=ProductFactory().team)).post(here, said, expect=404)
    assert (picture(plan), Verification.objects.exists()) == (before, False)
