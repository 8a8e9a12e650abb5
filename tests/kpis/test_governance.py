"""Figures from rounds and the event log: what was asked for and decided, of this product and of no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine

from approvals.commands import edit_change, submit
from deployments.commands import report_deployment
from releasemgmt.workflow.commands import command, fire, lock, record
from tests.approvals.world import World, say
from tests.conftest import NOW
from tests.kpis.world import DAY, MINUTE, by_bucket, figures

HOUR = 60 * MINUTE


@pytest.fixture
def worlds(db: None, settings: Any) -> Iterator[list[World]]:
    """Two products of two teams, a day old; the gates of their releases are open."""
    settings.WORKFLOW_GATES = {
        key: [path for path in paths if not path.startswith("releasemgmt.")]
        for key, paths in settings.WORKFLOW_GATES.items()
    }
    with time_machine.travel(NOW - DAY, tick=False) as clock:
        found = [World(), World()]
        clock.move_to(NOW)
        yield found


def decide(world: World, **hours: int) -> None:
    """Changes whose rounds were decided so many hours after they were opened: approved by one, rejected by all."""
    for decision, hour in hours.items():
        round = world.round(world.assessed(title=decision))
        for voter in (world.signer,) if decision == "approve" else (world.signer, world.manager):
            say(round, voter, decision, now=NOW + hour * HOUR)


def deploy(world: World, version: str) -> None:
    release = world.release(version)
    world.signed(release)
    release = fire(release, "accept", actor=world.manager, now=NOW)
    facts: dict[str, Any] = {"environment": world.production, "status": "succeeded", "started_at": NOW}
    report_deployment(release=release, finished_at=NOW, actor=world.someone("deployer"), now=NOW, **facts)
    with command():
        record(lock(release), "deployments.override.use", actor=world.manager)


def test_what_was_decided_used_and_walked_is_told_of_its_own_product(worlds: list[World]) -> None:
    ours, theirs = worlds
    decide(ours, approve=2, reject=4)
    submit(ours.emergency(), actor=ours.author, now=NOW)
    decide(theirs, approve=5)
    for version in ("1", "2"):
        deploy(theirs, version)
    expected: list[tuple[World, dict[str, tuple[Any, int]]]] = [
        (ours, {"emergency_changes": (1 / 3, 3), "first_try_sign_offs": (1 / 2, 2), "overrides_used": (0, 0)}),
        (theirs, {"emergency_changes": (0, 1), "first_try_sign_offs": (1, 3), "overrides_used": (2, 2)}),
    ]
    for world, wanted in expected:
        for product in (world.product, None):  # of all that its people see
            found = figures(world.manager, product=product)
            assert {name: (found[name]["value"], found[name]["n"]) for name in wanted} == wanted
    latency = figures(ours.manager, product=ours.product)["approval_latency"]
    assert (latency["mean"], latency["n"], latency["open"]["count"]) == (3 * 3600, 2, 1)
    walked = [figures(world.manager, product=world.product)["time_in_state"]["n"] for world in worlds]
    assert walked == [0, 2]


def test_each_counts_on_the_day_on_which_it_happened(worlds: list[World]) -> None:
    ours = worlds[0]
    decide(ours, approve=2, reject=28)
    deploy(ours, "1")
    days = {
        name: [each[name]["n"] for _begin, each in by_bucket(ours.manager, "day", product=ours.product)][3:5]
        for name in ("first_try_sign_offs", "emergency_changes", "overrides_used", "releases_reworked")
    }
    assert days == {
        "first_try_sign_offs": [2, 1],
        "emergency_changes": [2, 0],
        "overrides_used": [1, 0],
        "releases_reworked": [1, 0],
    }


def test_what_a_change_was_thought_to_be_counts_as_of_then(worlds: list[World]) -> None:
    ours = worlds[0]
    change = submit(ours.change(), actor=ours.author, now=NOW)
    later: dict[str, Any] = {"actor": ours.manager, "now": NOW + 2 * HOUR}
    with time_machine.travel(NOW + 2 * HOUR, tick=False):
        change = fire(change, "revise", reason="It burns.", **later)
        edit_change(change, changes={"type": "emergency", "incident_reference": "INC-1"}, **later)
    known = [figures(ours.manager, as_of=NOW + n * HOUR)["emergency_changes"]["value"] for n in (1, 3)]
    assert known == [0, 1]
