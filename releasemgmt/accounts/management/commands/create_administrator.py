"""`manage.py create_administrator NAME`: the first people of an installation, until two administrators exist."""

import getpass
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from releasemgmt.accounts.commands import bootstrap_administrator
from releasemgmt.workflow.errors import Refused


def asked() -> str:
    """The password as a person types it, twice."""
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise CommandError("The two differ; nothing was made.")
    return password


class Command(BaseCommand):
    """Asks for the password, or reads it from standard input where that is no terminal."""

    help = "Create an administrator; refused once two exist, who then do it in the admin."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="")
        parser.add_argument("--email", default="")

    def handle(self, *, username: str, name: str, email: str, **options: Any) -> None:
        password = asked() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        try:
            bootstrap_administrator(username=username, name=name, email=email, password=password, now=timezone.now())
        except Refused as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"{username} is an administrator and can sign in.")
