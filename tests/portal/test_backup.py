"""Backups: what one engine wrote, a new database of either engine holds, to the last byte of each chain."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from deployments import queries
from deployments.commands import agree_to_resume
from deployments.models import LineStop
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.portal import backup
from releasemgmt.workflow.models import Event
from tests.access.world import World
from tests.factories import EnvironmentFactory, ProductFactory, TeamFactory, UserFactory, someone

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[2]
#: What the events of the restore are written to, and the line that it stops.
HEADS = {"workflow_event", "workflow_pending", "accounts_user", "catalog_product", "deployments_linestop"}
RESTORING = {"portal.backup.restore", "deployments.line.stop"}


@pytest.fixture
def file(tmp_path: Path, now: datetime) -> Path:
    """A backup of a small world."""
    ProductFactory(key="shop", team=TeamFactory(key="shop", name="Läden “A”"))
    path = tmp_path / "backup.gz"
    backup.write(path, now=now)
    return path


@pytest.fixture
def elsewhere(tmp_path: Path, new_database: Path) -> dict[str, str]:
    """The environment of another installation, on SQLite, with nothing in it."""
    var = tmp_path / "elsewhere"
    var.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    environment = kept | {"DJANGO_SETTINGS_MODULE": "releasemgmt.settings", "RELEASEMGMT_VAR": str(var)}
    shutil.copy(new_database, var / "releasemgmt.sqlite3")
    return environment


@pytest.fixture(scope="module")
def copied(django_db_setup: None) -> Iterator[str]:
    """The name of a copy of the test's PostgreSQL database, made while nobody is at work in it."""
    if connection.vendor != "postgresql":
        pytest.skip("runs where DATABASE_URL names a server")
    connection.close()
    ours = connection.settings_dict["NAME"]
    server = psycopg.connect(**{**connection.get_connection_params(), "dbname": "postgres"}, autocommit=True)
    with closing(server):
        server.execute(f'DROP DATABASE IF EXISTS "{ours}_restored"')
        server.execute(f'CREATE DATABASE "{ours}_restored" TEMPLATE "{ours}"')
        yield f"{ours}_restored"
        server.execute(f'DROP DATABASE "{ours}_restored" WITH (FORCE)')


@pytest.fixture
def on_postgresql(elsewhere: dict[str, str], copied: str) -> dict[str, str]:
    """The environment of another installation, on PostgreSQL, with nothing in it."""
    before, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    kept = {key: os.environ[key] for key in ("REDIS_URL", "SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS")}
    return elsewhere | kept | {"DATABASE_URL": f"{before}/{copied}"}


