"""The background work of an installation as real processes on the test database, and a mail server for it.

With DATABASE_URL and REDIS_URL a Celery worker and beat on Redis; without them `manage.py serve`, in which both are
threads around an in-memory broker.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager, suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from django.conf import settings
from django.db import connection

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
CELERY = [sys.executable, "-m", "celery", "--app", "releasemgmt.celery"]


def eventually(condition: Callable[[], T], *, seconds: float = 60) -> T:
    """What the condition answers once it is true; other processes act in their own time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port: int = probe.getsockname()[1]
        return port


class Mailbox:
    """A mail server on the loopback address."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    @contextmanager
    def open(self) -> Iterator[Self]:
        """Take mail meanwhile."""
        controller = Controller(self, hostname="127.0.0.1", port=self.port)
        controller.start()
        try:
            yield self
        finally:
            controller.stop()


class Background:
    """Worker and beat; each can be killed and started again. What they print is in `log`."""

    def __init__(
        self, folder: Path, *, settings_module: str = "releasemgmt.settings", parts: Collection[str] = (), **more: str
    ) -> None:
        self.log = folder / "background.log"
        self.parts = parts
        self.environment = {**os.environ, **_database(), "DJANGO_SETTINGS_MODULE": settings_module, **more}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start what is not running, each in a session of its own."""
        commands = {name: each for name, each in _commands().items() if name in (self.parts or _commands())}
        with self.log.open("ab") as log:
            for name in commands.keys() - self.running.keys():
                self.running[name] = subprocess.Popen(
                    commands[name],
                    cwd=ROOT,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def kill(self, name: str) -> None:
        """`kill -9` of a part with all its children."""
        process = self.running.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End everything in an orderly way, and if that takes too long, at once."""
        for process in self.running.values():
            process.terminate()
        for name in list(self.running):
            with suppress(subprocess.TimeoutExpired):
                self.running[name].wait(15)
            self.kill(name)
        sys.stderr.write(self.log.read_text())  # pytest shows it where the test failed


def _commands() -> dict[str, list[str]]:
    """What to run; `serve` gets another port each time, the last may be held for a moment longer."""
    if settings.EMBEDDED:
        return {"serve": [sys.executable, "manage.py", "serve", "--empty", "--port", str(free_port())]}
    return {
        "worker": [*CELERY, "worker", "--concurrency", "2", "--loglevel", "WARNING"],
        "beat": [*CELERY, "beat", "--scheduler", "celery.beat:Scheduler", "--loglevel", "WARNING"],
    }


def _database() -> dict[str, str]:
    """The environment that makes an installation use the test database."""
    chosen = connection.settings_dict
    if connection.vendor == "sqlite":
        return {"RELEASEMGMT_VAR": str(Path(str(chosen["NAME"])).parent)}
    user = ":".join(quote(str(chosen[part]), safe="") for part in ("USER", "PASSWORD") if chosen[part])
    return {"DATABASE_URL": f"postgres://{user}@{chosen['HOST']}:{chosen['PORT']}/{chosen['NAME']}"}
