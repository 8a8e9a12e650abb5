"""A PostgreSQL and a Redis of a proof's own, which it may stop as it likes, and the web process of an installation."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.background import ROOT, eventually, free_port

#: The variable that tells a process of servers that it may stop.
OWN = "RELEASEMGMT_FAULT_SERVERS"
#: Where Debian keeps the server's programs, which are not on the PATH.
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def program(name: str) -> str | None:
    """Where a server's program is, if this machine has it."""
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *map(str, DEBIAN)]))


def are_there() -> bool:
    """Whether this machine can make servers of its own."""
    return None not in map(program, ("initdb", "postgres", "redis-server"))


@dataclass(frozen=True)
class Server:
    """A server process on the loopback address that can be ended without warning, by whichever process knows it."""

    command: list[str]
    port: int
    folder: str

    @property
    def pid(self) -> Path:
        return Path(self.folder, "pid")

    def start(self) -> None:
        """Start it and wait until it listens."""
        with Path(self.folder, "log").open("ab") as log:
            process = subprocess.Popen(
                self.command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, user=_owner()
            )
        self.pid.write_text(str(process.pid))
        eventually(self.listens)

    def listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def end(self, number: int = signal.SIGKILL) -> None:
        """Send it the signal and wait until it has ended; SIGQUIT is PostgreSQL's immediate shutdown."""
        if not self.pid.exists():
            return
        pid = int(self.pid.read_text())
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            os.kill(pid, number)
            select.select([descriptor], [], [], 60)
            os.close(descriptor)
        self.pid.unlink()


@contextmanager
def servers() -> Iterator[dict[str, str]]:
    """A PostgreSQL and a Redis with nothing in them, as the environment of tests that may stop them."""
    with tempfile.TemporaryDirectory(prefix="releasemgmt-faults-") as name:
        made = [_postgres(Path(name, "postgres")), _redis(Path(name, "redis"))]
        try:
            for server in made:
                server.start()
            yield {
                "DATABASE_URL": f"postgres://releasemgmt@127.0.0.1:{made[0].port}/postgres",
                "REDIS_URL": f"redis://127.0.0.1:{made[1].port}/0",
                OWN: json.dumps([asdict(server) for server in made]),
            }
        finally:
            for server in made:
                server.end()


def standing() -> tuple[Server, Server]:
    """The PostgreSQL and the Redis that `servers` made for this process."""
    postgres, redis = (Server(**facts) for facts in json.loads(os.environ[OWN]))
    return postgres, redis


def _postgres(folder: Path) -> Server:
    """A cluster that flushes at each commit, as in production, and trusts this machine."""
    _own(folder)
    make = [str(program("initdb")), "--pgdata=data", "--username=releasemgmt", "--auth=trust", "--encoding=UTF8"]
    subprocess.run([*make, "--locale=C"], cwd=folder, user=_owner(), check=True, stdout=subprocess.DEVNULL)
    port = free_port()
    options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "max_connections": 100}
    settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
    return Server([str(program("postgres")), "-D", "data", *settings], port, str(folder))


def _redis(folder: Path) -> Server:
    """A Redis that keeps nothing: each start finds it empty."""
    _own(folder)
    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    return Server([str(program("redis-server")), *options], port, str(folder))


def _own(folder: Path) -> None:
    """PostgreSQL refuses to run as root; its folder is its own."""
    folder.mkdir()
    if owner := _owner():
        folder.parent.chmod(0o755)
        shutil.chown(folder, owner)


def _owner() -> str | None:
    return "postgres" if os.geteuid() == 0 else None


@dataclass
class Web:
    """The web process of an installation, as production runs it."""

    environment: Mapping[str, str]
    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.port = free_port()
        granian = [str(Path(sys.executable).with_name("granian")), "--interface", "wsgi", "--port", str(self.port)]
        limits = ["--workers", "2", "--blocking-threads", "2", "--no-ws", "--workers-kill-timeout", "20"]
        with (self.folder / "web.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*granian, *limits, "releasemgmt.wsgi:application"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        eventually(lambda: self.ask("/healthz")[0] == 200, seconds=60)

    def ask(self, path: str, *, body: dict[str, Any] | None = None, token: str = "") -> tuple[int, Mapping[str, str]]:
        """Status and headers of the answer; (0, {}) where nobody takes the request."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with suppress(httpx.TransportError):
            url = f"http://127.0.0.1:{self.port}{path}"
            answer = httpx.request("POST" if body else "GET", url, json=body, headers=headers, timeout=30)
            return answer.status_code, answer.headers
        return 0, {}

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; the exit code."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(60)
