"""A shop: its product, a release, and those who call."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from releasemgmt.catalog.models import Product
from releasemgmt.releases.commands import create_release
from releasemgmt.releases.models import Release
from tests.factories import ProductFactory, someone
from tests.web.world import Caller


@pytest.fixture
def product(db: None) -> Product:
    product: Product = ProductFactory(key="shop")
    return product


@pytest.fixture
def release(product: Product) -> Release:
    author = someone("contributor", team=product.team, username="author")
    release, _new = create_release(product=product, version="1.0", actor=author, now=timezone.now())
    return release


@pytest.fixture
def manager(product: Product) -> Caller:
    return Caller(someone("release_manager", team=product.team, username="manager"))


@pytest.fixture
def administrator(db: None) -> Caller:
    return Caller(someone("administrator", username="admin"))


@pytest.fixture
def no_gates(settings: Any) -> None:
    """Every gate is open."""
    settings.WORKFLOW_GATES = {}
