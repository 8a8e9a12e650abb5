"""Pages by cursor: each row once, in order, forwards and backwards, whatever is equal or missing."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import date
from typing import Any

import pytest
from django.utils import timezone

from releasemgmt.catalog.models import Product
from releasemgmt.releases.commands import create_release
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import comment
from tests.factories import someone
from tests.web.world import API, Caller

RELEASES = f"{API}/releases/"
#: Seven rows: two dates twice, two rows without one.
DATES = [date(2026, 3, 1), None, date(2026, 2, 1), date(2026, 3, 1), None, date(2026, 1, 1), date(2026, 2, 1)]


@pytest.fixture
def seven(product: Product) -> list[Release]:
    author = someone("contributor", team=product.team)
    now = timezone.now()
    return [
        create_release(product=product, version=f"{n}", actor=author, now=now, target_date=day)[0]
        for n, day in enumerate(DATES)
    ]


def walk(caller: Caller, address: str | None, to: str = "next") -> list[list[str]]:
    """The version numbers of every page from an address on."""
    pages = []
    while address:
        page = caller.get(address).json()
        pages.append([row["version"] for row in page["results"]])
        address = page[to]
    return pages


def last_page(caller: Caller, address: str) -> str:
    while following := caller.get(address).json()["next"]:
        address = following
    return address


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
@pytest.mark.parametrize(
    ("ordering", "versions"),
    [
        ("created_at", "0123456"),
        ("-created_at", "6543210"),
        ("target_date", "5260314"),
        ("-target_date", "3062541"),
    ],
)
def test_every_row_is_shown_once_and_in_order_both_ways(
    manager: Caller, seven: list[Release], ordering: str, versions: str, size: int
) -> None:
    first = f"{RELEASES}?ordering={ordering}&page_size={size}"
    pages = walk(manager, first)
    assert "".join(version for page in pages for version in page) == versions
    assert all(len(page) == size for page in pages[:-1])
    back = walk(manager, last_page(manager, first), "previous")
    assert back == pages[::-1] or "".join(v for page in reversed(back) for v in page) == versions


def test_the_newest_come_first_without_a_word(manager: Caller, seven: list[Release]) -> None:
    assert walk(manager, RELEASES) == [["6", "5", "4", "3", "2", "1", "0"]]


def test_rows_that_were_bulk_loaded_at_one_instant_are_all_shown(manager: Caller, seven: list[Release]) -> None:
    Release.objects.update(created_at=timezone.now())
    assert sorted(v for page in walk(manager, f"{RELEASES}?page_size=2") for v in page) == list("0123456")


def test_a_row_that_arrives_meanwhile_moves_none_of_the_others(manager: Caller, seven: list[Release]) -> None:
    first = manager.get(f"{RELEASES}?page_size=3").json()
    manager.post(RELEASES, {"product": "shop", "version": "new"})
    assert [row["version"] for row in manager.get(first["next"]).json()["results"]] == ["3", "2", "1"]


def test_a_filter_stays_on_every_page(manager: Caller, seven: list[Release]) -> None:
    pages = walk(manager, f"{RELEASES}?search=1&state=planned&state=built&page_size=1")
    assert pages == [["1"]]
    assert walk(manager, f"{RELEASES}?state=built") == [[]]


def test_an_empty_list_has_no_other_page(manager: Caller) -> None:
    assert manager.get(RELEASES).json() == {"next": None, "previous": None, "results": []}


HOSTILE: list[Any] = [
    [],
    ["f"],
    ["f", "soon", 1],
    ["f", "2026-01-01T00:00:00", 1],
    ["f", "0001-01-01T00:00:00+14:00", 1],
    ["f", "2026-01-01T00:00:00Z", "x"],
    ["f", "2026-01-01T00:00:00Z", 2**63],
    ["f", "2026-01-01T00:00:00Z", 1e400],
    ["f", "2026-01-01T00:00:00Z", None],
    ["f", None, 1],
    ["f", {"a": 1}, [1]],
    ["f", "\x00", 1],
    {"f": 1},
    "abc",
    7,
    None,
]


@pytest.mark.parametrize("cursor", HOSTILE, ids=lambda value: json.dumps(value)[:40])
def test_a_cursor_of_ones_own_making_is_400(manager: Caller, seven: list[Release], cursor: Any) -> None:
    made = urlsafe_b64encode(json.dumps(cursor).encode()).decode()
    document = manager.refused("get", f"{RELEASES}?cursor={made}", status=400)
    assert document["errors"][0]["pointer"] == "/cursor"


def test_a_deep_page_begins_where_the_index_says(
    manager: Caller, seven: list[Release], django_assert_num_queries: Any
) -> None:
    address = last_page(manager, f"{RELEASES}?page_size=3")
    with django_assert_num_queries(4) as asked:
        manager.get(address)
    assert '"created_at" <=' in asked.captured_queries[-2]["sql"]


def test_a_timeline_is_read_newest_first_page_by_page(manager: Caller, release: Release) -> None:
    for n in range(5):
        comment(release, body=f"{n}", actor=manager.user)
    first = manager.get(f"{RELEASES}{release.number}/events/?page_size=4").json()
    second = manager.get(first["next"]).json()
    assert [event["seq"] for event in first["results"] + second["results"]] == [6, 5, 4, 3, 2, 1]
    assert manager.get(second["previous"]).json()["results"] == first["results"]
    said = manager.get(f"{RELEASES}{release.number}/comments/").json()["results"]
    assert [event["data"]["body"] for event in said] == ["4", "3", "2", "1", "0"]
