"""A real browser, and people who sign in with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from tests.factories import ProductFactory, TeamFactory, someone

CHROMIUM = shutil.which("chromium")
PASSWORD = "correct horse battery"


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Going back shows the page as it was left, as in the browsers that people use."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu"],
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def product() -> Product:
    product: Product = ProductFactory(key="shop", name="Shop", team=TeamFactory(key="web"))
    return product


@pytest.fixture
def sign_in(chromium: Browser, live_server: Any) -> Iterator[Callable[[User], Page]]:
    """Signs somebody in, by the sign-in page, and gives their page; console errors fail the test."""
    problems: list[str] = []
    contexts = []

    def come(user: User) -> Page:
        user.set_password(PASSWORD)
        user.save()
        context = chromium.new_context(base_url=live_server.url, viewport={"width": 1360, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if "Content Security" in said.text else None)
        page.goto("/admin/")
        page.get_by_label("Username").fill(user.username)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/admin/")
        return page

    yield come
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def enter(sign_in: Callable[[User], Page], product: Product) -> Callable[[str, str], Page]:
    """Signs somebody new in who has a role in the product's team."""
    return lambda role, name: sign_in(someone(role, team=product.team, username=name))
