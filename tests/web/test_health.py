"""What load balancers and monitoring ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from releasemgmt.workflow import triggers
from releasemgmt.workflow.commands import comment
from releasemgmt.workflow.models import Pending
from tests.factories import TeamFactory, someone


@pytest.fixture
def database_away() -> Iterator[None]:
    def away(*_: Any) -> Any:
        raise OperationalError("canary: no route to host")

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(BaseDatabaseWrapper, "cursor", away)
        yield


def test_alive_asks_no_database(client: Client) -> None:
    """Without the `db` mark a query would fail."""
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.django_db
def test_ready_names_what_it_looked_at(client: Client, settings: Any) -> None:
    settings.EMBEDDED = True
    answer = client.get("/readyz")
    checks = dict.fromkeys(("database", "migrations", "triggers", "broker"), "ok")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "checks": checks})


@pytest.mark.django_db
def test_a_broker_that_is_away_only_degrades(client: Client, settings: Any) -> None:
    settings.EMBEDDED, settings.CELERY_BROKER_URL = False, "redis://127.0.0.1:1/0"
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["broker"]) == (200, "degraded")


@pytest.mark.django_db
def test_not_ready_while_a_migration_waits(client: Client) -> None:
    MigrationRecorder(connection).record_unapplied("web", "0002_cache_table")
    answer = client.get("/readyz")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer.json()["checks"]["migrations"] == "1 to apply"


@pytest.mark.django_db
def test_not_ready_while_events_could_be_changed(client: Client) -> None:
    triggers.remove(connection)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["triggers"].startswith("missing: workflow_event_no_")


def test_not_ready_without_the_database(client: Client, database_away: None) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer.json()["checks"]["database"] == "does not answer"
    assert b"canary" not in answer.content
    assert client.get("/healthz").status_code == 200


@pytest.mark.django_db
def test_metrics_count_what_waits_in_the_outbox(client: Client) -> None:
    comment(TeamFactory(), body="Hello.", actor=someone("contributor"))
    waiting = f"releasemgmt_outbox_pending {float(Pending.objects.count())}"
    assert waiting in client.get("/metrics").content.decode()
    assert not waiting.endswith(" 0.0")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "request_from",
    [{"REMOTE_ADDR": "10.0.0.7"}, {"HTTP_X_FORWARDED_FOR": "10.0.0.7"}, {"HTTP_FORWARDED": "for=10.0.0.7"}],
)
def test_metrics_are_for_this_machine_only(client: Client, request_from: Any) -> None:
    assert client.get("/metrics", **request_from).status_code == 404


@pytest.mark.django_db
def test_migrate_makes_the_caches_table() -> None:
    assert "web_cache" in connection.introspection.table_names()
