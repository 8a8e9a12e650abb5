"""The pages of the figures: what they show, their tables and definitions, what is not known, and to whom."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from deployments.models import Incident
from releasemgmt.kpis.definitions import MEANINGS
from releasemgmt.portal.figures import words
from releasemgmt.portal.figures.drawing import by_magnitude, from_nothing, visible
from releasemgmt.portal.figures.pages import GROUPS
from tests.conftest import NOW
from tests.deployments.conftest import shop as shop
from tests.deployments.world import Shop
from tests.factories import ProductFactory, someone
from tests.kpis.test_incidents import down
from tests.kpis.world import DAY, MINUTE, commits, ship
from tests.portal.test_pages import signed_in

pytestmark = pytest.mark.django_db
PAGE = "/admin/figures/"
HOUR = 60 * MINUTE


@pytest.fixture(autouse=True)
def two_days_later() -> Any:
    with time_machine.travel(NOW + 2 * DAY, tick=False):
        yield


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """Two releases, of which the second one broke something, and a commit that waits."""
    commits(shop, [(n, NOW - 2 * DAY + n * HOUR) for n in range(1, 6)])
    ship(shop, "1", at=NOW - DAY, tip=2)
    cause = ship(shop, "2", at=NOW, tip=4)
    down(shop, NOW + 5 * MINUTE, NOW + 65 * MINUTE, caused_by=cause)
    return shop


@pytest.fixture
def desk(busy: Shop) -> Client:
    return signed_in(busy.author)


def text(client: Client, address: str = PAGE, **query: str) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def said(html: str) -> str:
    """What people read."""
    return " ".join(re.sub("<[^>]+>", " ", html).replace("\u00a0", " ").split())


def cards(html: str) -> dict[str, str]:
    """Each figure's card by its name."""
    found = re.findall(r'<li class="rm-card">\s*<h3><a href="/admin/figures/(\w+)/[^>]*>(.*?)</li>', html, re.S)
    return {name: said(rest) for name, rest in found}


def figures(html: str) -> dict[str, str]:
    """Each chart with its table by its title."""
    return dict(re.findall(r'<figure class="rm-card rm-chart" aria-label="([^"]*)">(.*?)</figure>', html, re.S))


def drawn(figure: str) -> dict[str, list[list[Any]]]:
    """The values of a chart by their tone, as the browser gets them."""
    found = re.search(r'<script type="application/json">(.*?)</script>', figure)
    assert found
    return {series["tone"]: series["values"] for series in json.loads(found[1])["series"]}


def test_each_figure_says_its_value_of_how_many_and_what_is_open(desk: Client) -> None:
    found = cards(text(desk))
    assert set(found) == set(MEANINGS)
    assert "Median of 2 commits. 1 open, the oldest for 3 d 19 h." in found["change_lead_time"]
    assert "50 %" in found["change_fail_rate"] and "Of 2 deployments" in found["change_fail_rate"]
    assert "No data Of 0 repaired defects" in found["mttr_defects"]
    assert "1 h 5 min Median of 1 repaired deployment" in found["failed_deployment_recovery_time"]


def test_beside_each_chart_stands_its_table_and_a_click_away_what_it_means(desk: Client) -> None:
    html = text(desk)
    found = figures(html)
    assert len(found) >= 5
    for each in found.values():
        assert re.search(r'hidden><canvas role="img" aria-label="[^"]{20,}"', each)
        assert (
            '<th scope="col"' in each and each.count('<th scope="row">') >= 1 and 'tabindex="0" role="region"' in each
        )
        assert re.search(r'<a href="/admin/figures/\w+/[^"]*">Definition and rows', each)
    assert "Days and times in UTC." in html and "Last 30 days" in html
    deployed = found["Deployments to production by day"]
    assert "2 Mar 2026 0 1 0 1" in said(deployed) and "1 Mar 2026 1 0 0 1" in said(deployed)
    strip = found["Downtime"]
    assert f"2 Mar 2026, 09:05 {Incident.objects.get().number}, shop Down 1 h" in said(strip)
    assert "known since 2 Mar 2026" in strip and "3 Feb 2026, 00:00 – Nothing is known 27 d" in said(strip)


