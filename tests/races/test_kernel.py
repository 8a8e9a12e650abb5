"""Many threads on one record: one transition, one chain without a gap, on both engines."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from django.db import connection

from releasemgmt.releases.models import Release
from releasemgmt.workflow import queries
from releasemgmt.workflow.commands import comment, create, fire
from releasemgmt.workflow.errors import WrongState
from releasemgmt.workflow.models import Event
from tests.factories import ProductFactory, someone

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def release(settings: Any) -> Release:
    settings.WORKFLOW_GATES = {}
    product = ProductFactory()
    author = someone("contributor", team=product.team)
    return create(Release(product=product, version="1.0", model=product.default_model, created_by=author), actor=author)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Run every act in a thread of its own, all released at the same moment; answers results and exceptions."""
    gate = threading.Barrier(len(acts))
    results: list[Any] = [None] * len(acts)

    def run(number: int, act: Callable[[], Any]) -> None:
        gate.wait()
        try:
            results[number] = act()
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_eight_who_build_at_once_make_one_event(release: Release, now: datetime) -> None:
    manager = someone("release_manager", team=release.product.team)
    results = at_once(*[partial(fire, release, "build", actor=manager, now=now)] * 8)
    assert [result.state for result in results] == ["built"] * 8
    assert Event.objects.filter(stream=release.stream, kind="releases.release.build").count() == 1


def test_of_two_ways_out_of_a_state_one_is_taken(release: Release, now: datetime) -> None:
    manager = someone("release_manager", team=release.product.team)
    for n in range(10):
        fresh = create(
            Release(product=release.product, version=f"2.{n}", model=release.model, created_by=manager), actor=manager
        )
        fire(fresh, "build", actor=manager, now=now)
        fire(fresh, "pass_integration", actor=manager, now=now)
        results = at_once(
            partial(fire, fresh, "accept", actor=manager, now=now),
            partial(fire, fresh, "rework", actor=manager, now=now, reason="no"),
        )
        kinds = list(queries.timeline(fresh).values_list("kind", flat=True))
        refused = [result for result in results if isinstance(result, WrongState)]
        # From accepted a release can be sent back too, so both may win one after the other, never at once.
        assert len(refused) == 1 or kinds[:2] == ["releases.release.rework", "releases.release.accept"]


def test_comments_of_many_threads_keep_the_chain_whole(release: Release) -> None:
    author = release.created_by
    at_once(*[partial(comment, release, body=f"{n}", actor=author) for n in range(12)])
    assert queries.timeline(release).count() == 13
    assert list(queries.breaks()) == []
