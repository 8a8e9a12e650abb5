"""Secrets stay secret: canaries that go in by every door are searched for in what comes out."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from deployments.commands import TaskDraft, call_webhooks
from releasemgmt.accounts.commands import create_user, grant_role, system
from releasemgmt.catalog.models import Product
from releasemgmt.integrations.standard_webhooks import key_of
from releasemgmt.notifications.fanout import drain
from releasemgmt.releases.models import Release
from releasemgmt.web.models import IdempotentRequest
from releasemgmt.workflow.models import Event
from releasemgmt.workflow.signatures import new_key
from tests.accounts.test_second_factor import PASSWORD as PASSWORD_OF_MARA
from tests.accounts.test_second_factor import sign_in, turn_on
from tests.deployments.conftest import shop as shop
from tests.deployments.receiver import SECRET as WEBHOOK_SECRET
from tests.deployments.receiver import Receiver
from tests.deployments.world import Shop
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
            broken.setattr("django.db.models.query.QuerySet.filter", fail)
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
        "OIDC_SERVER_URL": "https://sso.example.org",
        "OIDC_CLIENT_ID": "releasemgmt",
        "OIDC_CLIENT_SECRET": "canary-client-secret",
        "CHECKPOINT_KEY": "canary-checkpoint-key",
    }
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=production, capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [line["level"] for line in lines] == ["error", "error"]
    assert lines[1]["request_id"] == "ci-42"
    assert all("no luck" in line["exception"] for line in lines)
    assert "canary" not in ran.stderr


def test_no_secret_of_a_second_factor_comes_out_again(product: Product, caplog: Any) -> None:
    """Neither the secret nor a recovery code: the database keeps the secret encrypted, pages show it once."""
    person = create_user(username="mara", password=PASSWORD_OF_MARA, actor=system())
    grant_role(person, role="contributor", team=product.team, actor=system(), now=timezone.now())
    browser = Client()
    sign_in(browser)
    secret = turn_on(browser)
    administrator = Client()
    administrator.force_login(someone("administrator", username="root"))
    seen = [browser.get(f"{API}/me/"), browser.get("/accounts/2fa/"), browser.get("/admin/")]
    seen += [administrator.get(f"/admin/accounts/user/{person.pk}/change/"), administrator.get(f"{API}/events/")]
    stored = json.dumps([event.data for event in Event.objects.all()])
    stored += str(list(Authenticator.objects.values_list("data", flat=True)))
    assert Authenticator.objects.filter(type=Authenticator.Type.TOTP).exists()
    assert secret not in b"".join(answer.content for answer in seen).decode() + stored + caplog.text


def test_the_key_of_checkpoints_stays_in_the_environment(
    product: Product, settings: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: Any
) -> None:
    key, spoilt = new_key(), "canary-no-key-0123456789"
    for each in (key, spoilt):
        settings.CHECKPOINT_KEY = each
        with suppress(CommandError):
            call_command("checkpoint", file=tmp_path / "checkpoints")
    with pytest.raises(CommandError) as refused:
        call_command("checkpoint", file=tmp_path / "checkpoints")
    printed = capfd.readouterr()
    written = (tmp_path / "checkpoints").read_text()
    haystack = written + printed.out + printed.err + str(refused.value) + caplog.text
    assert written and key not in haystack and spoilt not in haystack


def test_the_secret_at_the_provider_is_in_no_answer_and_no_log(
    settings: Any, caplog: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """The provider does not answer: the page says so and nothing tells what we would have shown it."""
    canary = "canary-client-secret-42"
    app = {"provider_id": "oidc", "name": "SSO", "client_id": "us", "secret": canary}
    app["settings"] = {"server_url": "http://127.0.0.1:9"}  # type: ignore[assignment]
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APP": app}}
    browser = Client(raise_request_exception=False)
    seen = [browser.get("/accounts/login/"), browser.post("/accounts/oidc/oidc/login/")]
    seen.append(browser.get("/accounts/oidc/oidc/login/callback/?code=x&state=y"))
    assert 404 not in [answer.status_code for answer in seen]
    printed = capfd.readouterr()
    haystack = "".join(str(answer.headers) + answer.content.decode() for answer in seen)
    assert canary not in haystack + printed.out + printed.err + caplog.text


def test_the_secret_of_an_endpoint_comes_out_nowhere(
    shop: Shop, settings: Any, tmp_path: Path, caplog: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither where calls fail and callbacks are refused, nor in the evidence, the log of events, a backup."""
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8")]
    caller = Caller(someone("administrator", "auditor", team=shop.product.team))
    with Receiver(statuses=[500]).open() as receiver:
        body = {"product": "shop", "key": "deployer", "url": receiver.url, "secret": WEBHOOK_SECRET}
        seen = [caller.post(f"{API}/webhook-endpoints/", body, headers={"Idempotency-Key": "k"})]
        seen += [caller.post(f"{API}/webhook-endpoints/", {**body, "more": WEBHOOK_SECRET})]
        plan = shop.started(shop.release("1.0"), tasks=[TaskDraft("Swap", kind="webhook", endpoint="deployer")])
        for seconds in (0, 10):
            call_webhooks(now=plan.planned_start + timedelta(seconds=seconds))
        seen += [receiver.call_back(receiver.got[1], secret="whsec_" + "A" * 40), receiver.call_back(receiver.got[1])]
    drain(now=timezone.now())
    paths = ["webhook-endpoints", f"deployment-plans/{plan.number}", f"releases/{plan.release.number}/evidence"]
    seen += [caller.get(f"{API}/{path}/") for path in (*paths, "products/shop/events", "events")]
    call_command("backup", tmp_path / "backup")
    printed = capfd.readouterr()
    haystack = b"".join(answer.content for answer in seen).decode() + printed.out + printed.err + caplog.text
    haystack += gzip.decompress((tmp_path / "backup").read_bytes()).decode() + str(receiver.got)
    haystack += str([list(model._base_manager.values_list()) for model in apps.get_models()])
    assert plan.tasks.get(title="Swap").state == "done" and "it answered 500" in haystack
    for canary in (WEBHOOK_SECRET, WEBHOOK_SECRET.removeprefix("whsec_"), str(key_of(WEBHOOK_SECRET))[2:-1]):
        assert canary not in haystack


def test_a_refusal_names_no_secret(release: Release) -> None:
    caller = Caller(someone("auditor"))
    caller.refused("post", f"{API}/releases/{release.number}/comments/", {"body": PASSWORD}, status=403)
    assert PASSWORD not in json.dumps([event.data for event in Event.objects.all()])
