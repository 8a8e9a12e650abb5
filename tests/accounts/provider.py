"""A real identity provider as a process on loopback, and a browser that signs in by it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.background import eventually, free_port


@dataclass
class Provider:
    """`oidc-provider-mock`, which answers discovery, authorization, token and userinfo like any other."""

    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, Any]:
        """What the environment would say of it."""
        app = {
            "provider_id": "mock",
            "name": "Example SSO",
            "client_id": "releasemgmt",
            "secret": "s3cret",
            "settings": {"server_url": self.url},
        }
        return {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APP": app}}

    def knows(self, subject: str, **claims: Any) -> None:
        """Say of a person what the provider will say of them."""
        httpx.put(f"{self.url}/users/{subject}", json=claims).raise_for_status()

    def answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/.well-known/openid-configuration").is_success
        return False

    @contextmanager
    def running(self) -> Iterator[Provider]:
        command = [str(Path(sys.executable).parent / "oidc-provider-mock"), "--port", str(self.port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            eventually(self.answers)
            yield self
        finally:
            process.terminate()
            process.wait()


class Browser:
    """Follows links and redirects between the service and the provider, each with its own cookies."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.http = httpx.Client(follow_redirects=True)

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path if path.startswith("http") else self.service + path)

    def post(self, path: str, **sent: Any) -> httpx.Response:
        """Send a form with the token of the page that shows it."""
        token = self.http.cookies.get("csrftoken") or ""
        return self.http.post(self.service + path, data={"csrfmiddlewaretoken": token, **sent})

    def to_provider(self, path: str = "/accounts/login/") -> httpx.Response:
        """Go to the sign-in page and on by the button; answers the provider's own page."""
        found = re.search(r'href="(/accounts/oidc/[^"]+)"', self.get(path).text)
        assert found, "there is a button"
        return self.get(found[1].replace("&amp;", "&"))

    def agree(self, page: httpx.Response, subject: str) -> httpx.Response:
        """Sign in at the provider as this person, and come back."""
        return self.http.post(page.url, data={"sub": subject})

    def sign_in(self, subject: str) -> httpx.Response:
        """The whole way, as somebody who isn't signed in yet; answers the page on which the person ends."""
        self.http.cookies.clear()
        return self.agree(self.to_provider(), subject)
