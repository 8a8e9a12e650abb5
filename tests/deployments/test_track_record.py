"""How the deployments under a release model went, as its pre-approval looks at it."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine

from deployments.queries import track_record
from releasemgmt.catalog.models import ReleaseModel
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import fire
from tests.deployments.world import Shop, at
from tests.factories import EnvironmentFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def model(db: None) -> ReleaseModel:
    return ReleaseModel.objects.get(key="normal")


def ship(shop: Shop, release: Release, minute: int, **facts: Any) -> None:
    with time_machine.travel(at(minute), tick=False):
        times = {"started_at": at(minute - 1), "finished_at": at(minute), "now": at(minute)}
        shop.report(release=release, **{**times, **facts})


def test_failed_ones_and_those_that_were_rolled_back_went_wrong(shop: Shop, model: ReleaseModel) -> None:
    assert track_record(model) == (0, 0)
    first, second, third = (shop.release(f"{n}.0") for n in range(1, 4))
    ship(shop, first, 1)
    ship(shop, second, 2, status="failed")
    ship(shop, second, 3)
    assert track_record(model) == (3, 1)
    ship(shop, first, 4, kind="rollback")
    assert track_record(model) == (3, 2)
    ship(shop, third, 5)
    ship(shop, third, 6, status="cancelled")
    ship(shop, third, 7, environment=shop.test)
    assert track_record(model) == (4, 2)


def test_one_that_is_deployed_again_after_its_rollback_counts_as_it_went_then(shop: Shop, model: ReleaseModel) -> None:
    first, second = shop.release("1.0"), shop.release("2.0")
    ship(shop, first, 1)
    ship(shop, second, 2)
    ship(shop, first, 3, kind="rollback")
    with time_machine.travel(at(4), tick=False):
        release = fire(second, "rework", actor=shop.manager, now=at(4), reason="It crashed")
        for name in ("build", "pass_integration", "accept"):
            release = fire(release, name, actor=shop.manager, now=at(4))
    ship(shop, release, 5)
    assert track_record(model) == (3, 1)


def test_only_the_last_twenty_and_only_those_under_the_model_count(
    shop: Shop, model: ReleaseModel, django_assert_num_queries: Any
) -> None:
    EnvironmentFactory(key="production")
    release = shop.release("1.0")
    for minute in range(1, 6):
        ship(shop, release, minute, status="failed")
    for minute in range(6, 26):
        ship(shop, release, minute)
    with django_assert_num_queries(2):
        assert track_record(model) == (20, 0)
    assert track_record(ReleaseModel.objects.get(key="continuous")) == (0, 0)
