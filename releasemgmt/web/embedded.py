"""The embedded installation: Celery's worker and beat as threads of this process, granian as its child.

All three run the code of a production installation; only the broker is in memory, so the process that asks for a
task and the one that does it must be the same.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from celery.beat import Scheduler, Service

from releasemgmt.celery import app

HOST = "127.0.0.1"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 5.0  # seconds that each part has for ending


def port_is_free(port: int) -> bool:
    """Whether granian could listen on this port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def run(port: int, *, announce: Callable[[], None]) -> int:
    """Serve until a signal asks for the end; the exit code is not 0 where a part ended unasked."""
    asked = threading.Event()
    web = _start_web(port)
    beat = Service(app, scheduler_cls=Scheduler)

    def stop(*_: object) -> None:
        asked.set()
        web.terminate()

    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, stop)
    threads = [_start_thread(part, otherwise=web.terminate) for part in (_work, beat.start)]
    if _answers(port, web, asked):
        announce()
    code = web.wait()
    beat.stop()
    logging.getLogger("celery.worker.control").setLevel(logging.ERROR)  # it warns of what is asked here
    app.control.shutdown()  # the worker hears it at its next poll; its stop flag takes four seconds
    for thread in threads:
        thread.join(GRACE)
    _end_group(web.pid)
    return os.EX_OK if asked.is_set() else code or os.EX_SOFTWARE


def _start_web(port: int) -> subprocess.Popen[bytes]:
    """The child has a process group of its own, so Ctrl-C reaches the parent alone, and a pipe that ends with it."""
    command = [sys.executable, "-m", "releasemgmt.web.server", str(port)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)  # noqa: S603


def _start_thread(part: Callable[[], object], *, otherwise: Callable[[], None]) -> threading.Thread:
    """Run a part in a thread; the service is not one without it, so where it ends the web process ends, too."""

    def body() -> None:
        try:
            part()
        finally:
            otherwise()

    thread = threading.Thread(target=body, name=part.__qualname__, daemon=True)
    thread.start()
    return thread


def _work() -> None:
    """Celery's worker, without what only a fleet of workers needs."""
    worker = app.WorkController(
        pool="solo", concurrency=1, without_mingle=True, without_gossip=True, without_heartbeat=True
    )
    worker.start()


def _answers(port: int, web: subprocess.Popen[bytes], asked: threading.Event) -> bool:
    """Wait until the child listens, or has ended before it could."""
    while web.poll() is None and not asked.wait(0.05):
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return True
    return False


def _end_group(leader: int) -> None:
    """Granian's own workers survive a granian that was killed; nothing of ours outlives this process."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
