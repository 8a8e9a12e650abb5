"""What a load balancer and a monitoring system ask: is the process alive, is it ready, what does it count."""

from __future__ import annotations

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from kombu import Connection
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from releasemgmt.workflow import triggers


def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Database, migrations and triggers must be there; a broker that is away only degrades."""
    checks: dict[str, str] = {}
    try:
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
        checks["database"] = "ok"
        checks["migrations"] = f"{len(waiting)} to apply" if waiting else "ok"
        missing = triggers.missing(connection)
        checks["triggers"] = f"missing: {', '.join(missing)}" if missing else "ok"
    except DatabaseError:
        checks["database"] = "does not answer"
    ready = set(checks.values()) == {"ok"}
    checks["broker"] = "ok" if _broker_answers() else "degraded"
    return JsonResponse({"status": "ok" if ready else "unavailable", "checks": checks}, status=200 if ready else 503)


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format, for loopback only: a scraper runs beside the service."""
    if request.META.get("REMOTE_ADDR") not in ("127.0.0.1", "::1"):
        return HttpResponse(status=404)
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def _broker_answers() -> bool:
    if settings.EMBEDDED:
        return True
    try:
        with Connection(settings.CELERY_BROKER_URL, transport_options={"socket_timeout": 1}) as broker:
            broker.ensure_connection(max_retries=1, timeout=1)
    except Exception:
        return False
    return True