def test_a_chart_draws_what_its_table_says(desk: Client) -> None:
    found = figures(text(desk))
    lead = drawn(found["Change lead time"])
    assert [title for _at, _value, title in lead["point"]] == [
        f"{took}, 2 Mar 2026, 09:00" for took in ("1\u00a0d 21\u00a0h", "1\u00a0d 20\u00a0h")
    ]
    deployed = drawn(found["Deployments to production by day"])
    assert [value for _at, value, _title in deployed["value"] if value] == [1]
    assert [title for _at, value, title in deployed["bad"] if value] == [
        "2 Mar 2026: 1 deployment, 1 failed or did harm"
    ]
    (((begin, end), _row, title),) = drawn(found["Downtime"])["down"]
    assert begin == (NOW + 5 * MINUTE).timestamp() * 1_000 and end - begin == 3_600_000
    assert title == "Down from 2 Mar 2026, 09:05, 1\u00a0h"
    assert sum(count or 0 for _band, count, _title in drawn(found["Distribution of change lead time"])["value"]) == 2


def test_a_release_that_waits_in_no_state_is_a_case_too(desk: Client, busy: Shop) -> None:
    assert "Cycle time by stage. A chart appears with its first case" in text(desk)
    with time_machine.travel(NOW + DAY, tick=False):
        busy.report(release=busy.release("3"), started_at=NOW, finished_at=NOW)
    stages = figures(text(desk))["Cycle time by stage"]
    assert "3 Mar 2026 0 s 0 s 0 s 0 s 0 s 1" in said(stages) and "2 Mar 2026 – – – – – 0" in said(stages)
    assert [value for _at, value, _title in drawn(stages)["stage-0"] if value is not None] == [0]


def test_the_timeline_opens_at_the_time_that_is_shown(desk: Client) -> None:
    html = text(desk, product="shop", period="own", begin="2026-02-01", end="2026-02-20")
    assert "change/timeline/?on=2026-02-20" in html


def test_a_time_in_which_nothing_happened_is_not_called_unknown(busy: Shop) -> None:
    with time_machine.travel(NOW.replace(year=2100), tick=False):
        html = text(signed_in(busy.author), product="shop", begin="2099-01-01", end="2099-01-31", period="own")
    assert cards(html)["deployment_frequency"].startswith("Deployment frequency 0 ")
    assert "Nothing to draw in this time" in html and "No data in this time" not in html


def test_what_is_not_known_is_a_gap_and_no_nought(desk: Client) -> None:
    found = figures(text(desk))
    lead = found["Change lead time"]
    medians = [value for _at, value, _title in drawn(lead)["median"]]
    assert len(medians) == 30 and medians.count(None) == 29
    assert said(lead).count(" 2026 – 0") == 29 and "28 Feb 2026 – 0" in said(lead)
    strip, deployed = drawn(found["Downtime"]), drawn(found["Deployments to production by day"])
    assert len(strip["gap"]) > 20 and len(strip["gap"]) + len(strip["up"]) == 30
    assert deployed["gap"] == strip["gap"][:-1]  # of deployments it heard a day before it heard of incidents
    assert 0 not in [value for _at, value, _title in deployed["value"]]


def test_a_figure_has_its_definition_and_its_very_rows(desk: Client, busy: Shop) -> None:
    html = text(desk, f"{PAGE}change_lead_time/", product="shop")
    read = said(html)
    assert MEANINGS["change_lead_time"].text[:80] in read and "5 in all, the newest first" in read
    assert read.count("of the first release") >= 2 and "still open" in read
    assert "/api/v1/kpis/change_lead_time/rows/?from=" in html and "product=shop" in html
    deployed = text(desk, f"{PAGE}deployment_frequency/")
    assert all(
        f"/admin/deployments/deployment/{each.pk}/change/" in deployed for each in busy.product.deployments.all()
    )
    for name in MEANINGS:
        text(desk, f"{PAGE}{name}/")
    assert desk.get(f"{PAGE}nonsense/").status_code == 404


