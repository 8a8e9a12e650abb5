"""`import_history` once more: what was repaired or dismissed stays so, whatever the files say later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from deployments.models import Incident, QuarantinedRow
from releasemgmt.catalog.models import Product
from tests.deployments.test_import_history import commits, picture, run
from tests.factories import ProductFactory, someone
from tests.integrations.test_history import incident, row, written

pytestmark = pytest.mark.django_db


@pytest.fixture
def product() -> Product:
    product: Product = ProductFactory(key="shop")
    return product


def ended(**fields: Any) -> dict[str, Any]:
    return {**incident(**fields), "last_recorded_at": "2024-03-03T10:00:00Z"}


@pytest.mark.parametrize("said", [{"dismiss": "no\ud83d"}, {"row": "no\ud83d"}, {"dismiss": "no\0"}])
def test_what_no_database_takes_is_refused_of_a_repair(product: Product, tmp_path: Path, said: dict[str, str]) -> None:
    run(commits(tmp_path, row(0), row(1, 99)))
    before = picture(product)
    told = json.dumps({"id": QuarantinedRow.objects.get().pk, **said})
    out, err = run(repair=written(tmp_path, "repairs.ndjson", [told]))
    assert out == "0 rows settled; 1 wait.\n"
    assert err.splitlines() == [
        f"repairs.ndjson, line 1: The {'reason' if 'dismiss' in said else 'row'} holds a character that no text has."
    ]
    assert picture(product) == before


def test_what_is_listed_is_read_again_whatever_ends_a_line_elsewhere(product: Product, tmp_path: Path) -> None:
    impossible = json.dumps(ended(title="Slow\u2028search\x85", started_at="2024-03-94T10:00:00Z"), ensure_ascii=False)
    run(written(tmp_path, "shop.incidents.ndjson", [impossible]))
    listed = run(list=True)[0].replace("03-94", "03-01")
    assert run(repair=written(tmp_path, "repairs.ndjson", [listed])) == ("1 rows settled; 0 wait.\n", "")
    assert Incident.objects.get().title == "Slow\u2028search"


def test_the_pages_of_a_row_show_half_an_emoji_as_it_was_written(
    product: Product, tmp_path: Path, client: Client
) -> None:
    run(written(tmp_path, "shop.incidents.ndjson", [ended(title="Slow \ud83d")]))
    client.force_login(someone("administrator"))
    page = f"/admin/deployments/quarantinedrow/{QuarantinedRow.objects.get().pk}/change/"
    for address in (page, page + "repair/"):
        assert r"Slow \ud83d" in client.get(address).content.decode()
