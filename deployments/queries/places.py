"""What runs where, now and at any past instant; and whose builds they are."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery

from deployments.models import DeployedBuild
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Environment, Product
from releasemgmt.releases.models import Build, Release


def running_in(environment: Environment, product: Product, *, at: datetime | None = None) -> QuerySet[DeployedBuild]:
    """What runs of a product in an environment, now or at a past instant: one row a component."""
    here = Component.objects.filter(product=product).values(latest=_latest(OuterRef("pk"), environment.pk, at))
    return _rows(here)


def what_is_where(at: datetime | None = None, *, user: User | None = None) -> QuerySet[DeployedBuild]:
    """What runs in every environment, now or at a past instant, as far as the user sees it: one row a component."""
    products = Product.objects.all() if user is None else roles.visible_to(user, Product.objects.all(), team="team")
    uses = Product.environments.through.objects.filter(product__in=products, product__components__isnull=False)
    latest = _latest(OuterRef("product__components"), OuterRef("environment"), at)
    return _rows(uses.values(latest=latest)).order_by(
        "environment__rank", "environment__key", "deployment__product__key", "component__key"
    )


def _latest(component: Any, environment: Any, at: datetime | None) -> Subquery:
    there = DeployedBuild.objects.filter(component=component, environment=environment)
    past = there.filter(succeeded_at__isnull=False) if at is None else there.filter(succeeded_at__lte=at)
    return Subquery(past.order_by("-succeeded_at", "-pk").values("pk")[:1])


def _rows(latest: QuerySet[Any, Any]) -> QuerySet[DeployedBuild]:
    """The rows by their keys, found first: given as a subquery, PostgreSQL would read the whole history for them."""
    keys = [row["latest"] for row in latest if row["latest"] is not None]
    facts = ("build", "component", "environment", "deployment__release", "deployment__product")
    return DeployedBuild.objects.filter(pk__in=keys).select_related(*facts).order_by("component__key")


def covering(builds: Collection[Build]) -> list[Release]:
    """The releases to which all of these builds belong, the newest first."""
    shared = Release.objects.filter(builds__in=builds).annotate(shared=Count("builds")).filter(shared=len(builds))
    return list(Release.objects.filter(pk__in=shared.values("pk")).select_related("product").order_by("-pk"))


def ran_before(environment: Environment, builds: Collection[Build]) -> bool:
    """Whether each of these builds ran in the environment at some time."""
    ran = DeployedBuild.objects.filter(environment=environment, build__in=builds, succeeded_at__isnull=False)
    return ran.values("build").distinct().count() == len(builds)
