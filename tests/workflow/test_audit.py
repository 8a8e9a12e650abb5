"""What `verify_audit` finds: every way in which somebody with the database's password can change the past."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from releasemgmt.releases.commands import create_release
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import comment
from releasemgmt.workflow.models import Event
from releasemgmt.workflow.queries import breaks
from tests.conftest import NOW
from tests.factories import ProductFactory, someone
from tests.workflow.tampering import delete, insert_after, renumber, rewrite, set_head, swap, tamper

pytestmark = pytest.mark.django_db

CHANGED = "its content does not match its hash"
#: Every column of an event, with a value that is not there.
DAMAGE = {
    "at": "'2026-03-02 09:00:00.123456'",
    "actor_id": "(SELECT max(id) FROM accounts_user)",
    "on_behalf_of_id": "(SELECT max(id) FROM accounts_user)",
    "team_id": "77",
    "kind": "'comment.'",
    "source": "'a'",
    "target": "'b'",
    "data": """'{"body": "Second "}'""",
    "request_id": "'r'",
    "hash": "'" + "0" * 64 + "'",
}


@pytest.fixture
def release() -> Release:
    """A release with five events."""
    product = ProductFactory()
    author = someone("contributor", team=product.team)
    release, _ = create_release(product=product, version="1.0", actor=author, now=NOW)
    for body in ("First", "Second", "Third", "Fourth"):
        comment(release, body=body, actor=author)
    someone()
    return Release.objects.get(pk=release.pk)


def found(release: Release) -> list[tuple[int, str]]:
    """What is wrong with the release's stream; all others are whole."""
    broken = list(breaks())
    assert {each.stream for each in broken} <= {release.stream}
    return [(each.seq, each.reason) for each in broken]


def test_a_trail_that_nobody_touched_is_whole(release: Release) -> None:
    assert found(release) == []


@pytest.mark.parametrize("column", DAMAGE)
@pytest.mark.parametrize("seq", [1, 3, 5])
def test_a_changed_column_is_found_and_only_its_row_named(release: Release, column: str, seq: int) -> None:
    tamper(f"UPDATE workflow_event SET {column} = {DAMAGE[column]} WHERE stream = %s AND seq = %s", release.stream, seq)
    assert found(release) == [(seq, CHANGED)]


@pytest.mark.parametrize("seq", [1, 3, 5])
def test_a_changed_link_is_found(release: Release, seq: int) -> None:
    tamper("UPDATE workflow_event SET prev_hash = 'x' WHERE stream = %s AND seq = %s", release.stream, seq)
    assert found(release) == [(seq, "the hash of the event before it was changed in it")]


def test_every_column_of_an_event_is_looked_at() -> None:
    columns = {field.column for field in Event._meta.concrete_fields}
    assert columns - set(DAMAGE) == {"id", "stream", "seq", "prev_hash"}


def test_a_row_moved_to_another_stream_is_missing_there_and_wrong_here(release: Release) -> None:
    tamper("UPDATE workflow_event SET stream = 'release:0' WHERE stream = %s AND seq = 3", release.stream)
    moved, gone, *rest = breaks()
    assert (moved.stream, moved.seq) == ("release:0", 1)
    lost = [(each.stream, each.seq, each.reason) for each in (gone, *rest)]
    assert lost == [
        ("release:0", 3, CHANGED),
        ("release:0", 3, "the record of this stream is gone"),
        (release.stream, 3, "event 3 is missing"),
    ]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL keeps no unreadable value")
@pytest.mark.parametrize("at", ["2026-13-02 09:00:00", "yesterday", ""])
def test_a_byte_that_makes_a_row_unreadable_is_found(release: Release, at: str) -> None:
    tamper("UPDATE workflow_event SET at = %s WHERE stream = %s AND seq = 3", at, release.stream)
    assert found(release) == [(3, "its content can't be read")]


