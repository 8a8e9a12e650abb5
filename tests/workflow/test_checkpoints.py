"""Signed checkpoints: what the database alone can't show, a file outside of it does."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from releasemgmt.notifications.fanout import drain
from releasemgmt.releases.commands import create_release
from releasemgmt.releases.models import Release
from releasemgmt.web.tasks import write_checkpoint
from releasemgmt.workflow import checkpoints, signatures
from releasemgmt.workflow.commands import comment
from releasemgmt.workflow.models import Event
from releasemgmt.workflow.queries import breaks
from tests.conftest import NOW
from tests.factories import ProductFactory, someone
from tests.workflow.tampering import delete, rewrite, set_head

pytestmark = pytest.mark.django_db

KEY = signatures.new_key()
PUBLIC = signatures.public_key(KEY)
HOUR = timedelta(hours=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints.jsonl"


@pytest.fixture
def release() -> Release:
    """A release with four events, all published."""
    product = ProductFactory()
    release, _ = create_release(product=product, version="1.0", actor=someone("contributor"), now=NOW)
    for body in ("First", "Second", "Third"):
        say(release, body)
    return Release.objects.get(pk=release.pk)


def say(release: Release, body: str) -> None:
    comment(release, body=body, actor=release.created_by)
    drain(now=NOW)


def write(file: Path, **options: Any) -> int:
    return checkpoints.append(file, key=KEY, now=options.pop("now", NOW), **options)


def faults(file: Path, public_key: str = PUBLIC) -> list[tuple[str, int, str]]:
    with file.open("rb") as lines:
        return [(each.stream, each.seq, each.reason) for each in checkpoints.faults(lines, public_key=public_key)]


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def test_a_line_holds_the_heads_of_the_streams_that_moved(file: Path, release: Release) -> None:
    write(file)
    say(release, "Fourth")
    write(file)
    first, second = lines(file)
    release.refresh_from_db()
    assert first["streams"][release.stream][0] == 4
    assert second["streams"] == {release.stream: [5, release.event_hash]}
    assert (first["first"], second["first"], second["last"]) == (1, first["last"] + 1, Event.objects.count())
    assert faults(file) == []


def test_where_nothing_moved_a_line_says_so(file: Path, release: Release) -> None:
    assert (write(file), write(file)) == (1, 1)
    assert lines(file)[1]["streams"] == {}
    assert faults(file) == []


def test_a_truncated_tail_is_named_though_the_head_was_rewritten(file: Path, release: Release) -> None:
    write(file)
    delete(release.stream, 3, 4)
    set_head(release)
    assert list(breaks()) == []
    seen = f"checkpoint 1 of {NOW.isoformat()} saw it, and it is gone"
    assert faults(file) == [(release.stream, 4, seen)]


def test_a_wholly_rewritten_stream_is_named(file: Path, release: Release) -> None:
    write(file)
    rewrite(release)
    assert list(breaks()) == []
    seen = f"checkpoint 1 of {NOW.isoformat()} saw another hash: the stream was rewritten"
    assert faults(file) == [(release.stream, 4, seen)]


def test_everything_gone_is_everything_named(file: Path, release: Release) -> None:
    write(file)
    delete(release.stream, 1, 2, 3, 4)
    set_head(release)
    assert [stream for stream, *_ in faults(file)] == [release.stream]


def test_many_events_take_several_lines(file: Path, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "EVENTS_A_LINE", 2)
    monkeypatch.setattr(checkpoints, "ROWS_A_STATEMENT", 1)
    monkeypatch.setattr(checkpoints, "AT_THE_END", 16)
    assert write(file) == -(-Event.objects.count() // 2)
    assert faults(file) == []


@pytest.mark.parametrize("place", [0.01, 0.3, 0.6, 0.9])
def test_a_byte_changed_in_the_file_is_found(file: Path, release: Release, place: float) -> None:
    write(file)
    text = bytearray(file.read_bytes())
    text[int(len(text) * place)] ^= 1
    file.write_bytes(text)
    assert [(what, number) for what, number, _ in faults(file)] == [("checkpoint", 1)]


def test_a_line_taken_out_is_found(file: Path, release: Release) -> None:
    for _ in range(3):
        write(file)
    first, _second, third = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + third)
    assert faults(file) == [("checkpoint", 2, "it does not follow the line before it")]
    file.write_bytes(third)
    assert faults(file)[0][:2] == ("checkpoint", 1)


def test_a_line_signed_with_another_key_is_found(file: Path, release: Release) -> None:
    checkpoints.append(file, key=signatures.new_key(), now=NOW)
    assert faults(file) == [("checkpoint", 1, "it is not signed with this key")]
    assert faults(file, public_key="") == []


def test_a_torn_line_is_named_and_nothing_is_written_after_it(file: Path, release: Release) -> None:
    write(file)
    file.write_bytes(file.read_bytes()[:-10])
    assert faults(file) == [("checkpoint", 1, "the line is not whole")]
    with pytest.raises(ValueError, match="begin another one"):
        write(file)


def test_the_tick_writes_once_an_hour(file: Path, release: Release, settings: Any) -> None:
    write_checkpoint()
    settings.CHECKPOINT_KEY = KEY
    write_checkpoint()
    assert not file.exists()
    settings.CHECKPOINT_FILE = file
    write_checkpoint()
    write_checkpoint()
    assert len(lines(file)) == 1


def test_a_line_is_due_when_the_last_is_an_hour_old(file: Path, release: Release) -> None:
    times = [NOW, NOW + HOUR / 2, NOW + HOUR, NOW + 2 * HOUR]
    assert [write(file, now=at, after=HOUR) for at in times] == [1, 0, 1, 1]


def test_the_commands(file: Path, release: Release, settings: Any) -> None:
    with pytest.raises(CommandError, match="Set CHECKPOINT_KEY"):
        call_command("checkpoint", file=file)
    settings.CHECKPOINT_KEY = "no key"
    with pytest.raises(CommandError, match="--new-key"):
        call_command("checkpoint", file=file)
    settings.CHECKPOINT_KEY = KEY
    call_command("checkpoint", file=file, stdout=StringIO())
    out, err = StringIO(), StringIO()
    call_command("verify_audit", checkpoints=file, stdout=out)
    assert "The checkpoints agree and are signed." in out.getvalue()
    delete(release.stream, 4)
    set_head(release)
    with pytest.raises(CommandError, match="1 places"):
        call_command("verify_audit", checkpoints=file, public_key=PUBLIC, stderr=err)
    assert err.getvalue().startswith(f"{release.stream} event 4: checkpoint 1 of")


def test_a_new_key_signs(file: Path) -> None:
    out = StringIO()
    call_command("checkpoint", new_key=True, stdout=out)
    key = out.getvalue().splitlines()[0].removeprefix("CHECKPOINT_KEY=")
    signature = signatures.sign(b"text", key=key)
    assert signatures.public_key(key) in out.getvalue()
    assert signatures.is_signed(b"text", signature, public_key=signatures.public_key(key))
    assert not signatures.is_signed(b"test", signature, public_key=signatures.public_key(key))
