"""What runs where, now and at any past instant, by the records and as it was seen; and whose builds they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery

from deployments.models import DeployedBuild, Deployment, Observation, UnregisteredDigest
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Environment, Product
from releasemgmt.releases.models import Build, Release


@dataclass(frozen=True)
class Place:
    """One component in one environment: what was deployed there last, and what was seen there last."""

    component: Component
    environment: Environment
    running: DeployedBuild | None
    seen: Observation | None
    #: The digests of the latest deployment there that nobody had registered, whatever was deployed or seen since.
    strange: Sequence[UnregisteredDigest] = ()

    @property
    def product(self) -> Product:
        return self.component.product

    @property
    def differs(self) -> bool:
        """Whether something else was seen since than was deployed; what was seen before a deployment says nothing."""
        if self.seen is None or not self.seen.differs:
            return False
        if self.running is None or self.running.succeeded_at is None:
            return True
        is_later = self.seen.last_seen_at >= self.running.succeeded_at
        return is_later and self.seen.digest != self.running.build.digest

    @property
    def unregistered(self) -> list[str]:
        """Digests that were deployed there since, of which nobody knows whether they are builds of this component."""
        last = max(
            (at for at in (self.running and self.running.succeeded_at, self.seen and self.seen.last_seen_at) if at),
            default=None,
        )
        return [
            each.digest for each in self.strange if each.succeeded_at and (last is None or last < each.succeeded_at)
        ]


def running_in(environment: Environment, product: Product, *, at: datetime | None = None) -> QuerySet[DeployedBuild]:
    """What runs of a product in an environment, now or at a past instant: one row a component."""
    here = Component.objects.filter(product=product).values(latest=_latest(OuterRef("pk"), environment.pk, at))
    return _deployed(_keys(here, "latest"))


def what_is_where(at: datetime | None = None, *, user: User | None = None) -> list[Place]:
    """What runs in every environment, now or at a past instant, as far as the user sees it.

    By environment, product and component. Where nothing was deployed or seen, there is no place. Five statements, or
    seven where somebody deployed what nobody had registered.
    """
    products = Product.objects.all() if user is None else roles.visible_to(user, Product.objects.all(), team="team")
    uses = Product.environments.through.objects.filter(product__in=products, product__components__isnull=False)
    component, environment = OuterRef("product__components"), OuterRef("environment")
    known = {"latest": _latest(component, environment, at), "last": _last_seen(component, environment, at)}
    found = list(uses.values(strange=_last_unregistered(OuterRef("product"), environment, at), **known))
    places: dict[tuple[int, int], dict[str, Any]] = {}
    for each in _running(_keys(found, "latest")):
        _at(places, each.component, each.environment)["running"] = each
    seen = Observation.objects.filter(pk__in=_keys(found, "last"))
    for one in seen.select_related("component__product", "environment"):
        _at(places, one.component, one.environment)["seen"] = one
    for its, where, digests in _unregistered(_keys(found, "strange")):
        _at(places, its, where)["strange"] = digests
    return sorted((Place(**known) for known in places.values()), key=_in_order)


def _at(places: dict[tuple[int, int], dict[str, Any]], component: Component, environment: Environment) -> Any:
    unknown = {"component": component, "environment": environment, "running": None, "seen": None}
    return places.setdefault((component.pk, environment.pk), unknown)


def _unregistered(keys: Collection[int]) -> Iterator[tuple[Component, Environment, list[UnregisteredDigest]]]:
    """The components of which each deployment of these digests may have brought a build, and all of its digests."""
    rows: dict[tuple[int, Environment], list[UnregisteredDigest]] = {}
    digests = UnregisteredDigest.objects.filter(deployment__unregistered__in=set(keys))
    for each in digests.select_related("environment").order_by("digest"):
        rows.setdefault((each.product_id, each.environment), []).append(each)
    components = Component.objects.filter(product__in={product for product, _ in rows}).select_related("product")
    for component in components:
        for (product, environment), found in rows.items():
            if product == component.product_id:
                yield component, environment, found


def last_seen(components: Iterable[Component], environment: Environment) -> dict[int, Observation]:
    """What was seen of these components in an environment last, by the key of the component; two statements."""
    rows = Component.objects.filter(pk__in=[each.pk for each in components])
    keys = _keys(rows.values(last=_last_seen(OuterRef("pk"), environment.pk, None)), "last")
    found = Observation.objects.filter(pk__in=keys).select_related("component__product").order_by("component__key")
    return {each.component_id: each for each in found}


def ran_before_attempt(attempt: Deployment) -> list[DeployedBuild]:
    """What ran of an attempt's components in its environment when it began; what was not there yet is left out."""
    components = Component.objects.filter(pk__in=attempt.deployed_builds.values("component"))
    before = _latest(OuterRef("pk"), attempt.environment_id, attempt.started_at, but=attempt.pk)
    return list(_deployed(_keys(components.values(latest=before), "latest")))


