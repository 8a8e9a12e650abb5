"""The charts of the figures in a real browser: light, dark, on paper, on a phone, and left out where they fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from releasemgmt.accounts.models import User
from tests.conftest import NOW
from tests.deployments.conftest import shop as shop
from tests.deployments.world import Shop
from tests.kpis.test_incidents import down
from tests.kpis.world import DAY, MINUTE, commits, ship

pytestmark = [pytest.mark.embedded, pytest.mark.django_db(transaction=True)]
HOUR = 60 * MINUTE
ADDRESS = "/admin/figures/?product=shop&period=own&begin=2026-02-20&end=2026-03-10"
#: Of each canvas: how many pixels are drawn, in which colour above all, how wide it is and how wide it may be.
LOOK = """() => [...document.querySelectorAll(".rm-canvas > canvas")].map((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const pixels = new Uint32Array(data.buffer).filter((pixel) => pixel).length;
  const colour = Chart.getChart(canvas).data.datasets[0].borderColor;
  return { pixels, colour, width: canvas.clientWidth, room: canvas.parentElement.clientWidth };
})"""
STRIP = "Chart.getChart(document.querySelector('.is-strip > canvas'))"
#: The mouse comes to the first outage.
HOVER = f"""() => {{
  const {{ canvas }} = {STRIP};
  const {{ left, top }} = canvas.getBoundingClientRect();
  const {{ x, y }} = {STRIP}.getDatasetMeta(0).data[0].getCenterPoint();
  canvas.dispatchEvent(new MouseEvent("mousemove", {{ clientX: left + x, clientY: top + y }}));
}}"""


@pytest.fixture
def reader(shop: Shop) -> User:
    """Of a shop with releases, a failure, an outage and a commit that waits."""
    commits(shop, [(n, NOW - 2 * DAY + n * HOUR) for n in range(1, 6)])
    ship(shop, "1", at=NOW - DAY, tip=2)
    cause = ship(shop, "2", at=NOW, tip=4)
    down(shop, NOW + 5 * MINUTE, NOW + 65 * MINUTE, caused_by=cause)
    return shop.author


def charts(page: Page) -> list[dict[str, Any]]:
    expect(page.locator(".rm-canvas:not([hidden])").first).to_be_visible()
    found: list[dict[str, Any]] = page.evaluate(LOOK)
    assert len(found) == 6 and all(each["pixels"] > 1_000 for each in found)
    return found


def colours(page: Page) -> list[int]:
    return [each["colour"] for each in charts(page)]


def test_charts_are_drawn_in_the_colours_of_the_page(reader: User, sign_in: Callable[[User], Page]) -> None:
    page = sign_in(reader)
    page.goto(ADDRESS)
    light = colours(page)
    page.keyboard.press("Control+e")  # the theme's own: from automatic to light, from light to dark
    page.keyboard.press("Control+e")
    expect(page.locator("html.dark")).to_be_visible()
    dark = colours(page)
    assert all(one != other for one, other in zip(light, dark, strict=True))

    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert colours(page) == light and all(each["width"] == 680 for each in charts(page))
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.pdf().startswith(b"%PDF") and colours(page) == dark

    page.set_viewport_size({"width": 375, "height": 800})
    page.wait_for_function("document.querySelector('.rm-canvas > canvas').clientWidth < 375")
    assert all(0 < each["width"] <= each["room"] < 375 for each in charts(page))
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_readers_of_screens_find_the_content_and_hear_no_icons(reader: User, sign_in: Callable[[User], Page]) -> None:
    page = sign_in(reader)
    page.goto(ADDRESS)
    main = page.get_by_role("main")
    expect(main).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_text(["Figures Shop"])
    expect(main.get_by_role("heading", name="Change lead time by day")).to_be_visible()
    expect(page.get_by_role("link", name="Incidents", exact=True)).to_be_visible()
    opens = page.get_by_role("button", name="Navigation")
    expect(opens).to_have_attribute("aria-expanded", "true")
    opens.press("Enter")
    expect(opens).to_have_attribute("aria-expanded", "false")


def test_a_point_says_what_it_is(reader: User, sign_in: Callable[[User], Page]) -> None:
    page = sign_in(reader)
    page.goto(ADDRESS)
    charts(page)
    page.evaluate(HOVER)
    page.wait_for_function(f"{STRIP}.tooltip.opacity > 0")
    said = page.evaluate(f"{STRIP}.tooltip.body.map(({{ lines }}) => lines[0])")
    assert said[0] == "Down from 2 Mar 2026, 09:05, 1\u00a0h"


@pytest.mark.parametrize("missing", ["charts.js", "chart/chart.js"])
def test_without_its_script_the_table_stands_there(missing: str, reader: User, sign_in: Callable[[User], Page]) -> None:
    page = sign_in(reader).context.new_page()
    page.route(f"**/{missing}", lambda route: route.abort())
    page.goto(ADDRESS)
    expect(page.get_by_role("region", name="Downtime as a table")).to_contain_text("2 Mar 2026, 09:05")
    expect(page.locator(".rm-canvas:visible")).to_have_count(0)


def test_a_browser_without_scripts_shows_the_tables(
    chromium: Any, reader: User, sign_in: Callable[[User], Page]
) -> None:
    there = sign_in(reader)
    state, host = there.context.storage_state(), there.url.split("/admin")[0]
    context = chromium.new_context(base_url=host, storage_state=state, java_script_enabled=False)
    page = context.new_page()
    page.goto(ADDRESS)
    expect(page.get_by_role("region", name="Downtime as a table")).to_contain_text("2 Mar 2026, 09:05")
    expect(page.locator(".rm-canvas:visible")).to_have_count(0)
    context.close()
