"""`manage.py serve`: the whole service as one foreground command, for one machine and nothing else installed."""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder

from releasemgmt.web import embedded


class Command(BaseCommand):
    """Migrates, makes the demo world on the first start, then runs web, worker and beat until Ctrl-C."""

    help = "Run the embedded installation: web, worker and beat on the loopback address, data in SQLite."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--empty", action="store_true", help="make no demo world on the first start")

    def handle(self, *, port: int, empty: bool, **options: Any) -> None:
        if not settings.EMBEDDED:
            raise CommandError("serve is for SQLite on one machine. With DATABASE_URL set, run web, worker and beat.")
        if not embedded.port_is_free(port):
            raise CommandError(f"Port {port} is taken. End what uses it, or choose another: make run PORT={port + 1}")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            self.prepare(demo=not empty)
        except KeyboardInterrupt:
            raise CommandError("Stopped before the service was up.", returncode=130) from None
        connections.close_all()
        sys.exit(embedded.run(port, announce=lambda: self.announce(port)))

    def prepare(self, *, demo: bool) -> None:
        """Bring the database up to date; one that is new is either made whole or not at all."""
        new = not MigrationRecorder(connection).applied_migrations()
        try:
            call_command("migrate", verbosity=0)
            if new and demo:
                self.stdout.write("First start: making the demo world")
                call_command("demo")
        except BaseException:
            if new:
                connections.close_all()
                remove_database(Path(connection.settings_dict["NAME"]))
            raise

    def announce(self, port: int) -> None:
        self.stdout.write(f"Release management is on http://{embedded.HOST}:{port}   (Ctrl-C stops it)")
        self.stdout.flush()


def remove_database(path: Path) -> None:
    """Remove a SQLite database with the files of its write-ahead log."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
