"""`import_history` once more: what was repaired or dismissed stays so, whatever the files say later."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deployments.models import QuarantinedRow
from releasemgmt.catalog.models import Product
from tests.deployments.test_import_history import commits, picture, run
from tests.factories import ProductFactory
from tests.integrations.test_history import row, written

pytestmark = pytest.mark.django_db


@pytest.fixture
def product() -> Product:
    product: Product = ProductFactory(key="shop")
    return product


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