def manage(environment: dict[str, str], *arguments: str) -> str:
    run = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def rows(path: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for line in lines(path):
        if "table" in line:
            found.setdefault(line["table"], []).extend(line["rows"])
    return found


def test_a_new_database_holds_every_row_of_the_backup(elsewhere: dict[str, str], tmp_path: Path, now: datetime) -> None:
    with override_settings(WORKFLOW_GATES={}, RISK_FACTS=[]):
        World()
    written = tmp_path / "backup.gz"
    summary = backup.write(written, now=now)
    assert len(rows(written)) > 40

    said = manage(elsewhere, "restore", str(written))

    assert f"{summary.rows} rows, {summary.events} of them events" in said
    assert "as they were written" in manage(elsewhere, "verify_audit")
    again = tmp_path / "again.gz"
    manage(elsewhere, "backup", str(again))
    there, before = rows(again), rows(written)
    assert {table: there[table] for table in before.keys() - HEADS} == {
        table: before[table] for table in before.keys() - HEADS
    }
    known = len(before["workflow_event"])
    assert there["workflow_event"][:known] == before["workflow_event"]
    new = there["workflow_event"][known:]
    assert all(any(kind in row for kind in RESTORING) for row in new)
    assert all(any(kind in row for row in new) for kind in RESTORING)


def test_what_sqlite_wrote_postgresql_goes_on_with(
    elsewhere: dict[str, str], on_postgresql: dict[str, str], file: Path, tmp_path: Path
) -> None:
    manage(elsewhere, "restore", str(file))
    from_sqlite = tmp_path / "sqlite.gz"
    manage(elsewhere, "backup", str(from_sqlite))

    manage(on_postgresql, "restore", str(from_sqlite))

    make_team = "from releasemgmt.accounts import commands as c; c.create_team(key='t', name='T', actor=c.system())"
    manage(on_postgresql, "shell", "-c", make_team)  # the numbers go on after the restored ones
    assert "as they were written" in manage(on_postgresql, "verify_audit")


def test_a_restore_is_an_event_of_the_system(file: Path, now: datetime) -> None:
    summary = backup.restore(file, now=now)

    event = Event.objects.get(kind="portal.backup.restore")
    assert event.actor.kind == User.Kind.SYSTEM
    assert event.data["rows"] == summary.rows
    assert event.data["made_at"] == now.isoformat()


def test_after_a_restore_nothing_starts_until_people_agree(file: Path, now: datetime, settings: Any) -> None:
    settings.WORKFLOW_GATES = {"deployments.DeploymentPlan.start": ["deployments.gates.line_runs"]}
    settings.RISK_FACTS = []
    backup.restore(file, now=now)
    product = Product.objects.get()
    stop = LineStop.objects.get()
    assert (stop.product, stop.environment, stop.stopped_by.kind) == (product, None, User.Kind.SYSTEM)
    assert now.isoformat() in stop.reason
    assert queries.line_stops(EnvironmentFactory(key="production"), product) == [stop]
    for name in ("one", "two"):
        agree_to_resume(stop, actor=someone("deployer", team=product.team, username=name), now=now)
    assert LineStop.objects.standing().count() == 0


def test_the_owner_alone_can_read_a_backup(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_backup_never_overwrites_one(file: Path, now: datetime) -> None:
    before = file.read_bytes()
    with pytest.raises(CommandError, match="never overwrites"):
        call_command("backup", str(file))
    assert file.read_bytes() == before


def test_a_backup_that_breaks_off_leaves_no_file(tmp_path: Path, now: datetime) -> None:
    with pytest.raises(FileNotFoundError):
        backup.write(tmp_path / "no such folder" / "backup.gz", now=now)
    UserFactory(username="u")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_team RENAME TO hidden")
        with pytest.raises(Exception, match="accounts_team"):
            backup.write(tmp_path / "backup.gz", now=now)
    assert not list(tmp_path.glob("*.gz*"))


def test_a_database_in_use_is_not_restored_into(file: Path, now: datetime) -> None:
    backup.restore(file, now=now)
    events = Event.objects.count()
    with pytest.raises(CommandError, match="in use"):
        call_command("restore", str(file))
    assert Event.objects.count() == events


def test_a_database_without_tables_is_not_restored_into(elsewhere: dict[str, str], file: Path) -> None:
    Path(elsewhere["RELEASEMGMT_VAR"], "releasemgmt.sqlite3").unlink()
    run = [sys.executable, "manage.py", "restore", str(file)]
    done = subprocess.run(run, cwd=ROOT, env=elsewhere, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "CommandError: This database has no tables yet: run migrate, then restore again.\n"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def name_another_table(path: Path) -> None:
    """What a flipped bit may do that leaves the file readable: its checksum is another one."""
    content = gzip.decompress(path.read_bytes()).replace(b"accounts_team", b"accounts_tear", 1)
    path.write_bytes(gzip.compress(content)[:-8] + path.read_bytes()[-8:])


def lose_a_line(path: Path) -> None:
    kept = [line for line in lines(path) if line.get("table") != "accounts_team"]
    rewrite(path, kept)


def lose_the_end(path: Path) -> None:
    rewrite(path, lines(path)[:-1])


def be_of_another_version(path: Path) -> None:
    header, *others = lines(path)
    rewrite(path, [header | {"migrations": [*header["migrations"], "approvals.9999_later"]}, *others])


def be_something_else(path: Path) -> None:
    path.write_text("a shopping list")


def be_other_json(path: Path) -> None:
    rewrite(path, [{"format": 99}])


def rewrite(path: Path, content: list[dict[str, Any]]) -> None:
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in content)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "not whole"),
        (flip_a_byte, "not whole"),
        (name_another_table, "not whole"),
        (lose_a_line, "not whole"),
        (lose_the_end, "not whole"),
        (be_something_else, "not a backup"),
        (be_other_json, "not a backup of format"),
        (be_of_another_version, "restore with that one, then upgrade"),
    ],
)
def test_a_file_that_is_not_as_it_was_written_changes_nothing(damage: Any, reason: str, file: Path) -> None:
    damage(file)
    with pytest.raises(CommandError, match=reason):
        call_command("restore", str(file))
    assert not Event.objects.exists()
    assert rows_there() == ["shop"]


def rows_there() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT key FROM accounts_team")
        return [row[0] for row in cursor.fetchall()]
