"""How many statements a request takes; BEGIN, COMMIT, savepoints and the idempotency row are not counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from releasemgmt.catalog.models import Product
from releasemgmt.releases.commands import create_release
from releasemgmt.releases.models import Release
from tests.web.world import API, Caller

RELEASES = f"{API}/releases/"
NOT_COUNTED = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK")


def statements(request: Callable[[], Any], *, expect: int) -> list[str]:
    """What one request asks of the database."""
    with CaptureQueriesContext(connection) as asked:
        answer = request()
    assert answer.status_code == expect, answer.content
    found = [query["sql"] for query in asked.captured_queries]
    return [sql for sql in found if not sql.startswith(NOT_COUNTED) and "web_idempotentrequest" not in sql]


def test_a_create_takes_at_most_10(manager: Caller, product: Product) -> None:
    body = {"product": "shop", "version": "2.0", "title": "Summer"}
    asked = statements(lambda: manager.post(RELEASES, body, headers={"Idempotency-Key": "k"}), expect=201)
    assert len(asked) <= 10, asked


def test_a_transition_takes_at_most_8_beside_its_gates(manager: Caller, release: Release, no_gates: Any) -> None:
    path = f"{RELEASES}{release.number}/transitions/build/"
    asked = statements(lambda: manager.post(path, {}, headers={"Idempotency-Key": "k"}), expect=200)
    assert len(asked) <= 8, asked


def test_a_list_of_25_takes_at_most_4(manager: Caller, product: Product) -> None:
    for n in range(30):
        create_release(product=product, version=f"{n}", actor=manager.user, now=timezone.now())
    asked = statements(lambda: manager.get(f"{RELEASES}?product=shop&state=planned"), expect=200)
    assert len(asked) <= 4, asked
    of_200 = statements(lambda: manager.get(f"{RELEASES}?page_size=200"), expect=200)
    assert len(of_200) == len(asked)
