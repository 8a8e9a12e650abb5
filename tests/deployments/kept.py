"""A place where artifacts are kept: an HTTP server that answers as a file store and as a registry do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import Any

from tests.deployments.receiver import serving


@dataclass
class Kept:
    """The bytes at each path. `token` is asked for of manifests, and given to whoever asks for one."""

    port: int = 0
    there: dict[str, bytes] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    token: str = ""
    #: What it says instead of where the token is.
    challenge: str = ""
    packed: bool = False
    hangs: Event | None = None
    #: Path and Authorization of each request.
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def keep(self, path: str, content: bytes) -> str:
        """Keep it there; answers its digest."""
        self.there[path] = content
        return f"sha256:{sha256(content).hexdigest()}"

    @contextmanager
    def open(self, *, certificate: Path | None = None) -> Iterator[Kept]:
        with serving(self._handler(), certificate) as self.port:
            yield self

    def _answer(self, path: str, authorization: str) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/token?"):
            return 200, {}, b'{"token": "%s"}' % self.token.encode() if "scope=" in path else b"{}"
        asks = self.token or self.challenge
        if asks and path.startswith("/v2/") and authorization != f"Bearer {self.token}":
            challenge = f'Bearer realm="http://{self.host}/token",service="kept",scope="repository:app:pull"'
            return 401, {"WWW-Authenticate": self.challenge or challenge}, b""
        if path in self.moved:
            return 307, {"Location": self.moved[path]}, b""
        packed = {"Content-Encoding": "gzip"} if self.packed else {}
        return (200, packed, self.there[path]) if path in self.there else (404, {}, b"")

    def _handler(kept) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kept.asked.append((self.path, self.headers.get("Authorization", "")))
                if kept.hangs:
                    kept.hangs.wait(10)
                status, headers, body = kept._answer(*kept.asked[-1])
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Says nothing."""

        return Handler
