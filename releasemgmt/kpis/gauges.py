"""What a monitoring system sees of the figures: numbers of now, by product, that an index answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Count, Max
from django.utils import timezone
from prometheus_client import REGISTRY, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from deployments.models import Deployment, Incident
from releasemgmt.catalog.models import Product, Tier
from releasemgmt.releases.models import Commit

DAY = timedelta(days=1)


class Gauge(NamedTuple):
    """A number of each product: pairs of a product's key and its number; a product without a pair has `otherwise`."""

    name: str
    text: str
    read: Callable[[datetime], Iterable[tuple[int, Any]]]
    otherwise: int | None = 0


def _incidents(now: datetime) -> Any:
    rows = Incident.objects.going_on().filter(started_at__lte=now).order_by()
    return rows.values_list("product").annotate(Count("pk"))


def _commits(now: datetime) -> Any:
    waiting = Commit.objects.counted().filter(first_release=None).order_by()
    return waiting.values_list("product").annotate(Count("pk"))


def _deployments(status: str) -> Callable[[datetime], Any]:
    def read(now: datetime) -> Any:
        recent = Deployment.objects.filter(product__in=_products(), finished_at__gte=now - DAY, status=status)
        rows = recent.filter(environment__tier=Tier.PRODUCTION).order_by()
        return rows.values_list("product").annotate(Count("pk"))

    return read


def _products() -> list[int]:
    """Named one by one, so that the index by product and end is entered for each."""
    return list(Product.objects.order_by().values_list("pk", flat=True))


def _last(now: datetime) -> Any:
    rows = Deployment.objects.filter(product__in=_products(), finished_at__gte=now - 30 * DAY).order_by()
    rows = rows.filter(environment__tier=Tier.PRODUCTION, status=Deployment.Status.SUCCEEDED)
    found: Any = rows.values_list("product").annotate(Max("finished_at"))
    return [(product, at.timestamp()) for product, at in found]


GAUGES = (
    Gauge("releasemgmt_open_incidents", "Incidents that are not restored yet.", _incidents),
    Gauge("releasemgmt_waiting_commits", "Commits that have not reached production yet.", _commits),
    Gauge(
        "releasemgmt_deployments_1d", "Deployments to production that succeeded in a day.", _deployments("succeeded")
    ),
    Gauge("releasemgmt_failed_deployments_1d", "Those that failed in a day.", _deployments("failed")),
    Gauge(
        "releasemgmt_last_deployment_timestamp_seconds",
        "When the last deployment to production succeeded, within thirty days.",
        _last,
        otherwise=None,
    ),
)


class Figures(Collector):
    """The gauges, read when they are scraped: any process of the service answers alike."""

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily(gauge.name, gauge.text, labels=["product"]) for gauge in GAUGES]

    def collect(self) -> Iterable[Metric]:
        now = timezone.now()
        keys = dict(Product.objects.order_by("key").values_list("pk", "key"))
        for gauge in GAUGES:
            family = GaugeMetricFamily(gauge.name, gauge.text, labels=["product"])
            found = dict(gauge.read(now))
            for pk, key in keys.items():
                if (value := found.get(pk, gauge.otherwise)) is not None:
                    family.add_metric([key], value)
            yield family


REGISTRY.register(Figures())
