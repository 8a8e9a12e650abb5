"""`manage.py import_git`: a product's history out of its git repository."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.integrations import git
from releasemgmt.releases.commands.commits import send_commits
from releasemgmt.releases.commands.containment import chunks
from releasemgmt.releases.commands.importing import Imported, PastRelease, import_past
from releasemgmt.releases.policies import Kind, classify
from releasemgmt.workflow.errors import Refused

#: Commits sent in one transaction.
BATCH = 2_000
EXAMPLES = 5


class Command(BaseCommand):
    """Reads commits and tags of a local clone; what is known already stays as it is."""

    help = (
        "Import the commits of a git repository, and its tags as past releases. Tags like 1.2, v1.2.3, release-1.2, "
        "shop-1.2 (with the product's key), 2026-03-01 and v12 are versions; pre-releases like 1.2-rc.1 or 1.2b3, and "
        "all other tags, are named and left out. A second run adds only what is new."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--repo", required=True, type=Path, help="the folder of a clone; nothing is fetched")
        parser.add_argument("--product", required=True, metavar="KEY", help="the product that the commits belong to")
        parser.add_argument("--as", dest="username", metavar="USERNAME", help="who imports (default: the system)")

    def handle(self, *_args: Any, **options: Any) -> None:
        product, actor = product_of(options["product"]), actor_of(options["username"])
        try:
            repository = git.Repository(options["repo"])
            self._import(repository, product, actor)
        except (git.GitError, Refused) as error:
            raise CommandError(str(error)) from error

    def _import(self, repository: git.Repository, product: Product, actor: User) -> None:
        total = repository.count()
        if not total:
            self.stdout.write(f"{repository.path} has no commit yet; nothing to import.")
            return
        if repository.is_shallow:
            self.stderr.write(
                "This clone is shallow, so older commits are missing. Run “git fetch --unshallow --tags”, then import "
                "again: what is here already stays."
            )
        new = import_commits(repository, product=product, actor=actor, total=total)
        self.stdout.write(f"{total:,} commits, {new:,} of them new.")
        self._report(*import_tags(repository, product=product, actor=actor))

    def _report(self, imported: Imported, left_out: dict[Kind, list[str]]) -> None:
        known = len(imported.new) + len(imported.present)
        names = [version for version, _release in imported.aliases]
        aliases = f"; second names of the same commit: {some(names)}" if names else ""
        self.stdout.write(f"{known:,} past releases, {len(imported.new):,} of them new{aliases}.")
        for reason in imported.conflicts.values():
            self.stderr.write(f"Left out: {reason}")
        for kind, names in left_out.items():
            self.stdout.write(f"Left out as {kind.value}: {len(names):,} tags ({some(names)}).")


def import_commits(repository: git.Repository, *, product: Product, actor: User, total: int) -> int:
    """Send every commit, showing progress on a terminal; answers how many were new."""
    new = 0
    with tqdm(total=total, unit=" commits", disable=None) as bar:
        for batch in chunks(repository.commits(), BATCH):
            facts = [{**vars(commit), "parents": list(commit.parents)} for commit in batch]
            new += send_commits(product, commits=facts, actor=actor, now=timezone.now())
            bar.update(len(batch))
    return new


def import_tags(repository: git.Repository, *, product: Product, actor: User) -> tuple[Imported, dict[Kind, list[str]]]:
    """Import the tags that are versions; the others are answered by kind."""
    now = timezone.now()
    past: list[PastRelease] = []
    left_out: dict[Kind, list[str]] = {}
    for tag in repository.tags():
        kind, version = classify(tag.name, product=product.key)
        if kind is Kind.RELEASE and tag.at > now:
            kind = Kind.FUTURE
        if kind is Kind.RELEASE:
            past.append({"version": version, "released_at": tag.at, "sha": tag.sha})
        else:
            left_out.setdefault(kind, []).append(tag.name)
    return import_past(product, releases=past, actor=actor, now=now), left_out


def product_of(key: str) -> Product:
    """The product of that key, or an error that names those that there are."""
    try:
        return Product.objects.get(key=key)
    except Product.DoesNotExist:
        keys = ", ".join(Product.objects.values_list("key", flat=True)[:20]) or "none yet"
        raise CommandError(f"There is no product {key}. There are: {keys}.") from None


def actor_of(username: str | None) -> User:
    """Who imports: that user, or the system."""
    if username is None:
        return system()
    try:
        return User.objects.get(username=username, is_active=True)
    except User.DoesNotExist:
        raise CommandError(f"There is no active user {username}.") from None


def some(names: Iterable[str]) -> str:
    """The first few names."""
    names = list(names)
    return ", ".join(names[:EXAMPLES]) + (", …" if len(names) > EXAMPLES else "")
