"""The web process of the embedded installation: granian, which ends when its parent does, however that ends."""

from __future__ import annotations

import os
import signal
import sys
from threading import Thread

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server


def stop_with_parent() -> None:
    """Standard input is a pipe whose other end the parent holds; it closes even where the parent is killed."""
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


def main(port: int) -> None:
    """Serve on the loopback address until told to stop."""
    Thread(target=stop_with_parent, daemon=True).start()
    Server(
        "releasemgmt.wsgi:application",
        port=port,
        interface=Interfaces.WSGI,
        blocking_threads=4,
        websockets=False,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=2,
    ).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]))
