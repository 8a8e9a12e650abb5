"""Fixtures of the whole suite: a world of leaf rows, and a flush that the append-only triggers let through."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.test import TransactionTestCase

from approvals import shipped as policies
from releasemgmt.catalog import shipped
from releasemgmt.workflow import triggers
from tests.background import ROOT, Background, Mailbox

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked `embedded` is about the installation without a server, or the same on either engine."""
    if not settings.EMBEDDED:
        for item in items:
            if item.get_closest_marker("embedded"):
                item.add_marker(pytest.mark.skip(reason="shown on the embedded default"))


def pytest_collection_finish() -> None:
    keep_what_is_there()


def keep_what_is_there() -> None:
    """It stays for the whole run: the collector of garbage need not look through it, nor look as often as it does."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(3_000, 10, 100)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """On SQLite the test database is the file of an installation: other processes find it by RELEASEMGMT_VAR."""
    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = str(tmp_path_factory.mktemp("db") / "releasemgmt.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """The database as its migrations leave it. On SQLite a copy of it stays beside it; on PostgreSQL no commit waits
    for the disk, for nobody here pulls the server's plug.
    """
    if connection.vendor == "sqlite":
        file = Path(connection.settings_dict["NAME"])
        with closing(sqlite3.connect(file)) as ours, closing(sqlite3.connect(file.with_name("new.sqlite3"))) as copy:
            ours.backup(copy)
    else:
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{connection.settings_dict["NAME"]}" SET synchronous_commit = off')
            connection.close()
    keep_what_is_there()


@pytest.fixture(scope="session")
def new_database(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite file of a new installation; who is not about its making starts from a copy."""
    if connection.vendor == "sqlite":
        return Path(connection.settings_dict["NAME"]).with_name("new.sqlite3")
    var = tmp_path_factory.mktemp("new")
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    environment = kept | {"DJANGO_SETTINGS_MODULE": "releasemgmt.settings", "RELEASEMGMT_VAR": str(var)}
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, cwd=ROOT, env=environment, check=True)
    return var / "releasemgmt.sqlite3"


@pytest.fixture(autouse=True, scope="session")
def flush_in_spite_of_triggers() -> Iterator[None]:
    """A transactional test ends with a flush; the triggers step aside for it, and only there."""
    patch = pytest.MonkeyPatch()
    patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _case: flush())
    yield
    patch.undo()


@cache
def flushed() -> list[str]:
    """The tables of models, but for what Django wrote about the models when it migrated: no test writes to those."""
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return sorted(set(tables) - {"auth_permission", "django_content_type"})


def flush() -> None:
    """Empty the database and fill in what is shipped, in one transaction: several hundred files of a TRUNCATE and the
    commits of `flush` take PostgreSQL seconds. References are checked at the end, so that any order will do.
    """
    with transaction.atomic():
        triggers.remove(connection)
        with connection.cursor() as cursor:
            for table in flushed():
                cursor.execute(f'DELETE FROM "{table}"')
        triggers.install(connection)
        shipped.insert(apps)
        policies.insert(apps)
        policies.insert_emergency(apps)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A mail server; `mailbox.mails` is what it got."""
    with Mailbox().open() as opened:
        yield opened


@pytest.fixture
def background(transactional_db: None, tmp_path: Path, mailbox: Mailbox) -> Iterator[Background]:
    """A worker and a beat on the test database, that tick until the test ends and mail to the mailbox."""
    processes = Background(tmp_path, EMAIL_URL=mailbox.url)
    processes.start()
    yield processes
    processes.stop()


@pytest.fixture
def now() -> datetime:
    """The instant at which a test's commands run."""
    return NOW
