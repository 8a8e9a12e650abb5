"""Real worker, real beat, real SMTP: what happens in one process is told by another."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.utils import timezone

from deployments.models import DeploymentPlan
from releasemgmt.accounts.models import Team, User
from releasemgmt.notifications import fanout
from releasemgmt.notifications.commands import deliver
from releasemgmt.notifications.models import Channel, Delivery
from releasemgmt.workflow import queries
from releasemgmt.workflow.models import Event, Pending
from tests.background import Background, Mailbox, eventually
from tests.deployments.conftest import shop as shop
from tests.deployments.world import Shop
from tests.notifications.world import tell


@pytest.fixture
def listening(transactional_db: None, tmp_path: Path, mailbox: Mailbox) -> Iterator[Background]:
    """An installation in which the tests' own events are heard."""
    processes = Background(
        tmp_path,
        settings_module="tests.notifications.installation",
        EMAIL_URL=mailbox.url,
        PUBLIC_URL="https://release.example.org",
    )
    processes.start()
    yield processes
    processes.stop()


def test_an_event_becomes_an_inbox_entry_and_a_mail(
    listening: Background, mailbox: Mailbox, team: Team, actor: User, reader: User
) -> None:
    event = tell(team, reader, actor=actor, news="REL-1 waits for “you”")
    (sent,) = eventually(lambda: mailbox.mails)
    assert (sent["To"], sent["Subject"]) == ("bob@example.org", "shop: REL-1 waits for “you”")
    assert sent["Auto-Submitted"] == "auto-generated"
    assert sent.get_content_type() == "text/plain"
    assert "https://release.example.org/admin/" in sent.get_content()
    assert Delivery.objects.inbox_of(reader).get().event == event
    eventually(lambda: Delivery.objects.filter(channel=Channel.EMAIL, state="sent").count() == 1)
    assert not Pending.objects.exists()


def test_a_due_plan_starts_and_those_whose_turn_it_is_are_told(
    transactional_db: None, background: Background, mailbox: Mailbox, shop: Shop
) -> None:
    """With the settings, gates and audiences of an installation; the plan is due a moment from now."""
    due = timezone.now() + timedelta(seconds=1)
    release = shop.release("1.0", to="planned")
    plan = shop.scheduled(
        release, shop.test, autostart=True, planned_start=due, latest_start=due + timedelta(minutes=10)
    )
    (sent,) = eventually(lambda: mailbox.mails)
    assert (sent["To"], sent["Subject"]) == (shop.deployer.email, f"{plan} has started: your tasks wait")
    started = Event.objects.get(stream=plan.stream, kind="deployments.deploymentplan.start")
    assert (started.actor.kind, started.on_behalf_of) == ("system", shop.manager)
    assert started.at >= due
    assert started.request_id, "each run of a task has an id"
    assert DeploymentPlan.objects.get(pk=plan.pk).state == "in_progress"
    assert list(queries.breaks()) == []


@pytest.mark.skipif(settings.EMBEDDED, reason="the embedded installation has no broker")
def test_the_brokers_password_is_told_to_nobody(transactional_db: None, tmp_path: Path) -> None:
    """Worker and beat that the broker turns away say so, line by line as JSON, and not what they showed it."""
    broker = urlsplit(settings.CELERY_BROKER_URL)
    refused = broker._replace(netloc=f"nobody:canary-secret@{broker.hostname}:{broker.port}").geturl()
    processes = Background(tmp_path, REDIS_URL=refused)
    processes.start()
    try:
        eventually(lambda: processes.log.read_text().count("Cannot connect") + processes.log.read_text().count("WRONG"))
    finally:
        processes.stop()
    said = processes.log.read_text()
    assert "canary" not in said
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert {"level", "logger", "timestamp", "event"} <= lines[0].keys()


@pytest.fixture
def smtp(settings: Any, mailbox: Mailbox) -> Mailbox:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port
    return mailbox


@pytest.mark.django_db
def test_a_newline_in_a_title_makes_no_header(
    smtp: Mailbox, team: Team, actor: User, reader: User, now: datetime
) -> None:
    tell(team, reader, actor=actor, news="ship it\r\nBcc: all@example.org")
    fanout.drain(now=now)
    deliver(now=now)
    (sent,) = smtp.mails
    assert sent["Bcc"] is None
    assert sent["Subject"] == "shop: ship it"


@pytest.mark.django_db
def test_the_mail_password_is_told_to_nobody(
    smtp: Mailbox, settings: Any, team: Team, actor: User, reader: User, now: datetime
) -> None:
    """The server knows no AUTH, so that signing in fails; neither log nor row may say with what."""
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "mailer", "canary-secret"
    written = io.StringIO()
    lines = logging.StreamHandler(written)
    logging.getLogger().addHandler(lines)
    tell(team, reader, actor=actor)
    fanout.drain(now=now)
    try:
        deliver(now=now)
    finally:
        logging.getLogger().removeHandler(lines)
    assert "SMTPNotSupportedError" in written.getvalue()
    assert Delivery.objects.get(channel=Channel.EMAIL).error == "SMTPNotSupportedError"
    assert "canary" not in written.getvalue()
