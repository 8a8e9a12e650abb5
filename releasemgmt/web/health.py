"""What a load balancer and a monitoring system ask: is the process alive, is it ready, what does it count."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from kombu import Connection
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from releasemgmt.web.errors import RETRY_AFTER
from releasemgmt.workflow import triggers
from releasemgmt.workflow.models import Pending

LOOPBACK = ("127.0.0.1", "::1")
FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED")


def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Database, migrations and triggers must be there; a broker that is away only degrades."""
    try:
        checks = _database()
    except Error:
        checks = {"database": "does not answer"}
    ready = set(checks.values()) == {"ok"}
    checks["broker"] = "ok" if _broker_answers() else "degraded"
    body = {"status": "ok" if ready else "unavailable", "checks": checks}
    return JsonResponse(body, status=200 if ready else 503, headers={} if ready else {"Retry-After": RETRY_AFTER})


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format, for this machine only: the scraper runs beside the service, not behind its proxy."""
    if request.META.get("REMOTE_ADDR") not in LOOPBACK or any(name in request.META for name in FORWARDED):
        return HttpResponse(status=404)
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)


class Outbox(Collector):
    """How far publication lags: a number that any process of the service reads alike."""

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily("releasemgmt_outbox_pending", "Events that are not published yet.")]

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "releasemgmt_outbox_pending", "Events that are not published yet.", value=Pending.objects.count()
        )


REGISTRY.register(Outbox())


def _database() -> dict[str, str]:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        return {"database": "ok", "migrations": f"{len(waiting)} to apply"}
    missing = triggers.missing(connection)
    return {
        "database": "ok",
        "migrations": "ok",
        "triggers": f"missing: {', '.join(missing)}" if missing else "ok",
    }


def _broker_answers() -> bool:
    if settings.EMBEDDED:
        return True
    try:
        with Connection(settings.CELERY_BROKER_URL, transport_options={"socket_timeout": 1}) as broker:
            broker.ensure_connection(max_retries=1, timeout=1)
    except Exception:
        return False
    return True
