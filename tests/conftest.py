"""Fixtures of the whole suite: a world of leaf rows, and a flush that the append-only triggers let through."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import TransactionTestCase

from approvals import shipped as policies
from releasemgmt.catalog import shipped
from releasemgmt.workflow import triggers

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """On SQLite the test database is a file: several connections must see it, as several processes do."""
    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = str(tmp_path_factory.mktemp("db") / "test.sqlite3")


@pytest.fixture(autouse=True, scope="session")
def flush_in_spite_of_triggers() -> Iterator[None]:
    """A transactional test ends with a flush, which is a DELETE; the triggers step aside for it, and only there."""
    patch = pytest.MonkeyPatch()
    flush = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]

    def flush_and_ship(self: Any) -> None:
        triggers.remove(connection)
        try:
            flush(self)
        finally:
            triggers.install(connection)
        shipped.insert(apps)
        policies.insert(apps)

    patch.setattr(TransactionTestCase, "_fixture_teardown", flush_and_ship)
    yield
    patch.undo()


@pytest.fixture
def now() -> datetime:
    """The instant at which a test's commands run."""
    return NOW
