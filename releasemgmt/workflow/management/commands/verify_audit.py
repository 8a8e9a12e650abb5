"""`manage.py verify_audit`: recompute every event chain and name each row that is not as it was written."""

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from releasemgmt.workflow import checkpoints, queries, signatures
from releasemgmt.workflow.models import Event


class Command(BaseCommand):
    """Exits with 1 when a chain is broken, or is not what a checkpoint saw."""

    help = "Recompute the hash chain of every event stream and name each row that is not as it was written."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--checkpoints", type=Path, help="compare with this file of signed checkpoints, too")
        parser.add_argument("--public-key", default="", help="whose signatures they bear; by default CHECKPOINT_KEY's")

    def handle(self, *args: Any, **options: Any) -> None:
        file, public_key = options["checkpoints"], options["public_key"]
        if file and not public_key and settings.CHECKPOINT_KEY:
            public_key = signatures.public_key(settings.CHECKPOINT_KEY)
        broken = 0
        for found in self._found(file, public_key):
            what = "line" if found.stream == "checkpoint" else "event"
            self.stderr.write(f"{found.stream} {what} {found.seq}: {found.reason}")
            broken += 1
        if broken:
            raise CommandError(f"The audit trail is not as it was written in {broken} places.")
        self.stdout.write(f"All {Event.objects.count()} events are as they were written.")
        if file:
            signed = "and are signed" if public_key else "; their signatures are not verified (--public-key)"
            self.stdout.write(f"The checkpoints agree {signed}.".replace(" ;", ";"))

    def _found(self, file: Path | None, public_key: str) -> Iterator[queries.Break]:
        yield from queries.breaks()
        if file:
            with file.open("rb") as lines:
                yield from checkpoints.faults(lines, public_key=public_key)