def test_rows_go_on_page_by_page(desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("releasemgmt.portal.figures.pages.ON_PAGE", 2)
    html = text(desk, f"{PAGE}change_lead_time/", period="90")
    assert "Page 1 of 3" in html and "?period=90&amp;page=2#rows" in html
    assert "Page 3 of 3" in text(desk, f"{PAGE}change_lead_time/", page="99")


def test_nine_of_ten_are_not_told_of_few(desk: Client, busy: Shop) -> None:
    assert "Nine of ten" not in text(desk, f"{PAGE}change_lead_time/")
    commits(busy, [(n, NOW - DAY + n * MINUTE) for n in range(20, 30)])
    ship(busy, "3", at=NOW + DAY, tip=29)
    assert "Nine of ten within" in text(desk, f"{PAGE}change_lead_time/")


@pytest.mark.parametrize("figure", ["", "downtimes/"])
def test_a_product_out_of_sight_is_not_there(desk: Client, figure: str) -> None:
    stranger = signed_in(someone("release_manager", team=ProductFactory(key="other").team))
    assert stranger.get(PAGE + figure, {"product": "shop"}).status_code == 404
    assert "Shop" not in said(text(stranger, PAGE + figure))
    assert desk.get(PAGE + figure, {"product": "other"}).status_code == 404
    assert desk.get(PAGE + figure, {"product": "shop"}).status_code == 200


def test_without_any_history_it_says_what_is_missing() -> None:
    reader = signed_in(someone("auditor"))
    html = text(reader)
    assert "There is nothing to draw yet" in html and "<figure" not in html
    assert all("No data" in card for card in cards(html).values())
    assert "Nothing in this time that you may see." in text(reader, f"{PAGE}change_lead_time/")


def test_a_time_of_ones_own_and_what_makes_no_sense(desk: Client) -> None:
    own = {"period": "own", "begin": "2026-02-28", "end": "2026-03-01", "bucket": "day"}
    read = said(text(desk, **own))
    assert "28 Feb 2026 to 1 Mar 2026, by day" in read
    assert "by week" in said(text(desk, period="90")) and "by month" in said(text(desk, period="365"))
    for wrong, why in (
        ({"begin": "2026-03-01", "end": "2026-02-01"}, "It ends before it begins"),
        ({"begin": "1980-01-01", "bucket": "day"}, "Ask for at most 400"),
        ({"begin": "yesterday"}, "Enter a valid date"),
        ({"begin": "0001-01-01"}, "between the years 1970 and 2199"),
        ({"end": "9999-12-31", "begin": "9999-12-31"}, "between the years 1970 and 2199"),
        ({"bucket": "decade"}, "Select a valid choice"),
    ):
        for page in (PAGE, f"{PAGE}downtimes/"):
            html = text(desk, page, **{**own, **wrong})
            assert why in html and "<figure" not in html


def test_a_time_of_ones_own_has_a_first_day(desk: Client) -> None:
    html = text(desk, product="shop", period="own", end="2026-03-01")
    assert "Name the first day." in html and not figures(html)


@pytest.mark.parametrize("address", ["/admin/", "/admin/releases/", "/admin/releases/release/", PAGE])
def test_each_page_has_one_heading(desk: Client, address: str) -> None:
    assert text(desk, address).count("<h1") == 1


def test_the_page_names_one_time_zone(desk: Client) -> None:
    assert "Times in UTC" in text(desk, "/admin/")
    for address in (PAGE, f"{PAGE}change_lead_time/"):
        html = text(desk, address)
        assert "Days and times in UTC" in html and html.count("Times in") == 0


def test_what_was_known_on_a_day_is_told_everywhere(desk: Client, busy: Shop) -> None:
    down(busy, NOW - 3 * HOUR, NOW - 2 * HOUR, now=NOW)  # the other one was recorded days later
    then = {"period": "90", "as_of": "2026-03-02"}
    for page in (PAGE, f"{PAGE}downtimes/"):
        assert "As known on 2 Mar 2026." in said(text(desk, page, **then))
        assert "As known on" not in said(text(desk, page)).replace("As known on:", "")
        assert "As known on 4" not in said(text(desk, page, as_of="2026-03-04"))  # that is now
    assert cards(text(desk, period="90"))["downtimes"].startswith("Downtimes 2 downtimes")
    html = text(desk, **then)
    assert cards(html)["downtimes"].startswith("Downtimes 1 downtime Of 1")
    assert "/admin/figures/downtimes/?period=90&amp;as_of=2026-03-02" in html
    assert (
        "as_of=2026-03-03T00%3A00%3A00%2B00%3A00" in html
        and "as_of" not in re.findall('href="/api[^"]*', text(desk))[0]
    )
    rows = said(text(desk, f"{PAGE}downtimes/", **then))
    assert "1 in all" in rows and "2 in all" in said(text(desk, f"{PAGE}downtimes/", period="90"))
    assert "between the years 1970 and 2199" in text(desk, as_of="0001-01-01")


def test_days_are_those_of_the_product(desk: Client, busy: Shop) -> None:
    type(busy.product).objects.filter(pk=busy.product.pk).update(time_zone="Asia/Tokyo")
    read = said(text(desk, product="shop"))
    assert (
        "Days and times in Asia/Tokyo." in read
        and f"2 Mar 2026, 18:05 {Incident.objects.get().number} Down 1 h" in read
    )


def test_more_history_asks_no_more_of_the_database(desk: Client, busy: Shop) -> None:
    def asked() -> list[int]:
        counts = []
        for page in (PAGE, f"{PAGE}change_fail_rate/"):
            with CaptureQueriesContext(
                connection,
            ) as seen:
                text(desk, page)
            counts.append(len(seen))
        return counts

    before = asked()
    commits(busy, [(n, NOW + n * MINUTE) for n in range(40, 60)])
    for n in range(3):
        cause = ship(busy, f"3.{n}", at=NOW + DAY + n * HOUR, tip=45 + n)
        down(busy, NOW + DAY + n * HOUR, NOW + DAY + n * HOUR + MINUTE, caused_by=cause)
    assert asked() == before and before[0] < 60


# --- words and scales ---


@pytest.mark.parametrize(
    ("seconds", "words_of_it"),
    [
        (None, "–"), (0, "0 s"), (59, "59 s"), (90, "1 min 30 s"), (3_600, "1 h"), (12_000, "3 h 20 min"),
        (93_600, "1 d 2 h"), (86_400 * 40.5, "40 d"), (86_400 * 1_500, "1,500 d"),
    ],
)  # fmt: skip
def test_a_duration_in_words(seconds: float | None, words_of_it: str) -> None:
    assert words.duration(seconds).replace("\u00a0", " ") == words_of_it


def test_a_share_is_not_rounded_to_all_or_nothing() -> None:
    found = [words.share(value).replace("\u00a0", " ") for value in (0, 0.5, 0.99987, 1)]
    assert found == ["0 %", "50 %", "99.99 %", "100 %"] and words.share(None) == "–"


def test_a_number_is_not_rounded_to_nothing() -> None:
    assert [words.number(value) for value in (0, 0.0044, 0.014, 3.405, 1_234.5)] == [
        "0",
        "0.004",
        "0.01",
        "3.40",
        "1,234",
    ]


def test_scales_hold_what_they_are_to_show() -> None:
    for most in (5 * words.MINUTE, words.DAY, 40 * words.DAY, 2_000 * words.DAY):
        axis = by_magnitude([words.MINUTE, most])
        places = [place for place, _text in axis.marks]
        assert places == sorted(set(places)) and (places[0], places[-1]) == (axis.options["min"], axis.options["max"])
    for most in (1, 59, 3_700, 86_400, 86_400 * 20_000):
        options, marks = from_nothing(most, words.SECONDS)
        assert marks[0][0] == 0 and options["max"] == marks[-1][0] >= most and 2 <= len(marks) <= 6
    assert [text for _value, text in from_nothing(0.3, words.SHARE).marks][::4] == ["0\u00a0%", "100\u00a0%"]
    assert not from_nothing(7, "commits").marks and not from_nothing(0.2, "commits").marks  # the library marks numbers
    for values in ([], [0.0], [30.0, 40.0], [5.0, 86_400.0], [86_400.0 * 20_000]):
        options, marks = by_magnitude(values)
        assert all(options["min"] <= visible(value) <= options["max"] for value in values) and len(marks) >= 2
    assert by_magnitude([0]).marks[0][1] == "≤ 1\u00a0min"


def test_every_figure_has_its_place_and_its_words() -> None:
    placed = [name for _title, names in GROUPS for name in names]
    assert sorted(placed) == sorted(MEANINGS) == sorted(words.COUNTED)


def test_of_many_points_some_are_drawn_and_the_page_says_so(desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("releasemgmt.portal.figures.charts.MOST_POINTS", 1)
    html = text(desk)
    assert "of 2 points one in 2 is drawn" in html
