"""The pages of the catalog: release models with what they say, and the documents that releases inherit."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from releasemgmt.accounts.models import User
from releasemgmt.catalog.commands import create_model
from releasemgmt.catalog.models import Product, ProductDocument, ReleaseModel
from releasemgmt.releases.commands import create_release
from tests.approvals.world import World, holds
from tests.factories import ProductFactory, someone
from tests.portal.evidence_world import only_approvals
from tests.web.world import picture

pytestmark = pytest.mark.django_db


@pytest.fixture
def product() -> Product:
    product: Product = ProductFactory(key="shop", default_model=ReleaseModel.objects.get(key="continuous"))
    return product


@pytest.fixture
def author(product: Product) -> User:
    return someone("contributor", team=product.team)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_the_next_version_of_a_model_starts_with_what_the_last_one_says() -> None:
    administrator = signed_in(someone("administrator"))
    last = ReleaseModel.objects.get(key="continuous")
    add = reverse("admin:catalog_releasemodel_add")
    shown = administrator.get(f"{add}?like={last.pk}")
    body: dict[str, Any] = {name: value for name, value in shown.context["form"].initial.items() if value}
    administrator.post(add, body)
    made = ReleaseModel.objects.get(key="continuous", version=2)
    same = ("name", "suites", "documents", "sign_off", "review", "exposure", "by_itself", "pre_approval_days")
    assert {name: getattr(made, name) for name in same} == {name: getattr(last, name) for name in same}
    page = administrator.get(reverse("admin:catalog_releasemodel_change", args=[made.pk])).content.decode()
    assert "Accepted, once all its gates are open" in page and "inherited" in page


def test_a_document_is_written_on_the_products_page_and_read_on_the_releases(product: Product, author: User) -> None:
    page = reverse("admin:catalog_product_change", args=[product.pk])
    client = signed_in(author)
    assert client.get(page).content.decode().count("missing") == 3
    assert client.get(f"{page}documents/impact/").status_code == 200
    client.post(f"{page}documents/impact/", {"body": "Some seconds."})
    assert ProductDocument.objects.get().body == "Some seconds."
    assert client.get(page).content.decode().count("missing") == 2
    release, _ = create_release(product=product, version="1.0", actor=author, now=timezone.now())
    shown = client.get(reverse("admin:releases_release_change", args=[release.pk])).content.decode()
    assert "Some seconds." in shown and "inherited" in shown
    assert client.get(f"{page}documents/poem/").status_code == 404


def test_who_may_not_write_documents_is_offered_none(product: Product) -> None:
    auditor, stranger = signed_in(someone("auditor")), signed_in(someone("contributor", team=ProductFactory().team))
    page = reverse("admin:catalog_product_change", args=[product.pk])
    assert f"{page}documents/" not in auditor.get(page).content.decode()
    before = picture(product)
    auditor.post(f"{page}documents/impact/", {"body": "Mine."})
    assert stranger.post(f"{page}documents/impact/", {"body": "Mine."}).status_code in (302, 404)
    assert picture(product) == before
    assert not ProductDocument.objects.exists()


def test_an_edit_that_would_void_votes_asks_before_it_does(settings: Any) -> None:
    only_approvals(settings)
    documents = [{"kind": "impact", "origin": "inherited"}]
    model = create_model(key="shared", name="Shared", documents=documents, actor=someone("administrator"))
    world = World(ProductFactory(default_model=model))
    release = world.release()
    world.signed(release)
    client, before = signed_in(world.author), picture(world.product)
    address = reverse("admin:catalog_product_document", args=[world.product.pk, "impact"])
    asked = client.post(address, {"body": "Some seconds."})
    html = asked.content.decode()
    assert asked.status_code == 400 and "This would void what" in html
    assert world.signer.username in html and release.number in html and "Some seconds." in html
    assert picture(world.product) == before and holds(release)
    assert client.post(address, {"body": "Some seconds.", "void_signoffs": "on"}).status_code == 302
    assert ProductDocument.objects.get().body == "Some seconds." and not holds(release)
