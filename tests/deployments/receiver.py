"""A receiver of webhook tasks: an HTTP server on loopback that keeps what it gets, and signs what it answers."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

from django.test import Client
from standardwebhooks import Webhook

SECRET = "whsec_" + "canary12" * 5 + "Zg=="


@dataclass
class Received:
    """One POST."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)["data"]


@dataclass
class Receiver:
    """What it got; `statuses` are its next answers, 202 once they are used up. `hangs` holds its answers back."""

    port: int = 0
    got: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    hangs: Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/shop"

    def call_back(self, received: Received, status: str = "succeeded", **options: Any) -> Any:
        """Report how the task ended, as a receiver does it; options replace what it would send."""
        data = received.data
        said = {"task": data["task"], "fencing_token": data["fencing_token"], "status": status, "evidence": "job/7"}
        body = options.pop("body", None) or json.dumps(said | options.pop("said", {}))
        path = options.pop("path", None) or urlsplit(data["callback_url"]).path
        return post_signed(path, body, **options)

    @contextmanager
    def open(self, *, certificate: Path | None = None) -> Iterator[Receiver]:
        with serving(self._handler(), certificate) as self.port:
            yield self

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.append(Received(self.path, headers, body))
                if receiver.hangs:
                    receiver.hangs.wait(10)
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 202)
                self.send_header("Location", f"{receiver.url}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Says nothing."""

        return Handler


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], certificate: Path | None = None) -> Iterator[int]:
    """A server on a port of loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def post_signed(
    path: str, body: str, *, secret: str = SECRET, ago: timedelta = timedelta(0), sent: str = "", **headers: str
) -> Any:
    """A callback signed by the reference implementation; `sent` is what arrives instead of the signed body."""
    at = datetime.now(UTC) - ago
    signed = {
        "webhook-id": "callback_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("callback_1", at, body),
    }
    return Client().post(path, sent or body, content_type="application/json", headers={**signed, **headers})
