"""`python -m tests.bench.past`: a made-up history of 28,000 commits and 1,400 releases on parallel lines, imported."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from releasemgmt.integrations.history.rows import HEADER

COMMITS, RELEASES, LINES = 28_000, 1_400, 8
START = datetime(2012, 1, 1, tzinfo=UTC)
PREPARE = """
from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import Team
from releasemgmt.catalog.commands import create_product
create_product(key="past", name="Past", team=Team.objects.create(key="past", name="Past"), actor=system())
"""


def commits() -> Iterator[tuple[int, list[int]]]:
    """Each commit with its parents: lines that leave the main one, go on beside it and are merged back at times."""
    tips = [0]
    yield 0, []
    for n in range(1, COMMITS):
        line = n % LINES
        if line >= len(tips):
            tips.append(tips[0])
        parents = [tips[line]]
        if line == 0 and n % 280 == 0:
            parents.append(tips[1 + n // 280 % (len(tips) - 1)])
        yield n, parents
        tips[line] = n


def write(folder: Path) -> list[Path]:
    """The files of that history: every twentieth commit is a release, late ones on old lines among them."""
    paths = [folder / "past.commits.csv", folder / "past.releases.ndjson"]
    step = COMMITS // RELEASES
    with paths[0].open("w") as file, paths[1].open("w") as tags:
        file.write(HEADER + "\n")
        for n, parents in commits():
            at = (START + n * timedelta(hours=4)).isoformat()
            above = " ".join(map(str, parents))
            file.write(f"{n},{n + 1:040x},{above},{n % 50:010x},{at},{at},{int(len(parents) > 1)},{int(n % 9 == 0)}\n")
            if n % step == step - 1:
                released = (START + n * timedelta(hours=4) + (n % 7) * timedelta(days=9)).isoformat()
                tag = {"tag": f"{n % LINES}.{n}", "kind": "production", "released_at": released, "sha": f"{n + 1:040x}"}
                tags.write(json.dumps(tag) + "\n")
    return paths


def run(*arguments: str, environment: dict[str, str]) -> tuple[float, float, str]:
    """Seconds, MiB at most and output of a management command in a process of its own."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen([sys.executable, "manage.py", *arguments], env=environment, stdout=output)
        mib = 0.0
        while process.poll() is None:
            mib = max(mib, peak_mib(process.pid))
            time.sleep(0.05)
        seconds = time.monotonic() - began
        output.seek(0)
        found = output.read()
    if process.returncode:
        sys.exit(f"{arguments[0]} failed.")
    return seconds, mib, found


def peak_mib(pid: int) -> float:
    """The most memory that a process has had; of one that is gone there is nothing to read."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except ProcessLookupError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def measure(environment: dict[str, str]) -> dict[str, float]:
    """Seconds and MiB of the first import, and seconds of a second one, into a migrated database."""
    run("shell", "-v0", "-c", PREPARE, environment=environment)
    with tempfile.TemporaryDirectory() as folder:
        command = ("import_history", "--product", "past", *map(str, write(Path(folder))))
        seconds, mib, found = run(*command, environment=environment)
        if f"{RELEASES:,} past releases, {RELEASES:,} of them new" not in found:
            sys.exit(found)
        again, _mib, _found = run(*command, environment=environment)
    return {
        "28,000 commits and 1,400 releases, s to import (goal: 60)": seconds,
        "MiB that it takes (goal: 300)": mib,
        "s to import them again": again,
    }


def main() -> None:
    """On SQLite, and on PostgreSQL where DATABASE_URL and REDIS_URL name one, whose database is migrated."""
    with tempfile.TemporaryDirectory() as var:
        embedded = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        engines = {"SQLite": {**embedded, "RELEASEMGMT_VAR": var, "DJANGO_SETTINGS_MODULE": "releasemgmt.settings"}}
        if "DATABASE_URL" in os.environ:
            server = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}
            engines["PostgreSQL"] = {**engines["SQLite"], **server, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        for engine, environment in engines.items():
            run("migrate", "-v0", environment=environment)
            for name, value in measure(environment).items():
                print(f"{engine:12}{name:64}{value:10.1f}")


if __name__ == "__main__":
    main()
