"""The promotion path: what of a release has run in the environment before, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Subquery

from deployments.models import DeployedBuild, WindowOverride
from deployments.queries.windows import approved_overrides
from releasemgmt.catalog.models import Environment, Product
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import once, while_reading


@dataclass(frozen=True)
class Unproven:
    """A component whose build has not run in the source long enough; `soaked_at` is when it will have, if it stays."""

    component: str
    since: datetime | None
    soaked_at: datetime | None


@dataclass(frozen=True)
class Promotion:
    """What the promotion path says of a start, and the override by which it is open where one is needed.

    `spent` are the release's overrides that would do, were they not used up or expired.
    """

    source: Environment | None = None
    unproven: Sequence[Unproven] = ()
    override: WindowOverride | None = None
    spent: Sequence[WindowOverride] = ()

    @property
    def is_open(self) -> bool:
        return not self.unproven or self.override is not None


def source_of(environment: Environment, product: Product) -> Environment | None:
    """Whence a product's builds come into an environment: the next lower-ranked one that it uses. One statement."""
    lower = product.environments.filter(rank__lt=environment.rank).order_by("-rank", "key")
    return while_reading(("source", environment.pk, product.pk), lower.first)


def promotion(release: Release, environment: Environment, *, at: datetime) -> Promotion:
    """Whether the promotion path lets a release start in an environment at that time. At most three statements.

    Looked up once for a command or a read; where its product asks for none, nothing is.
    """
    if not release.product.promotion_required:
        return Promotion()
    return once(("promotion", release.pk, environment.pk, at), lambda: _promotion(release, environment, at))


def _promotion(release: Release, environment: Environment, at: datetime) -> Promotion:
    source = source_of(environment, release.product)
    unproven = _unproven(release, source, at) if source else []
    if not unproven:
        return Promotion(source)
    given = [override for override in approved_overrides(release, environment) if override.skips_promotion]
    usable = [override for override in given if override.standing(at) == WindowOverride.State.APPROVED]
    return Promotion(source, unproven, next(iter(usable), None), () if usable else given)


def _unproven(release: Release, source: Environment, at: datetime) -> list[Unproven]:
    """The release's components of which the digest never succeeded in the source, or was replaced or is too young."""
    soak = timedelta(minutes=release.product.soak_minutes)
    found = []
    for component, since, *ends in while_reading(("times", release.pk, source.pk), lambda: _times(release, source)):
        until = min(filter(None, ends), default=None)
        if since is None:
            found.append(Unproven(component, None, None))
        elif (until or at) < since + soak:
            found.append(Unproven(component, since, None if until else since + soak))
    return found


def _times(release: Release, source: Environment) -> list[tuple[Any, ...]]:
    """Since when the digest of each component ran in the source, when another replaced it, when it was removed."""
    there = DeployedBuild.objects.filter(component=OuterRef("component"), environment=source)
    there = there.filter(succeeded_at__isnull=False)
    same = there.filter(build__digest=OuterRef("digest")).order_by("-succeeded_at", "-pk")
    other = there.exclude(build__digest=OuterRef("digest")).filter(succeeded_at__gt=OuterRef("since"))
    builds = release.builds.annotate(since=Subquery(same.values("succeeded_at")[:1]))
    builds = builds.annotate(removed=Subquery(same.values("removed_at")[:1]))
    builds = builds.annotate(until=Subquery(other.order_by("succeeded_at", "pk").values("succeeded_at")[:1]))
    return list(builds.order_by("component__key").values_list("component__key", "since", "until", "removed"))
