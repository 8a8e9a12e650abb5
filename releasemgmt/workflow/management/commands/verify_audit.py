"""`manage.py verify_audit`: recompute every event chain and name the first bad row of each broken one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from releasemgmt.workflow import queries
from releasemgmt.workflow.models import Event


class Command(BaseCommand):
    """Exits with 1 when a chain is broken."""

    help = "Recompute the hash chain of every event stream and name the first bad row of each."

    def handle(self, *args: Any, **options: Any) -> None:
        broken = list(queries.breaks())
        for found in broken:
            self.stderr.write(f"{found.stream} event {found.seq}: {found.reason}")
        if broken:
            raise CommandError(f"{len(broken)} event streams are broken.")
        self.stdout.write(f"All {Event.objects.count()} events are as they were written.")
