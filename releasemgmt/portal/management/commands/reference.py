"""`manage.py reference`: write docs/reference from the code, or with `--check` say whether it is up to date."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from releasemgmt import env
from releasemgmt.portal import reference

FOLDER = env.ROOT / "docs" / "reference"


class Command(BaseCommand):
    """With `--check` exits with 1 where a page differs."""

    help = "Write docs/reference from the code."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Write nothing; fail where a page is out of date.")

    def handle(self, *args: Any, **options: Any) -> None:
        pages = reference.pages()
        if options["check"]:
            old = [n for n, text in pages.items() if not (FOLDER / n).exists() or (FOLDER / n).read_text() != text]
            if old:
                raise CommandError(f"Out of date: {', '.join(old)}. Run `make docs`.")
            return
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, text in pages.items():
            (FOLDER / name).write_text(text)
            self.stdout.write(f"docs/reference/{name}")
