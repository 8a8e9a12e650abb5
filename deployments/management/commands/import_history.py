"""`manage.py import_history`: a product's past out of files, and the rows of them that make no sense."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone
from tqdm import tqdm

from deployments.commands.history import Recorded, import_history
from deployments.commands.quarantine import dismiss_row, repair_row, rows_of
from deployments.models import QuarantinedRow
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.integrations import history
from releasemgmt.releases.management.commands.import_git import actor_of, product_of, some
from releasemgmt.workflow.errors import Invalid, Refused

#: How many rows that can't be used are shown; `--list` shows all.
SHOWN = 20


class Command(BaseCommand):
    """Imports files, lists quarantined rows, or takes in their repairs."""

    help = (
        "Import a product's past: SHOP.commits.csv, SHOP.releases.ndjson, SHOP.changelog.ndjson, SHOP.incidents.ndjson "
        "and SHOP.incident_revisions.ndjson, plain or compressed by gzip; any of them. A second run changes nothing. "
        "Rows that make no sense are quarantined: list them, repair or dismiss them here or in the admin."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="*", type=Path, help="the word in the name says what a file holds")
        parser.add_argument("--product", required=True, metavar="KEY", help="the product whose past it is")
        parser.add_argument("--as", dest="username", metavar="USERNAME", help="who imports (default: the system)")
        parser.add_argument("--strict", action="store_true", help="check everything first, then write all or nothing")
        parser.add_argument("--list", action="store_true", help="print the quarantined rows that wait, one JSON a line")
        parser.add_argument(
            "--repair",
            type=Path,
            metavar="FILE",
            help="what --list printed, with each “row” put right, or “dismiss” and the reason instead of it",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        product, actor = product_of(options["product"]), actor_of(options["username"])
        if not (options["files"] or options["list"] or options["repair"]):
            raise CommandError("Name files to import, or say --list or --repair FILE.")
        try:
            if options["files"]:
                self._import(product, options["files"], actor=actor, strict=options["strict"])
            if options["repair"]:
                self._repair(product, options["repair"], actor=actor)
        except (history.HistoryError, Refused) as error:
            raise CommandError(str(error)) from error
        if options["list"]:
            self._list(product)

    def _import(self, product: Product, files: list[Path], *, actor: User, strict: bool) -> None:
        found = history.read(files)
        with tqdm(total=len(found), unit=" rows", disable=None) as bar:
            try:
                done = import_history(
                    product, found, actor=actor, now=timezone.now(), progress=bar.update, strict=strict
                )
            except Invalid as refused:
                bar.close()
                self._show(refused.errors)
                raise CommandError("Nothing was written.") from refused
        self._report(product, done, held_back=found.held_back)

    def _report(self, product: Product, done: Recorded, *, held_back: int) -> None:
        for noun, (total, new) in done.counts.items():
            if total:
                self.stdout.write(f"{total:,} {noun}, {new:,} of them new.")
        for what, names in done.left_out.items():
            self.stdout.write(f"Left out, {what}: {len(names):,} ({some(dict.fromkeys(names))}).")
        if done.bad:
            self._show({f"{row.source}.{row.line}": row.reason for row in done.bad})
            waiting = f"{len(done.bad):,} rows can't be used, {done.quarantined:,} of them new"
            behind = f"; {held_back:,} revisions wait behind them" if held_back else ""
            self.stdout.write(f"{waiting}{behind}. See --list, or Quarantine in the admin.")

    def _show(self, reasons: dict[str, str]) -> None:
        for n, (where, reason) in enumerate(reasons.items()):
            if n == SHOWN:
                self.stderr.write(f"… and {len(reasons) - SHOWN:,} more.")
                break
            source, _, line = where.partition(".")
            self.stderr.write(f"{source}, line {line}: {reason}")

    def _list(self, product: Product) -> None:
        for row in rows_of(product).waiting().order_by("source", "line", "pk"):
            told = {"id": row.pk, "source": row.source, "line": row.line, "reason": row.reason, "row": row.row}
            self.stdout.write(json.dumps(told, ensure_ascii=False))

    def _repair(self, product: Product, path: Path, *, actor: User) -> None:
        try:
            told = path.read_text().split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{path} can't be read: {error}.") from error
        done = 0
        for number, line in enumerate(told, start=1):
            if line.strip():
                done += self._settle(product, line, f"{path.name}, line {number}", actor=actor)
        left = rows_of(product).waiting().count()
        self.stdout.write(f"{done:,} rows settled; {left:,} wait.")

    def _settle(self, product: Product, line: str, where: str, *, actor: User) -> bool:
        """Repair or dismiss one row; says why where that is refused."""
        try:
            told = json.loads(line)
            row = rows_of(product).get(pk=told["id"])
            reason, text = told.get("dismiss"), told.get("row")
        except (ValueError, TypeError, KeyError, AttributeError, QuarantinedRow.DoesNotExist):
            self.stderr.write(f"{where}: no row of this product, as --list prints it.")
            return False
        try:
            with transaction.atomic():
                if reason is not None:
                    dismiss_row(row, reason=str(reason), actor=actor, now=timezone.now())
                else:
                    repair_row(row, text=str(text), actor=actor, now=timezone.now())
        except Refused as refused:
            self.stderr.write(f"{where}: {refused.detail}")
            return False
        return True
