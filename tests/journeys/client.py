"""A REST client as somebody else would write one: tokens, JSON, and nothing of the product's code."""

from __future__ import annotations

from typing import Any

import httpx

XML = "application/xml"


class Client:
    """One caller with one token; every call says which status it expects."""

    def __init__(self, base: str, token: str) -> None:
        self.http = httpx.Client(
            base_url=f"{base}/api/v1/", headers={"Authorization": f"Bearer {token}"}, timeout=60, follow_redirects=False
        )

    def get(self, path: str, *, expect: int = 200) -> Any:
        return self._checked(self.http.get(path), expect)

    def post(self, path: str, body: dict[str, Any] | None = None, *, expect: int = 200, key: str = "") -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return self._checked(self.http.post(path, json=body or {}, headers=headers), expect)

    def put(self, path: str, body: dict[str, Any], *, parent: str, expect: int = 200) -> Any:
        """PUT with the ETag of the record that the path belongs to."""
        etag = self.http.get(parent).headers["ETag"]
        return self._checked(self.http.put(path, json=body, headers={"If-Match": etag}), expect)

    def upload(self, path: str, fields: dict[str, Any], *, report: bytes, expect: int = 201) -> Any:
        """POST a multipart form with a JUnit report."""
        files = {"report": ("report.xml", report, XML)}
        return self._checked(self.http.post(path, data=fields, files=files), expect)

    def transition(self, record: str, name: str, expect: int = 200, **fields: str) -> Any:
        return self.post(f"{record}/transitions/{name}/", fields, expect=expect)

    def _checked(self, answer: httpx.Response, expect: int) -> Any:
        assert answer.status_code == expect, f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}"
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"] == "application/problem+json"
        return answer.json() if answer.content else None
