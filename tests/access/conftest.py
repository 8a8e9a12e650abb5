"""One world for all tests of access: it is built once, and each test rolls back what it did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.template import Template
from django.test import override_settings
from django.test.utils import _TestState

from tests.access.world import World


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The walk is about addresses and roles: one engine shows it, and it is long."""
    if connection.vendor != "sqlite":
        for item in items:
            if "tests/access/" in item.nodeid:
                item.add_marker(pytest.mark.skip(reason="walked on the embedded default"))


@pytest.fixture(autouse=True, scope="package")
def nobody_looks_at_contexts(django_test_environment: None) -> Iterator[None]:
    """Django's test client copies the context of each template, of several dozen for a page: here they just render."""
    patch = pytest.MonkeyPatch()
    patch.setattr(Template, "_render", _TestState.saved_data.template_render)  # type: ignore[attr-defined]
    yield
    patch.undo()


@pytest.fixture(scope="package")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """The world, in a transaction that ends with this folder; its gates stand open while it is built."""
    with django_db_blocker.unblock(), transaction.atomic():
        with override_settings(WORKFLOW_GATES={}, RISK_FACTS=[]):
            built = World()
        yield built
        transaction.set_rollback(True)
