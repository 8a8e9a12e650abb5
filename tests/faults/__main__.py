"""`python -m tests.faults [part …]`: the long forms of the proofs, one table; docs/promises.md says what they show."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from defusedxml import ElementTree

from tests.faults.servers import servers

SERVERS = {
    "DATABASE_URL": os.environ.get("DATABASE_URL", "postgres://root@127.0.0.1:5432/releasemgmt_faults"),
    "REDIS_URL": os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/15"),
}
ENGINES: Mapping[str, Mapping[str, str]] = {"PostgreSQL": SERVERS, "SQLite": {}}
FOLDER = Path("var/faults")


@dataclass(frozen=True)
class Part:
    """Tests that are run together, and on which engines."""

    paths: tuple[str, ...]
    engines: tuple[str, ...] = ("PostgreSQL",)
    own_servers: bool = False


PARTS: Mapping[str, Part] = {
    "races": Part(("tests/races/test_duels.py",)),
    "crowd": Part(("tests/faults/test_crowd.py",)),
    "duties": Part(("tests/approvals/test_duties.py",), engines=tuple(ENGINES)),
    "kills": Part(("tests/faults/test_kills.py", "tests/faults/test_stop.py")),
    "orders": Part(
        ("tests/deployments/test_any_order.py", "tests/approvals/test_any_order.py"), engines=tuple(ENGINES)
    ),
    "outages": Part(("tests/faults/test_outages.py",), own_servers=True),
}


@dataclass(frozen=True)
class Line:
    """A line of the report: a test, or what it noted under the name of a proof."""

    proof: str
    attempts: str
    seconds: float
    wrong: bool
    outcomes: str


def run(name: str, engine: str) -> Iterator[Line]:
    """One part on one engine, in a process of its own; its tests show what goes wrong as they run."""
    report = FOLDER / f"{name}-{engine.lower()}.xml"
    report.unlink(missing_ok=True)
    neutral = {key: value for key, value in os.environ.items() if key not in SERVERS}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--tb=short",
        "--override-ini=junit_family=legacy",
        f"--junitxml={report}",
        *PARTS[name].paths,
    ]
    with servers() if PARTS[name].own_servers else nullcontext(ENGINES[engine]) as chosen:
        subprocess.run(command, env={**neutral, **chosen, "PROOFS": "long"}, check=False)
    if not report.exists():
        yield Line(f"{name} did not run", "", 0.0, True, "")
        return
    for case in ElementTree.parse(report).iter("testcase"):
        noted = {each.attrib["name"]: each.attrib["value"] for each in case.iter("property")}
        if case.find("skipped") is None:
            wrong = case.find("failure") is not None or case.find("error") is not None
            named = noted.get("proof", case.attrib["name"].removeprefix("test_").replace("_", " "))
            yield Line(named, noted.get("attempts", ""), float(case.attrib["time"]), wrong, noted.get("outcomes", ""))


def show(title: str, lines: list[Line]) -> None:
    """A part of the table."""
    print(f"\n{title:60}{'attempts':>10}{'wrong':>7}{'seconds':>9}  outcomes")
    for line in lines:
        print(f"{line.proof[:59]:60}{line.attempts:>10}{int(line.wrong):7}{line.seconds:9.0f}  {line.outcomes}")


def main() -> None:
    """Run the parts that are named, by default all, and print what came out; ends with 1 where something is wrong."""
    named = sys.argv[1:] or list(PARTS)
    if strange := set(named) - set(PARTS):
        sys.exit(f"There is no part {', '.join(strange)}; name some of {', '.join(PARTS)}.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    tables = {f"{name} on {engine}": list(run(name, engine)) for name in named for engine in PARTS[name].engines}
    for title, lines in tables.items():
        show(title, lines)
    wrong = sum(line.wrong for lines in tables.values() for line in lines)
    print(f"\n{wrong} wrong")
    sys.exit(min(wrong, 1))


if __name__ == "__main__":
    main()
