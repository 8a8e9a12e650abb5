"""`manage.py checkpoint`: write where every event stream stands, signed, to a file outside the database."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from releasemgmt.workflow import checkpoints, signatures


class Command(BaseCommand):
    """Appends to CHECKPOINT_FILE; `--new-key` makes the key and writes nothing."""

    help = "Append a signed checkpoint of all event streams to a file outside the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--file", type=Path, default=settings.CHECKPOINT_FILE, help="by default CHECKPOINT_FILE")
        parser.add_argument("--new-key", action="store_true", help="make a key, say its public half, and end")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["new_key"]:
            key = signatures.new_key()
            self.stdout.write(f"CHECKPOINT_KEY={key}")
            self.stdout.write(f"Keep it from the database's administrators. Public key: {signatures.public_key(key)}")
            return
        if not (settings.CHECKPOINT_KEY and options["file"]):
            raise CommandError("Set CHECKPOINT_KEY (`--new-key` makes one), and CHECKPOINT_FILE or --file.")
        try:
            written = checkpoints.append(options["file"], key=settings.CHECKPOINT_KEY, now=timezone.now())
        except (ValueError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{written} lines are written to {options['file']}.")
