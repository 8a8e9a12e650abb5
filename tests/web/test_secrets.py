"""Secrets stay secret: canaries that go in by every door are searched for in what comes out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from releasemgmt.accounts.commands import create_user, grant_role, system
from releasemgmt.catalog.models import Product
from releasemgmt.releases.models import Release
from releasemgmt.web.models import IdempotentRequest
from releasemgmt.workflow.models import Event
from tests.factories import someone
from tests.web.world import API, Caller, token_for

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "canary-Kolibri-77-password"
COOKIE = "canary-cookie-0123456789abcdef"
pytestmark = pytest.mark.django_db(transaction=True)


def away(*_: Any, **__: Any) -> Any:
    raise OperationalError("the database is gone")


def test_no_secret_comes_out_again(
    product: Product, capfd: pytest.CaptureFixture[str], caplog: Any, monkeypatch: Any
) -> None:
    person = create_user(username="ada", name="Ada L", password=PASSWORD, actor=system())
    grant_role(person, role="release_manager", team=product.team, actor=system(), now=timezone.now())
    secret = token_for(person)
    machine = Client(
        headers={"Authorization": f"Bearer {secret}", "Cookie": f"sessionid={COOKIE}"}, raise_request_exception=False
    )
    browser = Client(raise_request_exception=False)
    seen = [browser.post("/accounts/login/", {"login": "ada", "password": PASSWORD}).content]
    seen += [browser.post("/accounts/login/", {"login": "ada", "password": PASSWORD + "!"}).content]
    good = {"product": "shop", "version": "1.0"}
    seen += [
        machine.post(
            f"{API}/releases/", good, content_type="application/json", headers={"Idempotency-Key": "k"}
        ).content
    ]
    seen += [machine.get(f"{API}/{path}/").content for path in ("me", "releases", "events", "nothing")]
    for error in (OperationalError("gone"), ZeroDivisionError("oops")):

        def fail(*_: Any, error: Exception = error, **__: Any) -> Any:
            raise error

        with monkeypatch.context() as broken:
            broken.setattr("django.db.models.query.QuerySet.first", fail)
            seen += [machine.get(f"{API}/releases/REL-1/").content]
    call_command("create_token", "ada")
    printed = capfd.readouterr()
    made = printed.out.split()[-1]

    stored = json.dumps([event.data for event in Event.objects.all()])
    kept = json.dumps(list(IdempotentRequest.objects.values_list("answer", "body_digest")))
    haystack = b"".join(seen).decode() + stored + kept + printed.err + caplog.text + printed.out.replace(made, "")
    assert made.startswith("rmt_")
    assert Release.objects.exists() and "unhandled_error" not in stored
    assert "oops" in haystack
    for canary in (secret, made, PASSWORD, COOKIE):
        assert canary not in haystack


def test_a_traceback_shows_no_variables() -> None:
    """The form of log lines in production, in a process of its own."""
    script = """
import logging, django
django.setup()
def fail():
    password = "canary-in-a-frame"
    raise ValueError("no luck")
try:
    fail()
except ValueError:
    logging.getLogger("django.request").exception("Internal Server Error: /x")
    import structlog
    structlog.contextvars.bind_contextvars(request_id="ci-42")
    structlog.get_logger().exception("gate_failed", gate="x")
"""
    production = {
        "DATABASE_URL": "postgres://127.0.0.1/none",
        "REDIS_URL": "redis://127.0.0.1/0",
        "SECRET_KEY": "x" * 50,
        "ALLOWED_HOSTS": "localhost",
        "CSRF_TRUSTED_ORIGINS": "http://localhost",
        "DJANGO_SETTINGS_MODULE": "releasemgmt.settings",
    }
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=production, capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [line["level"] for line in lines] == ["error", "error"]
    assert lines[1]["request_id"] == "ci-42"
    assert all("no luck" in line["exception"] for line in lines)
    assert "canary" not in ran.stderr


def test_a_refusal_names_no_secret(release: Release) -> None:
    caller = Caller(someone("auditor"))
    caller.refused("post", f"{API}/releases/{release.number}/comments/", {"body": PASSWORD}, status=403)
    assert PASSWORD not in json.dumps([event.data for event in Event.objects.all()])
