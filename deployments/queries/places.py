"""What runs where, now and at any past instant, by the records and as it was seen; and whose builds they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db.models import Count, F, OuterRef, QuerySet, Subquery, TextField
from django.db.models.functions import Coalesce, JSONArray

from deployments.models import DeployedBuild, Deployment, Observation, UnregisteredDigest
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Environment, Product
from releasemgmt.releases.models import Build, Release


class Running(NamedTuple):
    """A digest that runs somewhere: since when, by which deployment, and as a part of which release, if of any."""

    digest: str
    deployment_id: int
    succeeded_at: datetime
    release_id: int | None
    version: str | None

    @property
    def release(self) -> str | None:
        """The number of the release."""
        return f"{Release.NUMBER_PREFIX}-{self.release_id}" if self.release_id else None


class Seen(NamedTuple):
    """A digest that was seen somewhere, and whether that was another than ought to run there (Observation)."""

    digest: str
    expected: str
    first_seen_at: datetime
    last_seen_at: datetime

    @property
    def differs(self) -> bool:
        return self.digest != self.expected


class Place(NamedTuple):
    """One component in one environment: what was deployed there last, and what was seen there last."""

    component: Component
    environment: Environment
    running: Running | None
    seen: Seen | None
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
        if self.running is None:
            return True
        return self.seen.last_seen_at >= self.running.succeeded_at and self.seen.digest != self.running.digest

    @property
    def unregistered(self) -> list[str]:
        """Digests that were deployed there since, of which nobody knows whether they are builds of this component."""
        deployed_at = self.running.succeeded_at if self.running else None
        return _since(self.strange, deployed_at, self.seen.last_seen_at if self.seen else None)


#: What `Running` and `Seen` are made of; what a rollback brought back belongs to an earlier release.
RUNNING = (
    "build__digest",
    "deployment",
    "succeeded_at",
    Coalesce("back_to", "deployment__release"),
    Coalesce("back_to__version", "deployment__release__version"),
)
SEEN = ("digest", "expected", "first_seen_at", "last_seen_at")


def running_in(environment: Environment, product: Product, *, at: datetime | None = None) -> QuerySet[DeployedBuild]:
    """What runs of a product in an environment, now or at a past instant: one row a component."""
    here = Component.objects.filter(product=product).values(latest=_key(_latest(OuterRef("pk"), environment.pk, at)))
    return _deployed(_keys(here, "latest"))


def what_is_where(at: datetime | None = None, *, user: User | None = None) -> list[Place]:
    """What runs in every environment, now or at a past instant, as far as the user sees it.

    By environment, product and component. Where nothing was deployed or seen, there is no place. At most five
    statements: the first says what is known of each place, the others read what many places share.
    """
    products = Product.objects.all() if user is None else roles.visible_to(user, Product.objects.all(), team="team")
    uses = Product.environments.through.objects.filter(product__in=products, product__components__isnull=False)
    component, environment = OuterRef("product__components"), OuterRef("environment")
    last = {
        "running": _said(_latest(component, environment, at), *RUNNING),
        "seen": _said(_last_seen(component, environment, at), *SEEN),
        "strange": _key(_last_unregistered(OuterRef("product"), environment, at)),
    }
    rows: Iterable[Any] = uses.values("environment", component=F("product__components"), **last)
    known = [row for row in rows if row["running"] or row["seen"] or row["strange"]]
    components = Component.objects.prefetch_related("product").in_bulk({row["component"] for row in known})
    environments = Environment.objects.in_bulk({row["environment"] for row in known})
    strange = _unregistered(_keys(known, "strange"))
    ranks = _ranks(environments, lambda each: (each.rank, each.key))
    turns = _ranks(components, lambda each: (each.product.key, each.key))
    known.sort(key=lambda row: (ranks[row["environment"]], turns[row["component"]]))
    said = zip(_decoded(known, "running"), _decoded(known, "seen"), strict=True)
    return [
        Place(
            component=components[row["component"]],
            environment=environments[row["environment"]],
            running=_running(*running) if running else None,
            seen=_seen(*seen) if seen else None,
            strange=strange.get(row["strange"], ()),
        )
        for row, (running, seen) in zip(known, said, strict=True)
    ]


def _unregistered(keys: Collection[int]) -> dict[int, list[UnregisteredDigest]]:
    """For each of these digests, all that were deployed together with it."""
    together: dict[int, list[UnregisteredDigest]] = {}
    for each in UnregisteredDigest.objects.filter(deployment__unregistered__in=set(keys)).order_by("digest"):
        together.setdefault(each.deployment_id, []).append(each)
    return {each.pk: digests for digests in together.values() for each in digests}


def running_and_in_doubt(
    environment: Environment, product: Product
) -> tuple[list[DeployedBuild], dict[Component, list[str]]]:
    """What runs of a product in an environment, and of each component the digests that may have replaced it.

    Two statements; six where somebody deployed what nobody had registered.
    """
    strange = _key(_last_unregistered(product.pk, environment.pk, None))
    last = {"latest": _key(_latest(OuterRef("pk"), environment.pk, None)), "strange": strange}
    rows = list(product.components.values(**last))
    running = list(_deployed(_keys(rows, "latest")))
    found = _unregistered(_keys(rows[:1], "strange"))
    if not found:
        return running, {}
    components = list(product.components.all())
    deployed_at = {each.component: each.succeeded_at for each in running}
    seen_at = {each.component: each.last_seen_at for each in last_seen(components, environment).values()}
    digests = next(iter(found.values()))
    return running, {each: _since(digests, deployed_at.get(each), seen_at.get(each)) for each in components}


def _since(strange: Iterable[UnregisteredDigest], *known_at: datetime | None) -> list[str]:
    """Those that were deployed after the last instant at which somebody knew what runs there."""
    last = max((at for at in known_at if at), default=None)
    return [each.digest for each in strange if each.succeeded_at and (last is None or last < each.succeeded_at)]


def last_seen(components: Iterable[Component], environment: Environment) -> dict[int, Observation]:
    """What was seen of these components in an environment last, by the key of the component; two statements."""
    rows = Component.objects.filter(pk__in=[each.pk for each in components])
    keys = _keys(rows.values(last=_key(_last_seen(OuterRef("pk"), environment.pk, None))), "last")
    found = Observation.objects.filter(pk__in=keys).select_related("component__product").order_by("component__key")
    return {each.component_id: each for each in found}


def ran_before_attempt(attempt: Deployment) -> list[DeployedBuild]:
    """What ran of an attempt's components in its environment when it began; what was not there yet is left out."""
    components = Component.objects.filter(pk__in=attempt.deployed_builds.values("component"))
    before = _latest(OuterRef("pk"), attempt.environment_id, attempt.started_at, but=attempt.pk)
    return list(_deployed(_keys(components.values(latest=_key(before)), "latest")))


