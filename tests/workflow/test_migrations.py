"""Upgrades: what a released version left in the database is there afterwards, and no step rewrites a large table."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from psycopg import sql

from approvals.models import ApprovalPolicy, Questionnaire
from releasemgmt.catalog.models import ReleaseModel
from tests.workflow.rows import SOUND, value

ROOT = Path(__file__).parents[2]
#: The schema of the first version that others could install.
RELEASED = [
    ("accounts", "0001_initial"),
    ("approvals", "0002_shipped"),
    ("catalog", "0002_shipped"),
    ("deployments", "0001_initial"),
    ("notifications", "0001_initial"),
    ("releases", "0001_initial"),
    ("web", "0002_cache_table"),
    ("workflow", "0001_initial"),
]
OURS = {app for app, _name in RELEASED}
#: Events are a chain of hashes, which no made-up row continues; so nothing refers to one.
EMPTY = {"workflow_event", "workflow_pending", "workflow_published", "notifications_delivery"}
#: Makes the database of that version in the steps of then; `migrate` would take the step that replaces them.
MAKE_RELEASED = f"""
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
executor = MigrationExecutor(connection)
executor.loader.replace_migrations = False
executor.loader.build_graph()
executor.migrate({RELEASED})
"""
UPGRADE = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("migrate", "--check", verbosity=0)
"""
#: The schema by name: of columns, constraints, indexes and triggers.
SCHEMA = {
    "sqlite": ["SELECT type, name, coalesce(sql, '') FROM sqlite_master"],
    "postgresql": [
        "SELECT table_name, column_name, ordinal_position, data_type, character_maximum_length, is_nullable,"
        " column_default, is_identity FROM information_schema.columns WHERE table_schema = 'public'",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace",
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    ],
}
#: What takes no longer on a large table than on a small one, or only reads it.
HARMLESS = (
    migrations.CreateModel,
    migrations.AddField,
    migrations.AddIndex,
    migrations.RemoveIndex,
    migrations.AddConstraint,
    migrations.RemoveConstraint,
    migrations.AlterModelOptions,
    migrations.AlterModelManagers,
    migrations.RunPython,
)


def steps_after_the_released() -> MigrationLoader:
    """The migrations as an installation of the released version sees them: each step, not what replaces the steps."""
    recorder, released = MigrationRecorder(connection), dict(RELEASED)
    for app, name in recorder.applied_migrations():
        if app in OURS and (name > released[app] or "_squashed_" in name):
            recorder.record_unapplied(app, name)
    return MigrationLoader(connection)


def forward() -> Iterator[tuple[str, Any, str, str]]:
    """Every operation after the released schema: its app, itself, and the type of its column before and after it."""
    loader = steps_after_the_released()
    state = loader.project_state(RELEASED)
    done = {node for target in RELEASED for node in loader.graph.forwards_plan(target)}
    for leaf in loader.graph.leaf_nodes():
        for node in loader.graph.forwards_plan(leaf):
            if node in done:
                continue
            done.add(node)
            for operation in loader.graph.nodes[node].operations:
                before = column_type(state, node[0], operation)
                operation.state_forwards(node[0], state)
                if node[0] in OURS:
                    yield node[0], operation, before, column_type(state, node[0], operation)


def column_type(state: Any, app: str, operation: Any) -> str:
    """The type of the column that the operation alters, if it does."""
    if not isinstance(operation, migrations.AlterField):
        return ""
    field = state.models[app, operation.model_name.lower()].fields[operation.name]
    return "a reference" if field.is_relation else str(field.db_type(connection))


def is_wider(before: str, after: str) -> bool:
    """A text that may be longer is stored as it was."""
    lengths = [re.fullmatch(r"varchar\((\d+)\)", each) for each in (before, after)]
    return bool(lengths[0] and lengths[1] and int(lengths[0][1]) <= int(lengths[1][1]))


@pytest.mark.django_db
def test_no_step_rewrites_a_large_table_under_lock() -> None:
    for app, operation, before, after in forward():
        if isinstance(operation, migrations.AlterField):
            assert before == after or is_wider(before, after), (app, operation)
        else:
            assert isinstance(operation, HARMLESS), (app, operation)


