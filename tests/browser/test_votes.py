"""A reviewer's morning: one vote after the other by the keys alone, each on the content of its own page."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from approvals.models import ApprovalRound, ChangeRequest, Vote
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from tests.approvals.world import World

#: The long form is `ROUNDS=30`.
ROUNDS = int(os.environ.get("ROUNDS", "12"))
RISKS = ("low", "medium")
HOUR = timedelta(hours=1)

pytestmark = [pytest.mark.embedded, pytest.mark.django_db(transaction=True)]
SignIn = Callable[[User], Page]


@pytest.fixture
def world(product: Product, settings: Any) -> World:
    """Releases get tested without their suites: the gates of releases are held by their own tests."""
    ours: dict[str, list[str]] = {"releases.Release.build": [], "releases.Release.pass_integration": []}
    settings.WORKFLOW_GATES = {**settings.WORKFLOW_GATES, **ours}
    settings.RISK_FACTS = []
    return World(product)


@pytest.fixture
def reviewer(world: World) -> User:
    return world.someone("release_manager", "cab_member", username="rita")


def ask(world: World, number: int) -> ApprovalRound:
    """A round: of each three one is about a release, the others are about changes; due and risk are mixed."""
    now = timezone.now()
    if number % 3 == 0:
        return world.round(world.release(f"{number}.0", risk=RISKS[number % 2]), now=now)
    start = now + (1 + number * 7 % 11) * 8 * HOUR
    change: ChangeRequest = world.assessed(
        title=f"Disk {number}", risk=RISKS[number % 2], planned_start=start, planned_end=start + HOUR
    )
    return world.round(change)


def address(round: int) -> str:
    return reverse("admin:approvals_approvalround_change", args=[round])


def listed(page: Page) -> list[int]:
    """The rounds on the home page, in their order."""
    links = page.locator("[aria-labelledby=votes] .rm-row a").all()
    found = [re.search(r"/(\d+)/change/", link.get_attribute("href") or "") for link in links]
    return [int(each[1]) for each in found if each]


def press(page: Page, *keys: str) -> None:
    """Once the page takes keys, type."""
    page.locator("html[data-keys=on]").wait_for()
    for key in keys:
        page.keyboard.press(key)


def test_a_dozen_votes_by_the_keyboard_alone(world: World, reviewer: User, sign_in: SignIn) -> None:
    rounds = {round.pk: round for round in (ask(world, number) for number in range(ROUNDS))}
    page = sign_in(reviewer)
    order = listed(page)
    assert set(order) == set(rounds) and order != sorted(order)
    rejected = order[1]
    press(page, "v")
    for place, pk in enumerate(order, start=1):
        page.wait_for_url(f"**{address(pk)}*")
        expect(page.locator(".rm-walk strong")).to_have_text(f"{place} of {ROUNDS}")
        press(page, *(("r", *"No.", "Escape", "r") if pk == rejected else "a"))
    page.wait_for_url("**/admin/")
    page.get_by_text("Nobody waits for your vote.").wait_for()
    votes = list(Vote.objects.filter(voter=reviewer).order_by("pk"))
    assert [vote.round_id for vote in votes] == order
    assert [vote.digest for vote in votes] == [rounds[pk].digest for pk in order]
    assert len({vote.digest for vote in votes}) == ROUNDS
    assert [vote.round_id for vote in votes if vote.decision == "reject"] == [rejected]


def test_the_first_key_leads_past_the_navigation(world: World, reviewer: User, sign_in: SignIn) -> None:
    ask(world, 1)
    page = sign_in(reviewer)
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    assert (skip.bounding_box() or {"height": 0})["height"] > 20
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#content a:focus")).to_have_count(1)
    assert (skip.bounding_box() or {"height": 0})["height"] <= 1


def test_who_comes_back_to_a_page_can_still_decide(world: World, reviewer: User, sign_in: SignIn) -> None:
    round = ask(world, 1)
    page = sign_in(reviewer)
    press(page, "v")
    page.wait_for_url(f"**{address(round.pk)}*")
    page.route("**/*", lambda route: route.fulfill(status=503, body="The server is away."))
    press(page, "a")
    page.get_by_text("The server is away.").wait_for()
    page.unroute_all()
    page.go_back()
    page.wait_for_url(f"**{address(round.pk)}*")
    press(page, "a")
    page.wait_for_url("**/admin/")
    assert Vote.objects.get(voter=reviewer).digest == round.digest
