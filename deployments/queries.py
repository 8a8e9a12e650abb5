"""What runs where, what a release would change there, and what deployments say about the next one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, F, Min, OuterRef, Q, QuerySet, Subquery

from approvals.models import ChangeRequest
from deployments.models import DeployedBuild, Deployment, DeploymentPlan, DeploymentTask
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Role, User
from releasemgmt.catalog.models import Component, Environment, Product, Tier
from releasemgmt.notifications.queries import people_in, record_of
from releasemgmt.releases.models import Build, Commit, DefectLink, Release
from releasemgmt.workflow.models import Event

ACCEPTED_NOW_OR_BEFORE = (
    Release.State.ACCEPTED,
    Release.State.DEPLOYED,
    Release.State.CLOSED,
    Release.State.ROLLED_BACK,
)


def running_in(environment: Environment, product: Product, *, at: datetime | None = None) -> QuerySet[DeployedBuild]:
    """What runs of a product in an environment, now or at a past instant: one row for each component."""
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
    facts = ("build", "component", "environment", "deployment__release", "deployment__product")
    return DeployedBuild.objects.filter(pk__in=latest).select_related(*facts).order_by("component__key")


def covering(builds: Collection[Build]) -> list[Release]:
    """The releases that these builds belong to, all of them to the same; the newest first."""
    shared = Count("builds", filter=Q(builds__in=builds))
    releases = Release.objects.filter(product__builds__in=builds).annotate(shared=shared)
    return list(Release.objects.filter(pk__in=releases.filter(shared=len(builds)).values("pk")).order_by("-pk"))


def ever_accepted(releases: Iterable[Release]) -> list[Release]:
    """Those that are accepted, or were at some time."""
    releases = list(releases)
    streams = [release.stream for release in releases]
    accepted = Event.objects.filter(stream__in=streams, kind="releases.release.accept").values_list("stream", flat=True)
    once = set(accepted)
    return [each for each in releases if each.state in ACCEPTED_NOW_OR_BEFORE or each.stream in once]
