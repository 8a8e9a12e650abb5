"""`manage.py restore FILE`: fill a new database with a backup."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from releasemgmt.portal import backup
from releasemgmt.workflow import queries


class Command(BaseCommand):
    """All of the file or nothing; then every chain is verified, and what is wrong in it is named."""

    help = "Fill a new, migrated database with what `backup` wrote, from either engine."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *, file: Path, **_options: Any) -> None:
        try:
            summary = backup.restore(file, now=timezone.now())
        except (OSError, backup.Unusable) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Restored {summary.rows} rows, {summary.events} of them events, as of {summary.made_at}")
        broken = list(queries.breaks())
        for found in broken:
            self.stderr.write(f"{found.stream} event {found.seq}: {found.reason}")
        if broken:
            raise CommandError(f"Everything is restored; its audit trail was broken in {len(broken)} places before.")
