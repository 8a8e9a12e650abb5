"""The reviewer's page of a pre-approval: what it would let through, for how long, and how it went so far."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from approvals.commands import open_round, submit
from approvals.models import ApprovalRound, ChangeModel, ChangeRequest
from releasemgmt.accounts.models import User
from releasemgmt.catalog.commands import write_product_document
from releasemgmt.catalog.models import ReleaseModel
from tests.approvals.world import World, say
from tests.conftest import NOW
from tests.factories import ProductFactory, someone
from tests.portal.evidence_world import only_approvals
from tests.portal.test_pages import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def continuous() -> ReleaseModel:
    return ReleaseModel.objects.get(key="continuous")


@pytest.fixture
def world(settings: Any, continuous: ReleaseModel) -> World:
    only_approvals(settings)
    return World(ProductFactory(default_model=continuous))


@pytest.fixture
def round(world: World, continuous: ReleaseModel) -> ApprovalRound:
    return open_round(continuous, actor=world.manager, now=NOW)


def address(round: ApprovalRound) -> str:
    return reverse("admin:approvals_approvalround_change", args=[round.pk])


def shown(person: User, round: ApprovalRound) -> str:
    return " ".join(signed_in(person).get(address(round)).content.decode().split())


def test_it_says_what_the_release_model_lets_through_until_when_and_how_it_went(
    world: World, round: ApprovalRound, settings: Any
) -> None:
    settings.PRE_APPROVAL_FACTS = "tests.portal.test_model_dossier.two_of_twelve"
    html = shown(world.chair, round)
    assert "Every release under exactly this version" in html and "90 days: approved now, until" in html
    assert "at 15 % of the last 20" in html and "2 of the last 12 production deployments went wrong" in html
    assert "Accepted, once all its gates are open" in html and "Integration" in html
    say(round, world.chair)
    until = f"{NOW + timedelta(days=90):%-d %b %Y, %H:%M}"
    assert f"until {until}" in shown(world.chair, round)


def two_of_twelve(_model: ReleaseModel) -> tuple[int, int]:
    """A track record, as the app above tells it."""
    return 12, 2


def test_it_shows_the_documents_that_releases_would_inherit(world: World, round: ApprovalRound) -> None:
    assert shown(world.chair, round).count("not written yet") == 3
    write_product_document(world.product, kind="impact", body="Readers see old pages.", actor=world.author)
    html = shown(world.chair, round)
    assert "Readers see old pages." in html and html.count("not written yet") == 2


def test_products_of_other_teams_are_not_named(world: World, round: ApprovalRound, continuous: ReleaseModel) -> None:
    theirs = ProductFactory(default_model=continuous, name="Kolibri")
    assert "Kolibri" not in shown(world.chair, round)
    assert str(theirs) in shown(someone("auditor"), round)


def test_a_model_that_does_not_rest_on_it_says_so(world: World) -> None:
    normal = ReleaseModel.objects.get(key="normal")
    round = open_round(normal, actor=world.manager, now=NOW)
    assert "Its releases need rounds of their own whatever is decided here" in shown(world.chair, round)


def test_a_change_model_shows_its_recipe_its_limits_and_its_changes(world: World) -> None:
    recipe: ChangeModel = world.approved_recipe(tiers=["staging"])
    change = submit(world.change(type="standard", model=recipe), actor=world.author, now=NOW)
    html = shown(world.chair, ApprovalRound.objects.get(change_model=recipe))
    assert "Every standard change that follows exactly this version" in html
    assert "Swap." in html and "Staging" in html and "under 90 % success" in html
    assert "fewer than five of its changes have ended" in html and str(change) in html


def test_changes_of_other_teams_under_a_model_for_all_are_not_named(world: World) -> None:
    world.administrator = someone("administrator")
    world.manager, world.chair = someone("release_manager"), someone("cab_chair")
    recipe: ChangeModel = world.approved_recipe(product=None)
    theirs: ChangeRequest = World().change(type="standard", model=recipe, title="Kolibri")
    page = reverse("admin:approvals_changemodel_change", args=[recipe.pk])
    round = ApprovalRound.objects.get(change_model=recipe)
    assert theirs.title not in shown(world.author, round)
    assert theirs.title not in signed_in(world.author).get(page).content.decode()
    assert theirs.title in shown(world.chair, round)


def test_a_question_about_a_release_model_is_asked_there(world: World, round: ApprovalRound) -> None:
    where = reverse("admin:catalog_releasemodel_comment", args=[round.model_id])
    client = signed_in(world.chair)
    assert where in client.get(address(round)).content.decode()
    client.post(where, {"body": "Who watches it?", "back": address(round)})
    assert "Who watches it?" in shown(world.author, round)


def test_it_asks_the_same_however_many_products_there_are(
    world: World, round: ApprovalRound, continuous: ReleaseModel
) -> None:
    client, counts = signed_in(world.chair), []
    client.get(address(round))
    for _ in range(3):
        with CaptureQueriesContext(connection) as asked:
            assert client.get(address(round)).status_code == 200
        counts.append(len(asked))
        product = ProductFactory(default_model=continuous, team=world.product.team)
        write_product_document(product, kind="impact", body="None.", actor=world.author)
    assert counts == counts[:1] * 3
