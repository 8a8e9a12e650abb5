"""`manage.py demo`: fill a new embedded database with the demo world."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.portal.demo.daily import prepare_daily
from releasemgmt.portal.demo.source import own_repository
from releasemgmt.portal.demo.stage import give_addresses, set_up
from releasemgmt.portal.demo.surroundings import look_around, open_windows
from releasemgmt.portal.demo.world import make_releases


class Command(BaseCommand):
    """Makes all of it or nothing; refuses a database that is not embedded, or in which somebody lives."""

    help = "Fill a new embedded database with the demo world: this project's own history, and people to sign in as."

    def handle(self, *_args: Any, **_options: Any) -> None:
        if not settings.EMBEDDED:
            raise CommandError("The demo world is for the embedded database; DATABASE_URL names another one.")
        if Product.objects.exists() or User.objects.filter(kind=User.Kind.HUMAN).exists():
            raise CommandError("This database is in use already; the demo world is for an empty one.")
        with transaction.atomic():
            self._make()

    def _make(self) -> None:
        now = timezone.now()
        stage = set_up(now=now)
        repository = own_repository()
        if repository is None:
            self.stdout.write("This copy of the source has no git history, so the demo world has no commits.")
        else:
            where = {"stdout": self.stdout, "stderr": self.stderr}
            call_command("import_git", repo=repository.path, product=stage.product.key, **where)
        open_windows(stage, now=now)
        waiting = make_releases(stage, repository, now=now)
        look_around(stage, now=now)
        prepare_daily(stage, now=now)
        give_addresses(stage)
        self.stdout.write(
            f"Sign in as Carla Conti and vote on {waiting.number}; then watch it deploy, with Dario Duarte's two ticks."
        )
