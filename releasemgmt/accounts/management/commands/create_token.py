"""`manage.py create_token USER`: an API token for a script or a pipeline, printed this once."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from releasemgmt.accounts.commands import create_token, system
from releasemgmt.accounts.models import Scope, User
from releasemgmt.workflow.errors import Refused


class Command(BaseCommand):
    """Prints the secret on standard output, so that it can be read into a variable."""

    help = "Create an API token for a user or service account and print it; it is shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="command line", help="what it is for")
        parser.add_argument("--scope", action="append", choices=Scope.values, default=[], help="may be repeated")
        parser.add_argument("--days", type=int, default=90, help="how long it is valid")

    def handle(self, *, username: str, name: str, scope: list[str], days: int, **options: Any) -> None:
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user {username}.")
        now = timezone.now()
        try:
            _token, secret = create_token(
                user, name=name, scopes=scope, expires_at=now + timedelta(days=days), actor=system(), now=now
            )
        except (Refused, OverflowError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(secret)