@given(place=st.integers(0, 5), byte=st.characters(min_codepoint=32, max_codepoint=126))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_byte_of_what_was_said_counts(release: Release, place: int, byte: str) -> None:
    forged = "Second"[:place] + byte + "Second"[place + 1 :]
    said = json.dumps({"body": forged})
    tamper("UPDATE workflow_event SET data = %s WHERE stream = %s AND seq = 3", said, release.stream)
    assert found(release) == ([] if forged == "Second" else [(3, CHANGED)])


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ((1,), [(1, "event 1 is missing")]),
        ((3,), [(3, "event 3 is missing")]),
        ((2, 3), [(2, "events 2 to 3 are missing")]),
        ((2, 4), [(2, "event 2 is missing"), (4, "event 4 is missing")]),
        ((4, 5), [(4, "events 4 to 5 are missing")]),
        ((1, 2, 3, 4, 5), [(1, "events 1 to 5 are missing")]),
    ],
)
def test_deleted_rows_are_named(release: Release, gone: tuple[int, ...], said: list[tuple[int, str]]) -> None:
    delete(release.stream, *gone)
    assert found(release) == said


def test_a_row_deleted_and_the_rest_renumbered_is_found(release: Release) -> None:
    delete(release.stream, 3)
    renumber(release.stream, 4, 3)
    renumber(release.stream, 5, 4)
    set_head(release)
    assert found(release) == [(3, "it was written as event 4"), (4, "it was written as event 5")]


def test_swapped_rows_are_both_named(release: Release) -> None:
    swap(release.stream, 2, 4)
    assert found(release) == [(2, "it was written as event 4"), (4, "it was written as event 2")]


def test_a_renumbered_row_is_named(release: Release) -> None:
    renumber(release.stream, 5, 7)
    assert (7, "it was written as event 5") in found(release)


def test_an_inserted_row_is_named(release: Release) -> None:
    insert_after(Event.objects.get(stream=release.stream, seq=5))
    assert found(release)[-1] == (6, "it was added: the record says that its last event is 5")


def test_an_inserted_row_is_named_even_if_the_record_agrees(release: Release) -> None:
    insert_after(Event.objects.get(stream=release.stream, seq=5))
    set_head(release)
    assert found(release) == [(6, "it came past the service: it is neither published nor waits to be")]


def test_a_forged_row_in_the_place_of_a_true_one_is_named(release: Release) -> None:
    delete(release.stream, 3)
    insert_after(Event.objects.get(stream=release.stream, seq=2))
    assert [seq for seq, _ in found(release)] == [3, 4]


def test_rows_before_the_first_are_named(release: Release) -> None:
    renumber(release.stream, 5, 0)
    assert found(release) == [(0, "it was added: a stream counts from 1"), (5, "event 5 is missing")]


def test_a_record_that_is_gone_is_named(release: Release) -> None:
    tamper("UPDATE workflow_event SET stream = 'team:0' WHERE stream = %s", release.stream)
    assert {each.stream for each in breaks()} == {release.stream, "team:0"}


def test_it_goes_on_after_the_first(release: Release) -> None:
    for seq in (1, 4):
        tamper("UPDATE workflow_event SET kind = 'x' WHERE stream = %s AND seq = %s", release.stream, seq)
    tamper("UPDATE workflow_event SET kind = 'x' WHERE stream = %s", f"team:{release.product.team_id}")
    assert [seq for seq, _ in found(release)] == [1, 4]


def test_a_chain_made_anew_is_what_only_a_checkpoint_shows(release: Release) -> None:
    rewrite(release)
    assert found(release) == []


def test_the_command_names_each_and_exits_with_1(release: Release) -> None:
    out, err = StringIO(), StringIO()
    call_command("verify_audit", stdout=out)
    assert out.getvalue() == f"All {Event.objects.count()} events are as they were written.\n"
    delete(release.stream, 2, 4)
    with pytest.raises(CommandError, match="2 places"):
        call_command("verify_audit", stderr=err)
    assert err.getvalue().splitlines() == [
        f"{release.stream} event 2: event 2 is missing",
        f"{release.stream} event 4: event 4 is missing",
    ]


def test_it_asks_two_statements_however_many_streams(release: Release) -> None:
    with CaptureQueriesContext(
        connection,
    ) as few:
        list(breaks())
    for version in ("1.1", "1.2"):
        create_release(product=release.product, version=version, actor=release.created_by, now=NOW)
    with CaptureQueriesContext(connection) as many:
        list(breaks())
    assert len(few) == len(many)


@pytest.mark.django_db(transaction=True)
def test_it_sees_one_state_of_a_database_that_goes_on() -> None:
    product = ProductFactory()
    author = someone("contributor", team=product.team)
    for version in range(5):
        create_release(product=product, version=str(version), actor=author, now=NOW)
    assert list(breaks()) == []
    assert not connection.in_atomic_block
    create_release(product=product, version="more", actor=author, now=NOW)
    assert list(breaks()) == []
