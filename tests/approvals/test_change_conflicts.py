"""Changes that get in each other's way: what they share, at overlapping times, kept up to date on both."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals.commands import assess, cancel, edit_change, finish, implement, revise, submit
from approvals.models import ChangeConflict, ChangeRequest
from approvals.queries import conflicts_with
from releasemgmt.workflow.commands import fire
from tests.approvals.world import World, picture
from tests.conftest import NOW
from tests.factories import ProductFactory

HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)


def at(begin: float, end: float, **fields: Any) -> dict[str, Any]:
    return {"planned_start": NOW + begin * HOUR, "planned_end": NOW + end * HOUR, **fields}


def rows() -> list[tuple[int, int | None, str, str]]:
    return list(ChangeConflict.objects.order_by("kind").values_list("change", "other", "kind", "detail"))


def test_the_same_component_environment_and_implementer_at_the_same_time(world: World) -> None:
    worker = world.someone("deployer")
    facts = {
        "components": list(world.product.components.all()),
        "environments": [world.production, world.product.environments.get(key="test")],
        "implementer": worker,
    }
    first, second = world.assessed(**facts), world.assessed(**facts)
    assert rows() == [
        (first.pk, second.pk, "component", "app"),
        (first.pk, second.pk, "environment", "production, test"),
        (first.pk, second.pk, "implementer", ""),
    ]
    for own, other in ((first, second), (second, first)):
        found = conflicts_with([own], user=world.author)
        assert [(clash.kind, clash.other) for clash in found] == [
            ("component", other), ("environment", other), ("implementer", other)
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("begin", "end", "collides"),
    [(-2, -1, False), (-2, -0.99, True), (1, 2, False), (0.99, 2, True), (-0.5, 0.5, True), (-3, 3, True)],
)
def test_intervals_are_half_open(world: World, begin: float, end: float, collides: bool) -> None:
    """The first change is planned from one hour before to one hour after."""
    world.assessed(environments=[world.production], **at(-1, 1))
    world.assessed(environments=[world.production], **at(begin, end))
    assert ChangeConflict.objects.exists() is collides


def test_what_is_not_planned_is_in_nobodys_way(world: World, now: datetime) -> None:
    world.assessed(environments=[world.production])
    never = world.emergency(environments=[world.production], planned_start=None, planned_end=None)
    submit(never, actor=world.author, now=now)
    world.assessed()
    assert rows() == []


def test_a_draft_and_what_is_over_are_in_nobodys_way(world: World, now: datetime) -> None:
    worker = world.someone("deployer")
    mine: dict[str, Any] = {"environments": [world.production], "implementer": worker}
    done, gone, draft = world.assessed(**mine), world.assessed(**mine), world.change(**mine)
    assert len(rows()) == 2
    cancel(gone, actor=world.author, now=now, reason="No.")
    assert rows() == []
    world.signed(done)
    implement(done, actor=worker, now=now)
    change = submit(draft, actor=world.author, now=now)
    assert len(rows()) == 2
    finish(done, actor=worker, now=now, outcome="successful")
    assert rows() == []
    assert change.state == "assessment"


@pytest.mark.parametrize(
    "changes",
    [{"planned_start": NOW + HOUR, "planned_end": NOW + 2 * HOUR}, {"environments": []}],
    ids=["interval", "environments"],
)
def test_an_edit_ends_and_begins_a_conflict_for_both(world: World, now: datetime, changes: dict[str, Any]) -> None:
    first, second = (world.assessed(environments=[world.production]) for _ in range(2))
    before = {name: getattr(first, name) for name in changes if name != "environments"}
    before |= {"environments": [world.production]} if "environments" in changes else {}
    assert len(conflicts_with([second], user=world.author)) == 1
    edit_change(first, changes=changes, actor=world.author, now=now)
    assert conflicts_with([second], user=world.author) == []
    edit_change(first, changes=before, actor=world.author, now=now)
    assert len(conflicts_with([second], user=world.author)) == 1


def test_another_implementer_and_component_are_noticed(world: World, now: datetime) -> None:
    worker, app = world.someone("deployer"), world.product.components.get()
    first, _ = world.assessed(implementer=worker, components=[app]), world.assessed(implementer=worker)
    assert [row[2] for row in rows()] == ["implementer"]
    edit_change(first, changes={"implementer": world.someone("deployer")}, actor=world.author, now=now)
    assert rows() == []


def test_what_stands_keeps_its_date(world: World, now: datetime) -> None:
    first, _ = (world.assessed(environments=[world.production]) for _ in range(2))
    found_at = ChangeConflict.objects.get().found_at
    edit_change(first, changes={"planned_start": NOW - 2 * HOUR}, actor=world.author, now=now + HOUR)
    assert ChangeConflict.objects.get().found_at == found_at


def test_what_rides_together_is_one_piece_of_work(world: World, now: datetime) -> None:
    release = world.release()
    first = world.assessed(environments=[world.production], releases=[release])
    world.assessed(environments=[world.production], releases=[release])
    assert rows() == []
    edit_change(first, changes={"releases": []}, actor=world.author, now=now)
    assert len(rows()) == 1
    edit_change(first, changes={"releases": [release]}, actor=world.author, now=now)
    assert rows() == []


def test_coming_back_from_draft(world: World, now: datetime) -> None:
    first, _ = (world.assessed(environments=[world.production]) for _ in range(2))
    first = revise(first, actor=world.author, now=now, reason="A typo.")
    assert rows() == []
    submit(first, actor=world.author, now=now)
    assert len(rows()) == 1
    assess(first, actor=world.manager, now=now)
    assert len(rows()) == 1


def test_a_conflict_is_news_and_blocks_nothing(world: World, now: datetime) -> None:
    worker = world.someone("deployer")
    first, second = (world.assessed(environments=[world.production], implementer=worker) for _ in range(2))
    for change in (first, second):
        world.signed(change)
        assert fire(change, "implement", actor=worker, now=now).state == "implementation"


def test_of_another_teams_change_only_that_it_is_there(world: World) -> None:
    other = World(ProductFactory())
    theirs = other.assessed(environments=[world.production], title="Secret")
    mine = world.assessed(environments=[world.production])
    (clash,) = conflicts_with([mine], user=world.author)
    assert (clash.kind, clash.detail, clash.other) == ("environment", "production", None)
    assert "Secret" not in clash.sentence and theirs.number not in clash.sentence
    everywhere = conflicts_with([mine], user=world.someone("auditor"))
    assert everywhere[0].other is None


def test_a_refusal_leaves_the_rows_alone(world: World, now: datetime) -> None:
    first, _ = (world.assessed(environments=[world.production]) for _ in range(2))
    before, stood = picture(first), rows()
    with pytest.raises(Exception, match="ends before"):
        edit_change(first, changes={"planned_end": NOW - 5 * HOUR}, actor=world.author, now=now)
    assert (picture(first), rows()) == (before, stood)


def statements(act: Any) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        act()
    return len(captured)


def test_statements_do_not_grow_with_the_conflicts(world: World, now: datetime) -> None:
    worker, app = world.someone("deployer"), world.product.components.get()
    facts: dict[str, Any] = {"environments": [world.production], "implementer": worker, "components": [app]}
    world.assessed(**facts)
    drafts = [submit(world.change(**facts), actor=world.author, now=now) for _ in range(8)]
    few = statements(lambda: assess(drafts[0], actor=world.manager, now=now))
    for draft in drafts[1:7]:
        assess(draft, actor=world.manager, now=now)
    assert statements(lambda: assess(drafts[7], actor=world.manager, now=now)) == few
    shown = ChangeRequest.objects.filter(pk__in=[drafts[0].pk])
    many = statements(lambda: conflicts_with(ChangeRequest.objects.all(), user=world.author))
    assert statements(lambda: conflicts_with(shown, user=world.author)) == many
