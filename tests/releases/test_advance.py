"""The tick that moves releases on by themselves: what their model lets go, once, for whoever acted last."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from releasemgmt.catalog.commands import create_model
from releasemgmt.catalog.models import ReleaseModel
from releasemgmt.releases.commands import advance, edit_release, set_builds
from releasemgmt.releases.models import Release
from releasemgmt.workflow import queries
from releasemgmt.workflow.commands import comment, fire
from releasemgmt.workflow.errors import NotPermitted
from releasemgmt.workflow.models import Event
from tests.conftest import NOW
from tests.factories import ProductFactory, someone
from tests.releases.world import World
from tests.web.world import picture

pytestmark = pytest.mark.django_db
STEPS = ("build", "pass_integration", "accept")
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@pytest.fixture
def world(settings: Any) -> World:
    """A product under *continuous*; acceptance without documents and approvals, which have tests of their own."""
    gates = [gate for gate in settings.WORKFLOW_GATES["releases.Release.accept"] if "suites" in gate or "hold" in gate]
    settings.WORKFLOW_GATES = {**settings.WORKFLOW_GATES, "releases.Release.accept": gates}
    return World(ProductFactory(default_model=ReleaseModel.objects.get(key="continuous")))


def ready(world: World, version: str = "1.0") -> Release:
    """A release with a build whose integration suite passed: nothing but the tick is missing."""
    release = set_builds(world.planned(version), builds=[world.build()], actor=world.ci, now=NOW)
    world.run(release, "integration", "test")
    return release


def state(release: Release) -> str:
    return str(Release.objects.get(pk=release.pk).state)


def test_each_tick_takes_a_release_one_step_on(world: World) -> None:
    release = ready(world)
    states = []
    for second in range(4):
        moved = advance(NOW + second * SECOND)
        states.append((moved, state(release)))
    assert states == [(1, "built"), (1, "integration_tested"), (1, "accepted"), (0, "accepted")]
    events = Event.objects.filter(stream=release.stream).order_by("seq")
    fired = {(event.actor.kind, event.on_behalf_of) for event in events if event.target not in ("", "planned")}
    assert fired == {("system", world.ci)}


def test_what_the_model_does_not_let_go_stays(world: World) -> None:
    create_model(key="normal", name="Normal", by_itself=["build"], actor=someone("administrator"))
    release = set_builds(
        world.planned(model=ReleaseModel.objects.get(key="normal", version=2)),
        builds=[world.build()],
        actor=world.ci,
        now=NOW,
    )
    still = set_builds(
        world.planned("2.0", model=ReleaseModel.objects.get(key="normal", version=1)),
        builds=[world.build()],
        actor=world.ci,
        now=NOW,
    )
    before = picture(still)
    assert [advance(NOW), advance(NOW + MINUTE)] == [1, 0]
    assert state(release) == "built"
    assert picture(still) == before


def test_the_system_acts_for_whoever_moved_it_last_not_for_who_talks_about_it(world: World) -> None:
    release = ready(world)
    comment(release, body="Nice.", actor=world.manager)
    advance(NOW)
    last = Event.objects.filter(stream=release.stream).latest("seq")
    assert (last.kind, last.on_behalf_of) == ("releases.release.build", world.ci)


def test_a_held_up_release_is_left_alone_until_something_happens(world: World, django_assert_num_queries: Any) -> None:
    release = world.planned()
    before = picture(release)
    assert advance(NOW) == 0
    assert picture(release) == before
    with django_assert_num_queries(2):
        assert advance(NOW + SECOND) == 0
    set_builds(release, builds=[world.build()], actor=world.ci, now=NOW)
    assert advance(NOW + 2 * SECOND) == 1
    assert advance(NOW + 3 * SECOND) == 0
    world.run(release, "integration", "test")
    assert advance(NOW + 4 * SECOND) == 1


def test_after_a_minute_it_is_looked_at_again(world: World, settings: Any) -> None:
    release = ready(world)
    for second in range(2):
        advance(NOW + second * SECOND)
    gates = settings.WORKFLOW_GATES
    settings.WORKFLOW_GATES = {**gates, "releases.Release.accept": ["tests.releases.test_advance.never"]}
    assert advance(NOW + 2 * SECOND) == 0
    settings.WORKFLOW_GATES = gates
    assert advance(NOW + 3 * SECOND) == 0
    assert advance(NOW + 2 * SECOND + MINUTE) == 1
    assert state(release) == "accepted"


def test_a_release_on_hold_does_not_move(world: World) -> None:
    release = ready(world)
    edit_release(release, changes={"on_hold": True, "hold_reason": "Wait"}, actor=world.manager, now=NOW)
    assert advance(NOW) == 0
    edit_release(release, changes={"on_hold": False}, actor=world.manager, now=NOW)
    assert advance(NOW) == 1


def test_one_that_breaks_does_not_keep_the_others_waiting(world: World) -> None:
    first, second = ready(world, "1.0"), ready(world, "2.0")
    Release.objects.filter(pk=first.pk).update(event_seq=first.event_seq - 1)  # its next event collides
    assert advance(NOW) == 1
    assert (state(first), state(second)) == ("planned", "built")


def test_a_service_fires_what_its_model_lets_go_and_nothing_else(world: World) -> None:
    release = ready(world)
    for second in range(2):
        advance(NOW + second * SECOND)
    before = picture(release)
    with pytest.raises(NotPermitted):
        fire(release, "cancel", actor=world.ci, now=NOW, reason="No")
    assert picture(release) == before
    assert fire(release, "accept", actor=world.ci, now=NOW).state == "accepted"
    normal = World().tested()
    before = picture(normal)
    with pytest.raises(NotPermitted):
        fire(normal, "accept", actor=world.ci, now=NOW)
    assert picture(normal) == before


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one process write at a time")
def test_any_number_of_workers_move_a_release_once(world: World) -> None:
    releases = [ready(world, f"{n}.0") for n in range(5)]
    barrier = threading.Barrier(4)

    def work() -> None:
        try:
            barrier.wait()
            advance(NOW)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for second in range(3):
        advance(NOW + second * SECOND)
    fired = Event.objects.filter(stream__in=[release.stream for release in releases], actor__kind="system")
    assert Counter(fired.values_list("kind", flat=True)) == {f"releases.release.{name}": 5 for name in STEPS}
    assert {state(release) for release in releases} == {"accepted"}
    assert list(queries.breaks()) == []


def never(release: Release, *, now: Any) -> Any:
    """A gate that breaks, and so is closed."""
    raise RuntimeError("This gate breaks.")
