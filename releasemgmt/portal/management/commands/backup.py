"""`manage.py backup FILE`: everything in one file that `manage.py restore` reads, on either engine."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from releasemgmt.portal import backup


class Command(BaseCommand):
    """The service may run meanwhile: the file holds what was there at one instant."""

    help = "Write the whole database as of now into one file, readable by its owner alone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *, file: Path, **_options: Any) -> None:
        try:
            summary = backup.write(file, now=timezone.now())
        except OSError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{file}: {summary.rows} rows, {summary.events} of them events, as of {summary.made_at}")