class Installation:
    """One of the released version, of its own: a file, or a database on the server."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.name = f"upgrade_{os.getpid()}"
        self.environment = {**os.environ, "RELEASEMGMT_VAR": str(var), "DJANGO_SETTINGS_MODULE": "releasemgmt.settings"}
        if not settings.EMBEDDED:
            server = settings.DATABASES["default"]
            self.server = {"host": server["HOST"], "port": server["PORT"], "user": server["USER"]}
            self.server |= {"password": server["PASSWORD"]} if server["PASSWORD"] else {}
            self._create(server)

    def _create(self, server: Any) -> None:
        with psycopg.connect(dbname="postgres", autocommit=True, **self.server) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.name)))
        password = f":{server['PASSWORD']}" if server["PASSWORD"] else ""
        url = f"postgres://{server['USER']}{password}@{server['HOST']}:{server['PORT']}/{self.name}"
        self.environment |= {"DATABASE_URL": url, "SECRET_KEY": "x" * 50}

    def remove(self) -> None:
        if not settings.EMBEDDED:
            with psycopg.connect(dbname="postgres", autocommit=True, **self.server) as admin:
                admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self.name)))

    def run(self, script: str) -> None:
        """In a process of its own."""
        command = [sys.executable, "-c", f"import django; django.setup()\n{script}"]
        ran = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    def connect(self, other: str = "") -> Any:
        """To its database, or to another one of the same server, or file."""
        if settings.EMBEDDED:
            return sqlite3.connect(other or next(self.var.glob("*.sqlite3")))
        return psycopg.connect(dbname=other or self.name, **self.server)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    made.remove()


def plain(each: Any) -> Any:
    """What both drivers take."""
    if isinstance(each, dict | list):
        return json.dumps(each)
    if settings.EMBEDDED and isinstance(each, datetime | date | time):
        return each.isoformat(" ") if isinstance(each, datetime) else each.isoformat()
    return each


def fill(database: Any, models: list[Any]) -> dict[str, int]:
    """A row in each empty table, numbered 1, all of them referring to each other; answers the counts."""
    mark = "?" if settings.EMBEDDED else "%s"
    counts = {}
    for model in models:
        table = model._meta.db_table
        if table in EMPTY:
            continue
        there = database.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
        if not there:
            fields = {field.column: field for field in model._meta.local_concrete_fields}
            row = {column: value(field) for column, field in fields.items()}
            row |= {column: each for column, each in SOUND.get(table, {}).items() if column in fields}
            key = model._meta.pk
            row[key.column] = 1 if row[key.column] is None else row[key.column]
            names, marks = ", ".join(f'"{column}"' for column in row), ", ".join([mark] * len(row))
            values = [plain(each) for each in row.values()]
            database.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', values)
        counts[table] = max(there, 1)
    return counts


def schema(database: Any) -> set[Any]:
    """What stands in the database, whatever the order it was made in; on SQLite the order of columns is left open."""
    found = {row for query in SCHEMA[connection.vendor] for row in database.execute(query).fetchall()}
    if settings.EMBEDDED:
        return {(kind, name, *sorted(text.replace(")", "").split(", "))) for kind, name, text in found}
    return found


def shipped(database: sqlite3.Connection) -> list[Any]:
    """What every installation starts with, but for when it was written."""
    rows = []
    for model in (ReleaseModel, ApprovalPolicy, Questionnaire):
        fields = model._meta.local_concrete_fields
        columns = [str(field.column) for field in fields if field.name not in ("created_at", "updated_at")]
        rows += database.execute(f"SELECT {', '.join(columns)} FROM {model._meta.db_table} ORDER BY id").fetchall()
    return rows


@pytest.mark.django_db
def test_a_filled_database_of_the_released_version_is_brought_up_to_date(
    installation: Installation, new_database: Path
) -> None:
    loader = steps_after_the_released()
    installation.run(MAKE_RELEASED)
    old = loader.project_state(RELEASED).apps
    models = [model for model in old.get_models() if model._meta.app_label in OURS and model._meta.managed]
    with installation.connect() as database:
        if not settings.EMBEDDED:
            database.execute("SET CONSTRAINTS ALL DEFERRED")
        counts = fill(database, models)
        database.commit()
    installation.run(UPGRADE)
    new = str(new_database if settings.EMBEDDED else connection.settings_dict["NAME"])
    with installation.connect() as database, installation.connect(new) as fresh:
        for table, count in counts.items():
            assert database.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] >= count, table
        assert schema(database) == schema(fresh)
        if settings.EMBEDDED:
            assert database.execute("PRAGMA foreign_key_check").fetchall() == []
            assert shipped(database) == shipped(fresh)
