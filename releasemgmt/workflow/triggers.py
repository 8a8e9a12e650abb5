"""Database triggers that keep events append-only, on both engines.

Every migration that touches Event ends with `install`: SQLite rebuilds the table then and drops its triggers silently.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

TABLE = "workflow_event"
NAMES = {
    "sqlite": ("workflow_event_no_update", "workflow_event_no_delete"),
    "postgresql": ("workflow_event_no_change", "workflow_event_no_truncate"),
}
POSTGRESQL = f"""
CREATE OR REPLACE FUNCTION workflow_event_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'events are append-only'; END $$;
CREATE TRIGGER workflow_event_no_change BEFORE UPDATE OR DELETE ON {TABLE}
  FOR EACH ROW EXECUTE FUNCTION workflow_event_refuse();
CREATE TRIGGER workflow_event_no_truncate BEFORE TRUNCATE ON {TABLE}
  FOR EACH STATEMENT EXECUTE FUNCTION workflow_event_refuse();
"""


def install(connection: BaseDatabaseWrapper) -> None:
    """Put the triggers on; those that are there already are replaced."""
    remove(connection)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(POSTGRESQL)
            return
        for name, verb in zip(NAMES["sqlite"], ("UPDATE", "DELETE"), strict=True):
            cursor.execute(
                f"CREATE TRIGGER {name} BEFORE {verb} ON {TABLE} "
                "BEGIN SELECT RAISE(ABORT, 'events are append-only'); END"
            )


def remove(connection: BaseDatabaseWrapper) -> None:
    """Take the triggers off: for a restore or a test's flush, never for anything else."""
    on = f" ON {TABLE}" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        for name in NAMES[connection.vendor]:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{on}")


def missing(connection: BaseDatabaseWrapper) -> list[str]:
    """The triggers that are not there; `/readyz` and a test ask."""
    catalogue = (
        "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND tgenabled <> 'D'"
        if connection.vendor == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(catalogue, [TABLE])
        there = {row[0] for row in cursor.fetchall()}
    return [name for name in NAMES[connection.vendor] if name not in there]


def install_in_migration(_apps: Any, schema_editor: Any) -> None:
    """`install` as RunPython calls it."""
    install(schema_editor.connection)


def remove_in_migration(_apps: Any, schema_editor: Any) -> None:
    """`remove` as RunPython calls it, for the way back."""
    remove(schema_editor.connection)
