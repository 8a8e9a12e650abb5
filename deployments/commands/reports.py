"""Deployments that pipelines did by themselves, reported once they are finished."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from deployments.commands.outcomes import (
    finish_changes,
    implement_changes,
    leave_production,
    lock_changes,
    reach_production,
    releases_in,
)
from deployments.models import DeployedBuild, Deployment
from deployments.queries import covering, ran_before
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment, Product
from releasemgmt.releases.models import Build, Release
from releasemgmt.workflow.commands import command, lock, permit, record
from releasemgmt.workflow.errors import Conflict, Invalid

Status = Deployment.Status
#: Releases whose content was accepted, whatever came of it.
ONCE_ACCEPTED = (
    Release.State.ACCEPTED,
    Release.State.DEPLOYED,
    Release.State.CLOSED,
    Release.State.ROLLED_BACK,
)
#: What the same report, sent again, says again.
FACTS = ("environment_id", "kind", "status", "started_at", "finished_at", "remediates_id")
#: How far a pipeline's clock may be ahead of ours.
CLOCK_SKEW = timedelta(minutes=5)


def report_deployment(  # noqa: PLR0913 - a deployment's columns
    *,
    environment: Environment,
    status: str,
    started_at: datetime,
    finished_at: datetime | None,
    actor: User,
    now: datetime,
    release: Release | None = None,
    builds: Sequence[Build] = (),
    kind: str = Deployment.Kind.DEPLOY,
    external_id: str = "",
    remediates: Deployment | None = None,
) -> tuple[Deployment, bool]:
    """Record a deployment that is over; answers it and whether it is new. Evidence is not refused, it may be flagged.

    `builds` are what was deployed, by default those of `release`; they say which release it is, whatever was named.
    """
    with command():
        builds = list(builds) or (list(release.builds.all()) if release else [])
        product = _product_of(builds, release)
        permit(actor, product, roles.deploy, to="report deployments")
        deployment = Deployment(
            product=product,
            environment=environment,
            kind=kind,
            origin=Deployment.Origin.REPORTED,
            status=status,
            external_id=external_id,
            remediates=remediates,
            started_at=started_at,
            finished_at=finished_at,
            reported_by=actor,
        )
        _check(deployment, builds, now=now)
        _attribute(deployment, builds, named=release)
        before = releases_in(environment, product) if kind == Deployment.Kind.ROLLBACK else set()
        _lock(deployment, touched=before)
        if known := _known(deployment, builds):
            return known, False
        _write(deployment, builds, actor=actor, now=now)
        if environment.is_production and status == Status.SUCCEEDED:
            _follow(deployment, before=before, actor=actor, now=now)
        return deployment, True


def _product_of(builds: Sequence[Build], release: Release | None) -> Product:
    if not builds:
        raise Invalid({"builds": "Name what was deployed: builds, or a release that has some."})
    product = release.product if release else builds[0].product
    if {build.product_id for build in builds} != {product.pk}:
        raise Invalid({"builds": "Name builds of one product, that of the release."})
    if len({build.component_id for build in builds}) < len(builds):
        raise Invalid({"builds": "Name one build of each component."})
    return product


def _check(deployment: Deployment, builds: Sequence[Build], *, now: datetime) -> None:
    errors = {}
    if deployment.status == Status.RUNNING:
        errors["status"] = "Report a deployment when it is finished: succeeded, failed or cancelled."
    elif deployment.finished_at is None:
        errors["finished_at"] = "Say when it ended."
    elif deployment.finished_at < deployment.started_at:
        errors["finished_at"] = "It ends before it starts."
    elif deployment.finished_at > now + CLOCK_SKEW:
        errors["finished_at"] = "It ends in the future."
    if not deployment.product.environments.filter(pk=deployment.environment_id).exists():
        errors["environment"] = f"{deployment.product} does not use {deployment.environment}."
    if deployment.remediates and deployment.remediates.product_id != deployment.product_id:
        errors["remediates"] = "It belongs to another product."
    if errors:
        raise Invalid(errors)


def _attribute(deployment: Deployment, builds: Sequence[Build], *, named: Release | None) -> None:
    """Say which release it is and whether it was authorised: both follow from the digests."""
    covers = covering(builds)
    accepted = [release for release in covers if release.state in ONCE_ACCEPTED]
    deployment.release = named if named in covers else next(iter([*accepted, *covers]), None)
    back = deployment.kind == Deployment.Kind.ROLLBACK and ran_before(deployment.environment, builds)
    deployment.unauthorised = deployment.environment.is_production and not (accepted or back)


def _known(deployment: Deployment, builds: Sequence[Build]) -> Deployment | None:
    """The same report, if it was sent before; the same id with other facts is a Conflict."""
    if not deployment.external_id:
        return None
    known = Deployment.objects.filter(product=deployment.product, external_id=deployment.external_id).first()
    if known is None:
        return None
    different = [name for name in FACTS if getattr(known, name) != getattr(deployment, name)]
    if set(known.builds.all()) != set(builds):
        different.append("builds")
    if different:
        raise Conflict(
            f"Deployment {deployment.external_id} was reported with another {', '.join(different)}.",
            code="exists",
            id=known.pk,
            url=f"/api/v1/deployments/{known.pk}/",
        )
    return known


def _lock(deployment: Deployment, touched: Iterable[Release]) -> None:
    """Changes, releases by number, product: the order of locks. It also makes the same report, sent twice, wait."""
    if deployment.release and deployment.environment.is_production:
        lock_changes(deployment.release)
    own = [deployment.release] if deployment.release else []
    for release in sorted({*touched, *own}, key=lambda each: each.pk):
        lock(release)
    lock(deployment.product)


def _write(deployment: Deployment, builds: Sequence[Build], *, actor: User, now: datetime) -> None:
    deployment.save(force_insert=True)
    succeeded_at = deployment.finished_at if deployment.status == Status.SUCCEEDED else None
    DeployedBuild.objects.bulk_create(
        DeployedBuild(
            deployment=deployment,
            build=build,
            component_id=build.component_id,
            environment=deployment.environment,
            succeeded_at=succeeded_at,
        )
        for build in builds
    )
    facts = {name: getattr(deployment, name) for name in ("kind", "status", "external_id", "unauthorised")}
    facts |= {"environment": deployment.environment.key, "builds": [build.digest for build in builds]}
    stream = lock(deployment.release or deployment.product)
    record(stream, "deployments.deployment.report", actor=actor, data={"deployment": deployment.pk, **facts})


def _follow(deployment: Deployment, *, before: set[Release], actor: User, now: datetime) -> None:
    """What a success in production means for releases and changes."""
    if deployment.kind == Deployment.Kind.ROLLBACK:
        gone = before - releases_in(deployment.environment, deployment.product)
        leave_production(gone, now=now, on_behalf_of=actor)
    elif deployment.release:
        implement_changes(deployment.release, now=now, on_behalf_of=actor, leave_blocked=True)
        reach_production(deployment, now=now, on_behalf_of=actor)
        finish_changes(deployment.release, now=now, on_behalf_of=actor)
