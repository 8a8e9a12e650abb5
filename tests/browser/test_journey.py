"""The main job by hand, in a real browser: plan, document, sign off, deploy, and read it in the timeline."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from releasemgmt.catalog.models import Environment, Product
from releasemgmt.releases.commands import record_test_run, register_build
from releasemgmt.releases.models import Build
from releasemgmt.workflow import queries
from tests.factories import someone

DIGEST = "sha256:" + "cd" * 32

#: Where the pictures go, for whoever wants to look at them.
SHOTS = Path(os.environ.get("SCREENSHOTS", "")) if os.environ.get("SCREENSHOTS") else None

pytestmark = [pytest.mark.embedded, pytest.mark.django_db(transaction=True)]


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def pipeline(product: Product) -> None:
    """What a pipeline brings: a build and its tests."""
    ci, now = someone("service", team=product.team), timezone.now()
    component = product.components.get()
    register_build(
        product=product,
        component=component,
        commit_sha="a" * 40,
        digest=DIGEST,
        artifact_uri="oci://example.org/shop:1",
        built_at=now,
        actor=ci,
        now=now,
    )
    for suite in ("smoke", "integration", "regression", "acceptance"):
        record_test_run(
            builds=list(Build.objects.all()),
            environment=Environment.objects.get(key="staging" if suite == "acceptance" else "test"),
            suite=suite,
            passed=12,
            failed=0,
            errors=0,
            skipped=1,
            started_at=now - timedelta(minutes=5),
            finished_at=now,
            actor=ci,
            now=now,
        )


def plan_release(page: Page) -> None:
    page.goto("/admin/releases/release/add/")
    page.get_by_label("Product").select_option(label="Shop")
    page.get_by_label("Version").fill("1.0")
    page.get_by_label("Title").fill("Winter")
    page.get_by_label("Shop: app").check()
    page.get_by_role("button", name="Create").click()
    assert "It has no component" not in page.content()
    page.get_by_role("link", name="Choose builds").click()
    page.locator("select[name^=component_]").select_option(index=1)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Mark as built").click()
    page.get_by_role("button", name="Pass integration test").click()
    expect(page.locator(".is-current")).to_have_text("Integration-tested")


def document(page: Page) -> None:
    for kind in ("Deployment procedure", "Workflow monitoring", "Impact", "Release notes"):
        page.get_by_role("link", name=f"Write {kind}").click()
        page.locator("textarea[name=body]").fill(f"# {kind}\n\nAs **usual**.")
        page.get_by_role("button", name="Save").click()


def local(at: Any) -> str:
    return str(at.strftime("%Y-%m-%dT%H:%M"))


def make_plan(page: Page) -> None:
    page.get_by_role("link", name="New plan").click()
    page.get_by_label("Environment").select_option(label="Production")
    page.get_by_label("Planned start").fill(local(timezone.now()))
    page.get_by_label("Latest start").fill(local(timezone.now() + timedelta(hours=2)))
    page.locator("textarea[name=tasks]").fill("Swap the image\nLook at the graphs")
    page.locator("textarea[name=backout_tasks]").fill("Swap it back")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("button", name="Prepare").click()
    page.get_by_role("button", name="Schedule", exact=True).click()


def test_a_release_is_walked_to_production_by_hand(
    enter: Callable[..., Page], product: Product, background: Any
) -> None:
    pipeline(product)
    author, reviewer = enter("release_manager", "mara"), enter("release_manager", "rolf")
    plan_release(author)
    document(author)
    shoot(author, "release-documented")
    assert author.get_by_role("button", name="Accept").is_disabled()
    author.get_by_role("button", name="Open a round").click()
    author.get_by_text("can't vote on your own work").first.wait_for()
    reviewer.goto("/admin/")
    shoot(reviewer, "home-with-a-vote")
    reviewer.locator("a", has_text="REL-").first.click()
    shoot(reviewer, "dossier")
    reviewer.get_by_role("button", name="Approve").wait_for()
    author.goto("/admin/releases/release/")
    author.locator("a", has_text="REL-").first.click()
    author.get_by_role("link", name="Edit Impact").click()
    author.locator("textarea[name=body]").fill("Two minutes of downtime.")
    author.get_by_role("button", name="Save").click()
    reviewer.get_by_role("button", name="Approve").click()
    reviewer.get_by_text("is not what you saw").first.wait_for()
    assert "Your vote is recorded" not in reviewer.content()
    shoot(reviewer, "stale-vote")
    author.get_by_role("button", name="Open a round").click()
    reviewer.goto("/admin/")
    reviewer.locator("a", has_text="REL-").first.click()
    reviewer.get_by_text("What changed since the last round").first.wait_for()
    reviewer.get_by_text("Two minutes of downtime.").first.wait_for()
    reviewer.get_by_role("button", name="Approve").click()
    reviewer.wait_for_url("**/admin/")
    author.locator(".rm h1 a").click()
    author.get_by_role("button", name="Accept").click()
    expect(author.locator(".is-current")).to_have_text("Accepted")
    deployer = enter("deployer", "dario")
    deployer.goto(author.url)
    make_plan(deployer)
    for _task in range(2):
        deployer.get_by_role("button", name="Done").click(timeout=30_000)
    deployer.locator(".is-current", has_text="Succeeded").wait_for(timeout=30_000)
    shoot(deployer, "plan-succeeded")
    author.reload()
    expect(author.locator(".is-current")).to_have_text("Deployed")
    assert "on behalf of Dario" in author.locator("#timeline").inner_text()
    shoot(author, "release-deployed")
    assert list(queries.breaks()) == []
