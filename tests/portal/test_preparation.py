"""The preparation list on the pages of a product and of a plan."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from deployments.commands import ask_for, look_up_artifacts, verify
from deployments.models import ArtifactLookup, DeploymentPlan, Verification
from deployments.queries import checklist
from tests.conftest import NOW
from tests.deployments.conftest import shop as shop
from tests.deployments.world import Shop, picture
from tests.factories import someone


@pytest.fixture(autouse=True)
def at_nine() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def page_of(record: Any) -> str:
    return reverse(f"admin:{record._meta.app_label}_{record._meta.model_name}_change", args=[record.pk])


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_what_a_product_asks_for_is_ticked_and_written(shop: Shop) -> None:
    page = page_of(shop.product)
    administrator = signed_in(someone("administrator"))
    assert "Nothing is asked for." in administrator.get(page).content.decode()
    said = {"kinds": ["artifacts", "configuration"], "titles": "Call Bob\n\n  Tell Eve "}
    shown = administrator.post(f"{page}preparation/production/", said, follow=True).content.decode()
    assert "Configuration reviewed, Artifacts verified, Call Bob, Tell Eve" in shown
    form = administrator.get(f"{page}preparation/production/").context["form"]
    assert form.initial == {"kinds": ["configuration", "artifacts"], "titles": "Call Bob\nTell Eve"}
    assert administrator.get(f"{page}preparation/moon/").status_code == 404
    twice = administrator.post(f"{page}preparation/production/", {"titles": "Call Bob\nCall Bob"})
    assert "It is on the list already." in twice.content.decode()
    assert shop.product.preparation_items.count() == 4


@pytest.fixture
def plan(shop: Shop) -> DeploymentPlan:
    kinds = [("configuration", ""), ("artifacts", ""), ("other", "Call Bob & Eve")]
    ask_for(shop.product, tier="production", items=kinds, actor=someone("administrator"))
    return shop.plan(shop.release("1.0"))


def test_items_are_verified_on_pages_of_their_own(shop: Shop, plan: DeploymentPlan) -> None:
    deployer, page = signed_in(shop.deployer), page_of(plan)
    shown = deployer.get(page).content.decode()
    assert shown.count(">not verified<") == 3 and "title=Call%20Bob%20%26%20Eve" in shown
    review = deployer.get(f"{page}preparation/?kind=configuration")
    assert "What changes in Production" in review.content.decode()
    digest = review.context["form"]["digest"].value()
    said = {"holds": "yes", "evidence": "https://wiki.example.org/7"}
    deployer.post(f"{page}preparation/", {"kind": "configuration", "digest": digest, **said})
    deployer.post(f"{page}preparation/", {"kind": "other", "title": "Call Bob & Eve", **said})
    built = dict(plan.release.builds.values_list("component__key", "digest"))
    fields = {f"digest_of_{key}": value for key, value in built.items()}
    wrong = deployer.post(f"{page}preparation/", {"kind": "artifacts", **said, **fields, "digest_of_api": "latest"})
    assert "64 hexadecimal digits" in str(wrong.context["form"].errors["digest_of_api"])
    done = deployer.post(f"{page}preparation/", {"kind": "artifacts", **said, **fields}, follow=True)
    assert "Artifacts verified" in done.content.decode()
    assert {each.state for each in checklist(plan)} == {"verified"}
    deployer.post(f"{page}preparation/", {"kind": "other", "title": "Call Bob & Eve", **said, "holds": "no"})
    assert "does not hold" in deployer.get(page).content.decode()


def test_the_service_is_asked_to_look_the_artifacts_up(shop: Shop, plan: DeploymentPlan) -> None:
    deployer, page = signed_in(shop.deployer), page_of(plan)
    assert "Look them up" in deployer.get(page).content.decode()
    shown = deployer.post(f"{page}preparation/lookup/", follow=True).content.decode()
    assert "are being looked up" in shown and "asked the service to look" in shown
    assert look_up_artifacts(now=NOW) == 1
    shown = deployer.get(page).content.decode()
    assert "The service could not look them up" in shown and "api: " in shown
    author = signed_in(shop.author)
    assert "Look them up" not in author.get(page).content.decode()
    author.post(f"{page}preparation/lookup/")
    assert ArtifactLookup.objects.filter(ended_at=None).count() == 0


def test_what_is_not_asked_for_or_not_theirs_is_refused(shop: Shop, plan: DeploymentPlan) -> None:
    deployer, page = signed_in(shop.deployer), page_of(plan)
    before = picture(plan)
    assert deployer.get(f"{page}preparation/?kind=smell").status_code == 302
    assert deployer.post(f"{page}preparation/", {"kind": "smell", "holds": "yes", "evidence": "X"}).status_code == 400
    stale = deployer.post(f"{page}preparation/", {"kind": "configuration", "holds": "yes", "evidence": "X"})
    assert "another one than you reviewed" in stale.content.decode()
    author = signed_in(shop.author)
    assert "preparation/?kind" not in author.get(page).content.decode()
    assert author.post(f"{page}preparation/", {"kind": "other", "holds": "yes", "evidence": "X"}).status_code == 400
    assert (picture(plan), Verification.objects.exists()) == (before, False)


def test_a_plans_page_takes_as_many_statements_with_many_items_as_with_few(shop: Shop, plan: DeploymentPlan) -> None:
    deployer = signed_in(shop.deployer)
    counts = []
    for items in (3, 20):
        asked = [("artifacts", ""), ("other", "Call Bob & Eve"), *(("other", f"Call {n}") for n in range(items))]
        ask_for(shop.product, tier="production", items=asked, actor=someone("administrator"))
        for kind, title in asked[1:]:
            verify(plan, kind=kind, title=title, evidence="Seen.", actor=shop.ci, now=NOW)
        deployer.get(page_of(plan))
        with CaptureQueriesContext(connection) as captured:
            deployer.get(page_of(plan))
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_a_plan_without_a_list_says_nothing_of_one(shop: Shop) -> None:
    plan = shop.plan(shop.release("1.0"), shop.test)
    assert "before it is ready" not in signed_in(shop.deployer).get(page_of(plan)).content.decode()
