"""A team whose events are heard, and somebody who causes them."""

from __future__ import annotations

from typing import Any

import pytest

from releasemgmt.accounts.models import Team, User
from tests.factories import TeamFactory, someone
from tests.notifications import world


@pytest.fixture(autouse=True)
def audiences(settings: Any) -> None:
    world.use(settings)


@pytest.fixture
def team(db: None) -> Team:
    return TeamFactory(key="shop")


@pytest.fixture
def actor(team: Team) -> User:
    return someone("release_manager", team=team, username="ada")


@pytest.fixture
def reader(team: Team) -> User:
    return someone("contributor", team=team, username="bob")