def replaced_since(attempt: Deployment) -> list[DeployedBuild]:
    """What runs there of an attempt's components and is newer than the attempt."""
    components = attempt.deployed_builds.values("component")
    running = running_in(attempt.environment, attempt.product).filter(component__in=components)
    others = [each for each in running if each.deployment_id != attempt.pk]
    if attempt.status == Deployment.Status.SUCCEEDED:
        return others
    return [each for each in others if each.succeeded_at and each.succeeded_at > attempt.started_at]


def _ranks(records: Mapping[int, Any], order: Callable[[Any], Any]) -> dict[int, int]:
    """The place of each of these records, by its key, in an order."""
    return {pk: n for n, pk in enumerate(sorted(records, key=lambda pk: order(records[pk])))}


def _latest(
    component: Any, environment: Any, at: datetime | None, *, but: int | None = None
) -> QuerySet[DeployedBuild]:
    """What ran there last by then comes first, unless it was removed; `but` is a deployment that is not looked at."""
    there = DeployedBuild.objects.filter(component=component, environment=environment)
    if but is not None:
        there = there.exclude(deployment=but)
    if at is None:
        past = there.filter(succeeded_at__isnull=False, removed_at=None)
    else:
        past = there.filter(succeeded_at__lte=at).exclude(removed_at__lte=at)
    return past.order_by("-succeeded_at", "-pk")


def _last_seen(component: Any, environment: Any, at: datetime | None) -> QuerySet[Observation]:
    there = Observation.objects.filter(component=component, environment=environment)
    past = there if at is None else there.filter(first_seen_at__lte=at)
    return past.order_by("-first_seen_at")


def _last_unregistered(product: Any, environment: Any, at: datetime | None) -> QuerySet[UnregisteredDigest]:
    there = UnregisteredDigest.objects.filter(product=product, environment=environment)
    past = there.filter(succeeded_at__isnull=False) if at is None else there.filter(succeeded_at__lte=at)
    return past.order_by("-succeeded_at", "-pk")


def _key(rows: QuerySet[Any]) -> Subquery:
    """The key of the first of these rows."""
    return Subquery(rows.values("pk")[:1])


def _said(rows: QuerySet[Any], *facts: Any) -> Subquery:
    """What the first of these rows says, in one column, as JSON that is still to be decoded."""
    return Subquery(rows.values(said=JSONArray(*facts))[:1], output_field=TextField())


def _decoded(rows: Iterable[Any], name: str) -> list[Any]:
    """A column of JSON, of all rows at once: many small texts one by one take three times as long."""
    found: list[Any] = json.loads(f"[{','.join(row[name] or 'null' for row in rows)}]")
    return found


def _running(digest: str, deployment: int, succeeded_at: str, release: int | None, version: str | None) -> Running:
    return Running(digest, deployment, _instant(succeeded_at), release, version)


def _seen(digest: str, expected: str, first_seen_at: str, last_seen_at: str) -> Seen:
    return Seen(digest, expected, _instant(first_seen_at), _instant(last_seen_at))


def _instant(said: str) -> datetime:
    """An instant, which is text in JSON, and without a zone in SQLite's, where it is in UTC."""
    at = datetime.fromisoformat(said)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _keys(rows: Iterable[Any], name: str) -> list[int]:
    """The keys, found first: given as a subquery, PostgreSQL would read the whole history for the rows."""
    return [row[name] for row in rows if row[name] is not None]


def _deployed(keys: list[int]) -> QuerySet[DeployedBuild]:
    facts = ("build", "component__product", "environment", "deployment__release", "deployment__product", "back_to")
    return DeployedBuild.objects.filter(pk__in=keys).select_related(*facts).order_by("component__key")


def covering(builds: Collection[Build]) -> list[Release]:
    """The releases to which all of these builds belong, the newest first."""
    shared = Release.objects.filter(builds__in=builds).annotate(shared=Count("builds")).filter(shared=len(builds))
    return list(Release.objects.filter(pk__in=shared.values("pk")).select_related("product").order_by("-pk"))


def ran_before(environment: Environment, builds: Collection[Build]) -> bool:
    """Whether each of these builds ran in the environment at some time."""
    ran = DeployedBuild.objects.filter(environment=environment, build__in=builds, succeeded_at__isnull=False)
    return ran.values("build").distinct().count() == len(builds)
