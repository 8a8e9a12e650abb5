"""`import_history` once more: what was repaired or dismissed stays so, whatever the files say later."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.test import Client

from deployments.commands.quarantine import dismiss_row, repair_row
from deployments.models import Incident, QuarantinedRow
from releasemgmt.accounts.commands import system
from releasemgmt.catalog.models import Product
from releasemgmt.releases.models import KnownDefect
from tests.deployments.test_import_history import commits, owned, picture, run, tag, tags
from tests.factories import ProductFactory, someone
from tests.integrations.test_history import incident, row, written

pytestmark = pytest.mark.django_db


@pytest.fixture
def product() -> Product:
    product: Product = ProductFactory(key="shop")
    return product


def fix(release: str) -> dict[str, Any]:
    return {"release": release, "date": "2024-03-01", "kind": "defect_fixed", "text": "Crash", "issues": []}


def ended(**fields: Any) -> dict[str, Any]:
    return {**incident(**fields), "last_recorded_at": "2024-03-03T10:00:00Z"}


class TestSettled:
    def test_a_dismissed_row_stays_out_though_it_could_be_used_by_now(self, product: Product, tmp_path: Path) -> None:
        late = tags(tmp_path, tag("1.0", 1, day=1), tag("2.0", 2, day=9))
        fixes = written(tmp_path, "shop.changelog.ndjson", [fix("1.5")])
        with time_machine.travel(datetime(2024, 3, 5, tzinfo=UTC), tick=False):
            run(late, fixes)
            for each in QuarantinedRow.objects.all():
                dismiss_row(each, reason="Never shipped.", actor=system(), now=datetime.now(UTC))
        run(late)
        assert list(owned()) == ["1.0"]
        run(tags(tmp_path, tag("1.5", 3, day=2)), fixes, strict=True)
        assert list(owned()) == ["1.0", "1.5"]
        assert not KnownDefect.objects.exists()

    def test_a_repaired_row_counts_once_though_it_could_be_used_by_now(self, product: Product, tmp_path: Path) -> None:
        fixes = written(tmp_path, "shop.changelog.ndjson", [fix("1.5")])
        run(tags(tmp_path, tag("1.5.0", 1, day=1)), fixes)
        text = json.dumps(fix("1.5.0"))
        repair_row(QuarantinedRow.objects.get(), text=text, actor=system(), now=datetime.now(UTC))
        run(tags(tmp_path, tag("1.5", 2, day=2)), fixes)
        assert KnownDefect.objects.count() == 1

    def test_of_rows_that_say_the_same_as_many_as_are_settled_stay_out(self, product: Product, tmp_path: Path) -> None:
        fixes = written(tmp_path, "shop.changelog.ndjson", [fix("1.5")] * 3)
        run(fixes)
        dismiss_row(QuarantinedRow.objects.all()[1], reason="Twice.", actor=system(), now=datetime.now(UTC))
        assert "2 rows can't be used, 0 of them new." in run(fixes)[0]
        assert QuarantinedRow.objects.count() == 3
        run(tags(tmp_path, tag("1.5", 1, day=1)), fixes)
        assert KnownDefect.objects.count() == 2

    def test_a_dismissed_row_takes_no_good_one_of_the_same_text_with_it(self, product: Product, tmp_path: Path) -> None:
        given = tags(tmp_path, tag("1.0", 1, day=1), tag("1.0", 1, day=1))
        run(given)
        dismiss_row(QuarantinedRow.objects.get(), reason="Twice.", actor=system(), now=datetime.now(UTC))
        assert run(given)[0] == "1 past releases, 0 of them new.\n"

    def test_another_cut_of_a_file_is_told_though_one_was_dismissed(self, product: Product, tmp_path: Path) -> None:
        path = tmp_path / "shop.releases.ndjson.gz"
        for n, rows in enumerate(([tag("1.0", 1, day=1)], [tag("1.0", 1, day=1), tag("2.0", 2, day=2)]), start=2):
            path.write_bytes(gzip.compress("".join(json.dumps(each) + "\n" for each in rows).encode())[:-4])
            for _run in range(2):
                assert f"releases, line {n}: The file is cut off or damaged here" in run(path)[1]
            waiting = QuarantinedRow.objects.get(outcome="")
            dismiss_row(waiting, reason="Fetched again.", actor=system(), now=datetime.now(UTC))
            assert "rows can't be used" not in run(path)[0]


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
