"""A policy by hand, in a real browser: rows come and go, a preview, a proposal, and the second person."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from approvals.models import ApprovalPolicy
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.releases.commands import create_release
from tests.factories import someone

pytestmark = [pytest.mark.embedded, pytest.mark.django_db(transaction=True)]


def test_a_policy_is_written_previewed_proposed_and_agreed_to(
    sign_in: Callable[[User], Page], product: Product
) -> None:
    author = someone("contributor", team=product.team)
    release, _ = create_release(product=product, version="1.0", actor=author, now=timezone.now())
    someone("release_manager", team=product.team)
    someone("cab_chair", team=product.team)
    ada, bob = (someone("administrator", username=name) for name in ("ada", "bob"))

    page = sign_in(ada)
    page.goto("/admin/approvals/approvalpolicy/add/")
    page.get_by_label("Key").fill("shops")
    page.get_by_label("Name", exact=True).fill("Shops")
    page.get_by_label("Low", exact=True).check()
    page.get_by_role("button", name="Add a row").click()
    second = page.get_by_role("group", name="Row 2")
    expect(second.get_by_label("Step")).to_have_value("2")
    second.get_by_label("Of whom").select_option("CAB chair")
    second.get_by_label("May veto").check()
    page.get_by_role("button", name="Add a row").click()
    page.get_by_role("button", name="Remove row 1").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Shops")
    first = page.get_by_role("group", name="Row 1")
    first.get_by_label("How many").fill("2")

    first.get_by_label("How many").press("Enter")  # previews: nothing is proposed by accident
    expect(page.locator("#stages")).to_contain_text("2 × CAB chair are asked for and 1 could agree, 1 short")
    page.get_by_role("group", name="Row 1").get_by_label("How many").fill("1")
    page.get_by_role("group", name="Row 2").get_by_label("Of whom").select_option("Release manager")
    page.get_by_role("button", name="Preview").last.click()
    told = page.get_by_role("status")
    expect(told).to_contain_text(release.number)
    expect(told).to_contain_text("1 CAB chair with a veto, then 1 release manager")
    assert not ApprovalPolicy.objects.filter(key="shops").exists()

    page.get_by_role("button", name="Propose it").click()
    expect(page.get_by_role("button", name="Agree")).to_be_disabled()
    expect(page.get_by_text("Another person has to agree")).to_be_visible()

    page = sign_in(bob)
    page.get_by_role("link", name="agree or decline").click()
    page.get_by_role("button", name="Agree Shops").click()
    expect(page.get_by_text("No policy waits.")).to_be_visible()
    assert ApprovalPolicy.objects.get(key="shops").decided_by == bob
