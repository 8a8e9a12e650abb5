"""The kernel: one path for every change, and nothing written when it refuses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from releasemgmt.accounts.models import Team
from releasemgmt.releases.models import Release
from releasemgmt.workflow import queries, triggers
from releasemgmt.workflow.commands import command, comment, create, edit, fire, reading, while_reading
from releasemgmt.workflow.errors import Blocked, Invalid, NotPermitted, WrongState
from releasemgmt.workflow.models import Event, Pending
from tests.factories import ProductFactory, someone

pytestmark = pytest.mark.django_db


@pytest.fixture
def gates(settings: Any) -> dict[str, list[str]]:
    """No gates but those that a test adds."""
    settings.WORKFLOW_GATES = {}
    return settings.WORKFLOW_GATES  # type: ignore[no-any-return]


@pytest.fixture
def release(gates: Any) -> Release:
    product = ProductFactory()
    author = someone("contributor", team=product.team)
    return create(Release(product=product, version="1.0", model=product.default_model, created_by=author), actor=author)


def raising_gate(obj: Release, *, now: datetime) -> list[Any]:
    raise ZeroDivisionError


def picture(release: Release) -> tuple[Any, ...]:
    return (
        *Release.objects.values_list("state", "revision", "event_seq", "event_hash").get(pk=release.pk),
        Event.objects.filter(stream=release.stream).count(),
    )


def test_a_transition_moves_the_state_and_appends_one_event(release: Release, now: datetime) -> None:
    manager = someone("release_manager", team=release.product.team)
    release = fire(release, "build", actor=manager, now=now)
    last = queries.timeline(release)[0]
    assert (release.state, release.revision, last.kind) == ("built", 2, "releases.release.build")
    assert (last.source, last.target, last.actor, last.seq) == ("planned", "built", manager, 2)
    assert Pending.objects.filter(event=last).exists()
    assert list(queries.breaks()) == []


def test_the_same_transition_again_changes_nothing(release: Release, now: datetime) -> None:
    manager = someone("release_manager", team=release.product.team)
    fire(release, "build", actor=manager, now=now)
    before = picture(release)
    assert fire(release, "build", actor=manager, now=now).state == "built"
    assert picture(release) == before


def test_a_wrong_state_says_what_is_allowed(release: Release, now: datetime) -> None:
    manager = someone("release_manager", team=release.product.team)
    before = picture(release)
    with pytest.raises(WrongState) as refused:
        fire(release, "accept", actor=manager, now=now)
    assert refused.value.allowed == ["build", "cancel"]
    assert picture(release) == before


def test_a_role_in_another_team_does_not_count(release: Release, now: datetime) -> None:
    stranger = someone("release_manager", team=ProductFactory().team)
    before = picture(release)
    with pytest.raises(NotPermitted):
        fire(release, "build", actor=stranger, now=now)
    assert picture(release) == before


def test_a_superuser_has_no_back_door(release: Release, now: datetime) -> None:
    with pytest.raises(NotPermitted):
        fire(release, "build", actor=someone(is_superuser=True), now=now)


def test_a_missing_reason_is_asked_for(release: Release, now: datetime) -> None:
    manager = someone("release_manager", team=release.product.team)
    before = picture(release)
    with pytest.raises(Invalid) as refused:
        fire(release, "cancel", actor=manager, now=now, reason=" ")
    assert list(refused.value.errors) == ["reason"]
    assert picture(release) == before


def test_a_gate_that_raises_is_closed(release: Release, gates: Any, now: datetime) -> None:
    gates["releases.Release.build"] = [f"{__name__}.raising_gate"]
    manager = someone("release_manager", team=release.product.team)
    before = picture(release)
    with pytest.raises(Blocked) as refused:
        fire(release, "build", actor=manager, now=now)
    assert [blocker.code for blocker in refused.value.blockers] == ["gate_failed"]
    assert picture(release) == before


def test_an_edit_records_the_difference_and_an_empty_one_nothing(release: Release) -> None:
    author = release.created_by
    edit(release, actor=author, changes={"title": "Spring", "train": ""})
    assert queries.timeline(release)[0].data == {"changes": {"title": ["", "Spring"]}}
    before = picture(release)
    edit(release, actor=author, changes={"title": "Spring"})
    assert picture(release) == before


def test_a_comment_leaves_the_revision(release: Release) -> None:
    comment(release, body="Looks good.", actor=release.created_by)
    assert Release.objects.get(pk=release.pk).revision == 1
    assert list(queries.breaks()) == []


def test_an_auditor_reads_and_does_not_comment(release: Release) -> None:
    before = picture(release)
    with pytest.raises(NotPermitted):
        comment(release, body="Why?", actor=someone("auditor"))
    assert picture(release) == before


@pytest.mark.parametrize("verb", ["update", "delete"])
def test_the_database_refuses_to_change_events(release: Release, verb: str) -> None:
    events = Event.objects.filter(stream=release.stream)
    with pytest.raises(DatabaseError), transaction.atomic():
        events.update(kind="forged") if verb == "update" else events._raw_delete("default")
    assert not triggers.missing(connection)


def test_a_team_is_an_aggregate_without_a_state() -> None:
    team = create(Team(key="shop", name="Shop"), actor=someone("administrator"))
    assert (team.number, team.event_seq, team.revision) == ("shop", 1, 1)


def test_a_read_asks_once_and_anew_after_a_command() -> None:
    answers = iter(range(1, 10))

    def ask() -> int:
        return while_reading("answer", lambda: next(answers))

    with reading():
        assert [ask(), ask()] == [1, 1]
        with command():
            assert [ask(), ask()] == [2, 3]
        assert [ask(), ask()] == [4, 4]
    assert [ask(), ask()] == [5, 6]