def replaced_since(attempt: Deployment) -> list[DeployedBuild]:
    """What runs there of an attempt's components and is newer than the attempt."""
    components = attempt.deployed_builds.values("component")
    running = running_in(attempt.environment, attempt.product).filter(component__in=components)
    others = [each for each in running if each.deployment_id != attempt.pk]
    if attempt.status == Deployment.Status.SUCCEEDED:
        return others
    return [each for each in others if each.succeeded_at and each.succeeded_at > attempt.started_at]


def _in_order(place: Place) -> tuple[int, str, str, str]:
    return place.environment.rank, place.environment.key, place.product.key, place.component.key


def _latest(component: Any, environment: Any, at: datetime | None, *, but: int | None = None) -> Subquery:
    """The row of what ran there last by then, unless it was removed; `but` is a deployment that is not looked at."""
    there = DeployedBuild.objects.filter(component=component, environment=environment)
    if but is not None:
        there = there.exclude(deployment=but)
    if at is None:
        past = there.filter(succeeded_at__isnull=False, removed_at=None)
    else:
        past = there.filter(succeeded_at__lte=at).exclude(removed_at__lte=at)
    return Subquery(past.order_by("-succeeded_at", "-pk").values("pk")[:1])


def _last_seen(component: Any, environment: Any, at: datetime | None) -> Subquery:
    there = Observation.objects.filter(component=component, environment=environment)
    past = there if at is None else there.filter(first_seen_at__lte=at)
    return Subquery(past.order_by("-first_seen_at").values("pk")[:1])


def _last_unregistered(product: Any, environment: Any, at: datetime | None) -> Subquery:
    there = UnregisteredDigest.objects.filter(product=product, environment=environment)
    past = there.filter(succeeded_at__isnull=False) if at is None else there.filter(succeeded_at__lte=at)
    return Subquery(past.order_by("-succeeded_at", "-pk").values("pk")[:1])


def _keys(rows: Iterable[Any], name: str) -> list[int]:
    """The keys, found first: given as a subquery, PostgreSQL would read the whole history for the rows."""
    return [row[name] for row in rows if row[name] is not None]


def _deployed(keys: list[int]) -> QuerySet[DeployedBuild]:
    facts = ("build", "component__product", "environment", "deployment__release", "deployment__product", "back_to")
    return DeployedBuild.objects.filter(pk__in=keys).select_related(*facts).order_by("component__key")


def _running(keys: list[int]) -> list[DeployedBuild]:
    """The rows of these keys with all that is known of them; what many of them share is read once. Three statements."""
    rows = list(DeployedBuild.objects.filter(pk__in=keys).select_related("back_to"))
    builds = Build.objects.select_related("component__product").in_bulk({row.build_id for row in rows})
    shared = Deployment.objects.select_related("release", "environment", "product")
    deployments = shared.in_bulk({row.deployment_id for row in rows})
    for row in rows:
        row.build, row.deployment = builds[row.build_id], deployments[row.deployment_id]
        row.component, row.environment = row.build.component, row.deployment.environment
    return rows


def covering(builds: Collection[Build]) -> list[Release]:
    """The releases to which all of these builds belong, the newest first."""
    shared = Release.objects.filter(builds__in=builds).annotate(shared=Count("builds")).filter(shared=len(builds))
    return list(Release.objects.filter(pk__in=shared.values("pk")).select_related("product").order_by("-pk"))


def ran_before(environment: Environment, builds: Collection[Build]) -> bool:
    """Whether each of these builds ran in the environment at some time."""
    ran = DeployedBuild.objects.filter(environment=environment, build__in=builds, succeeded_at__isnull=False)
    return ran.values("build").distinct().count() == len(builds)
