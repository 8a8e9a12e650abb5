"""`manage.py serve`, as `make run` starts it: real processes on a free port, data in a temporary folder."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

ROOT = Path(__file__).parents[2]
SET_FOR_PRODUCTION = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS"}
Serve = Callable[..., subprocess.Popen[str]]

pytestmark = [pytest.mark.embedded, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


@pytest.fixture
def port() -> int:
    """A port that is free at this moment."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def var(tmp_path: Path) -> Path:
    """Where the installation under test keeps its data."""
    return tmp_path / "var"


@pytest.fixture
def installed(var: Path, new_database: Path) -> Path:
    """Its database, made already."""
    var.mkdir()
    return Path(shutil.copy(new_database, var / "releasemgmt.sqlite3"))


def environment(var: Path) -> dict[str, str]:
    """The environment of a user who has set nothing but where the data go."""
    inherited = {name: value for name, value in os.environ.items() if name not in SET_FOR_PRODUCTION}
    return inherited | {"DJANGO_SETTINGS_MODULE": "releasemgmt.settings", "RELEASEMGMT_VAR": str(var)}


def hear_interrupts() -> None:
    """What a shell starts in the background ignores SIGINT, and so would everything that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def serve(port: int, var: Path) -> Iterator[Serve]:
    """Starts the service in a session of its own, so that whatever it leaves behind can be found."""
    started: list[subprocess.Popen[str]] = []

    def start(**more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--empty", "--port", str(port)],
            cwd=ROOT,
            env=environment(var) | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if more else None,
            text=True,
            start_new_session=True,
            preexec_fn=hear_interrupts,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        for pid in in_session(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def in_session(leader: int) -> list[int]:
    """The live processes of one session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                found.append(int(stat.parent.name))
    return found


def wait_for_address(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    assert any("http://127.0.0.1:" in line for line in process.stdout)


def wait_for_end(pids: list[int], *, seconds: float) -> None:
    """Wait for processes that need not be our children."""
    for pid in pids:
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                assert select.select([descriptor], [], [], seconds)[0], f"process {pid} is still there"
            finally:
                os.close(descriptor)


def healthy(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=20) as answer:
        return bool(answer.status == 200)


def test_it_serves_until_interrupted_and_a_second_start_keeps_the_data(
    serve: Serve, port: int, installed: Path
) -> None:
    """That it makes a database where there is none, tests/journeys/test_quickstart.py shows."""
    for rows_before in (0, 1):
        process = serve()
        wait_for_address(process)
        assert healthy(port)
        with closing(sqlite3.connect(installed)) as database, database:
            assert database.execute("SELECT count(*) FROM web_cache").fetchone() == (rows_before,)
            database.execute("INSERT INTO web_cache VALUES (?, '', '2199-01-01')", [str(process.pid)])
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(10) == 0
        assert in_session(process.pid) == []


@pytest.mark.parametrize("victim", ["the parent", "granian"])
def test_neither_outlives_the_other(serve: Serve, installed: Path, victim: str) -> None:
    process = serve()
    wait_for_address(process)
    others = sorted(set(in_session(process.pid)) - {process.pid})
    os.kill(process.pid if victim == "the parent" else others[0], signal.SIGKILL)
    wait_for_end(others, seconds=10)
    assert process.wait(60) != 0


def test_a_taken_port_is_said_before_anything_is_made(serve: Serve, port: int, var: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", port))):
        process = serve(PYTHONUNBUFFERED="1")
        _, said = process.communicate(timeout=30)
    assert process.returncode != 0
    assert f"Port {port} is taken" in said
    assert f"make run PORT={port + 1}" in said
    assert not (var / "releasemgmt.sqlite3").exists()


def test_it_refuses_a_production_environment(settings: Any) -> None:
    settings.EMBEDDED = False
    with pytest.raises(CommandError, match="run web, worker and beat"):
        call_command("serve", "--empty")
