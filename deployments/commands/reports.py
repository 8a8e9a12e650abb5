"""Deployments that pipelines do alone: begun where the gates of a start let them, or reported when finished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from approvals.queries import signed_off_by
from deployments.commands.outcomes import (
    conclude,
    finish_changes,
    implement_changes,
    leave_production,
    lock_changes,
    reach_production,
    releases_in,
)
from deployments.commands.overrides import use_override
from deployments.commands.unauthorised import put_on_record
from deployments.gates import environment_busy, environment_free
from deployments.models import DeployedBuild, Deployment, DeploymentPlan, UnregisteredDigest
from deployments.models.plan import NotTheRequester
from deployments.queries import covering, ran_before
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Role, User
from releasemgmt.catalog.models import Environment, Product
from releasemgmt.releases.models import Build, Release
from releasemgmt.workflow.commands import command, lock, permit, record
from releasemgmt.workflow.errors import Absent, Blocked, Conflict, Invalid, WrongState
from releasemgmt.workflow.gates import Blocker, blockers

Status = Deployment.Status
#: Releases whose content was accepted, whatever came of it.
ONCE_ACCEPTED = (
    Release.State.ACCEPTED,
    Release.State.DEPLOYED,
    Release.State.CLOSED,
    Release.State.ROLLED_BACK,
)
#: What the same report, sent again, says again; who asks again to begin may say another time.
FACTS = ("environment_id", "kind", "status", "started_at", "finished_at", "remediates_id")
#: How far a pipeline's clock may be ahead of ours.
CLOCK_SKEW = timedelta(minutes=5)
DEPLOY_ANOTHERS = NotTheRequester(roles.deploy_or_system)
NO_RELEASE = "No release has these builds: set them on one, and have it accepted where it is to reach production."


def report_deployment(  # noqa: PLR0913 - a deployment's columns
    *,
    environment: Environment,
    status: str,
    started_at: datetime,
    finished_at: datetime | None,
    actor: User,
    now: datetime,
    product: Product | None = None,
    release: Release | None = None,
    builds: Sequence[Build] = (),
    unregistered: Sequence[str] = (),
    kind: str = Deployment.Kind.DEPLOY,
    external_id: str = "",
    remediates: Deployment | None = None,
) -> tuple[Deployment, bool]:
    """Record a deployment; answers it and whether it is new.

    One that is over is evidence: it is not refused, it may be flagged. One that is `running` begins: it takes the
    environment if the gates of a start are open now, else it is Blocked. `builds` are what is deployed, by default
    those of `release`; they say which release it is, whatever was named. `unregistered` are digests that are builds of
    nobody: what begins with one is refused, what is over is kept, flagged, and belongs to no release.
    """
    with command():
        builds = list(builds) or (list(release.builds.all()) if release and not unregistered else [])
        product = _product_of(builds, release, product, unregistered, begins=status == Status.RUNNING)
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
        _attribute(deployment, builds, named=release, unregistered=unregistered)
        before = releases_in(environment, product) if kind == Deployment.Kind.ROLLBACK else set()
        _lock(deployment, touched=before)
        if known := _known(deployment, {*unregistered, *(build.digest for build in builds)}):
            return known, False
        if status == Status.RUNNING:
            _begin(deployment, builds, actor=actor, now=now)
        else:
            _keep(deployment, builds, unregistered, before=before, actor=actor, now=now)
        return deployment, True


def _product_of(
    builds: Sequence[Build],
    release: Release | None,
    product: Product | None,
    unregistered: Sequence[str],
    *,
    begins: bool,
) -> Product:
    if begins and unregistered:
        raise Absent(f"Nobody registered {', '.join(unregistered)}: register the builds, then ask again.")
    if release and product and release.product_id != product.pk:
        raise Invalid({"product": f"{release} is of {release.product}."})
    product = release.product if release else product
    if not builds and not unregistered:
        raise Invalid({"builds": "Name what was deployed: builds, or a release that has some."})
    if product is None and not builds:
        raise Invalid({"product": f"Nobody registered {', '.join(unregistered)}: say of which product they are."})
    product = product or builds[0].product
    if {build.product_id for build in builds} - {product.pk}:
        raise Invalid({"builds": "Name builds of one product, that of the release."})
    if len({build.component_id for build in builds}) < len(builds):
        raise Invalid({"builds": "Name one build of each component."})
    return product


def _check(deployment: Deployment, builds: Sequence[Build], *, now: datetime) -> None:
    check = _wrong_times_of_running if deployment.status == Status.RUNNING else _wrong_times
    errors = check(deployment, now=now)
    if not deployment.product.environments.filter(pk=deployment.environment_id).exists():
        errors["environment"] = f"{deployment.product} does not use {deployment.environment}."
    if deployment.remediates and deployment.remediates.product_id != deployment.product_id:
        errors["remediates"] = "It belongs to another product."
    if errors:
        raise Invalid(errors)


def _wrong_times(deployment: Deployment, *, now: datetime) -> dict[str, str]:
    if deployment.finished_at is None:
        return {"finished_at": "Say when it ended."}
    if deployment.finished_at < deployment.started_at:
        return {"finished_at": "It ends before it starts."}
    return {"finished_at": "It ends in the future."} if deployment.finished_at > now + CLOCK_SKEW else {}


def _wrong_times_of_running(deployment: Deployment, *, now: datetime) -> dict[str, str]:
    if deployment.finished_at:
        return {"finished_at": "It is running, so it has not ended."}
    return {"started_at": "It starts in the future."} if deployment.started_at > now + CLOCK_SKEW else {}


def _attribute(
    deployment: Deployment, builds: Sequence[Build], *, named: Release | None, unregistered: Sequence[str]
) -> None:
    """Say which release it is and whether it was authorised: both follow from the digests."""
    if unregistered:
        deployment.unauthorised = deployment.environment.change_controlled
        return
    covers = covering(builds)
    accepted = [release for release in covers if release.state in ONCE_ACCEPTED]
    deployment.release = named if named in covers else next(iter([*accepted, *covers]), None)
    back = deployment.kind == Deployment.Kind.ROLLBACK and ran_before(deployment.environment, builds)
    deployment.unauthorised = deployment.environment.is_production and not (accepted or back)


def _known(deployment: Deployment, digests: set[str]) -> Deployment | None:
    """The same report, if it was sent before; the same id with other facts is a Conflict."""
    if not deployment.external_id:
        return None
    known = Deployment.objects.filter(product=deployment.product, external_id=deployment.external_id).first()
    if known is None:
        return None
    begins = known.status == deployment.status == Status.RUNNING
    facts = [name for name in FACTS if not (begins and name == "started_at")]
    different = [name for name in facts if getattr(known, name) != getattr(deployment, name)]
    if known.digests != digests:
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


def _begin(deployment: Deployment, builds: Sequence[Build], *, actor: User, now: datetime) -> None:
    """Take the environment, as a plan that starts now would; a rollback to what ran there only finds it free."""
    start = _as_plan(deployment, now)
    facts: dict[str, Any] = {}
    goes_back = deployment.kind == Deployment.Kind.ROLLBACK and ran_before(deployment.environment, builds)
    if goes_back:
        found: Sequence[Blocker] = environment_free(start, now=now)
    elif deployment.release is None:
        found = [Blocker("no_release", NO_RELEASE, (Role.RELEASE_MANAGER.value,))]
    else:
        permit(actor, start, DEPLOY_ANOTHERS, to="deploy it")
        found = blockers(start, "start", now=now)
        facts = signed_off_by(start.release, now=now) if start.environment.is_production and not found else {}
    if found:
        reasons = " ".join(blocker.reason for blocker in found)
        raise Blocked(f"It may not go to {deployment.environment} now. {reasons}", blockers=found)
    try:
        with transaction.atomic():
            _insert(deployment, builds)
    except IntegrityError as error:
        busy = environment_busy(start)
        raise Blocked(busy.reason, blockers=[busy]) from error
    _tell(deployment, builds, actor=actor, facts=facts)
    if not goes_back:
        use_override(start, actor=actor, now=now, what=f"deployment {deployment.pk}")
        if deployment.environment.is_production:
            implement_changes(start.release, now=now, on_behalf_of=actor)


def _as_plan(deployment: Deployment, now: datetime) -> DeploymentPlan:
    """The plan whose start it would be."""
    return DeploymentPlan(
        release=lock(deployment.release) if deployment.release else Release(product=deployment.product),
        environment=deployment.environment,
        planned_start=now,
        latest_start=now,
        state=DeploymentPlan.State.SCHEDULED,
    )


def end_deployment(deployment: Deployment, *, status: str, actor: User, now: datetime, reason: str = "") -> Deployment:
    """Say how a deployment that was reported as running has ended; one that has ended so already stays as it is."""
    with command():
        permit(actor, deployment.product, roles.deploy, to="end deployments")
        back = deployment.kind == Deployment.Kind.ROLLBACK
        before = releases_in(deployment.environment, deployment.product) if back else set()
        _lock(deployment, touched=before)
        deployment = Deployment.objects.select_related("product", "release", "environment", "plan").get(
            pk=deployment.pk
        )
        if deployment.origin == Deployment.Origin.ENGINE:
            raise WrongState(f"{deployment.plan} carries it out: its tasks end it.", allowed=[])
        if deployment.status == status:
            return deployment
        if deployment.status != Status.RUNNING:
            raise WrongState(f"It {deployment.status} already.", allowed=[])
        conclude(deployment, status, at=max(now, deployment.started_at))
        facts = {"deployment": deployment.pk, "environment": deployment.environment.key, "status": status}
        stream = lock(deployment.release or deployment.product)
        record(stream, "deployments.deployment.end", actor=actor, data={**facts, "reason": reason})
        if deployment.environment.is_production and status == Status.SUCCEEDED:
            _follow(deployment, before=before, actor=actor, now=now)
        return deployment


#: How a deployment ends, by the names that the API gives them.
ENDS = {"succeed": Status.SUCCEEDED, "fail": Status.FAILED, "cancel": Status.CANCELLED}


def _keep(
    deployment: Deployment,
    builds: Sequence[Build],
    unregistered: Sequence[str],
    *,
    before: set[Release],
    actor: User,
    now: datetime,
) -> None:
    """Write one that is over; what nobody authorised in production is put on record."""
    _insert(deployment, builds, unregistered)
    facts: dict[str, Any] = {"unregistered": list(unregistered)} if unregistered else {}
    if deployment.unauthorised and deployment.environment.is_production:
        deployment.change = put_on_record(deployment, builds, unregistered, actor=actor, now=now)
        deployment.save(update_fields=["change"])
        facts |= {"change": deployment.change.number}
    _tell(deployment, builds, actor=actor, facts=facts)
    if deployment.environment.is_production and deployment.status == Status.SUCCEEDED:
        _follow(deployment, before=before, actor=actor, now=now)


def _insert(deployment: Deployment, builds: Sequence[Build], unregistered: Iterable[str] = ()) -> None:
    deployment.save(force_insert=True)
    succeeded_at = deployment.finished_at if deployment.status == Status.SUCCEEDED else None
    place = {"deployment": deployment, "environment": deployment.environment, "succeeded_at": succeeded_at}
    DeployedBuild.objects.bulk_create(
        DeployedBuild(build=build, component_id=build.component_id, **place) for build in builds
    )
    UnregisteredDigest.objects.bulk_create(
        UnregisteredDigest(digest=digest, product=deployment.product, **place) for digest in unregistered
    )


def _tell(deployment: Deployment, builds: Sequence[Build], *, actor: User, facts: Mapping[str, Any]) -> None:
    told: dict[str, Any] = {
        name: getattr(deployment, name) for name in ("kind", "status", "external_id", "unauthorised")
    }
    told |= {"environment": deployment.environment.key, "builds": [build.digest for build in builds]}
    stream = lock(deployment.release or deployment.product)
    record(stream, "deployments.deployment.report", actor=actor, data={"deployment": deployment.pk, **told, **facts})


def _follow(deployment: Deployment, *, before: set[Release], actor: User, now: datetime) -> None:
    """What a success in production means for releases and changes."""
    if deployment.kind == Deployment.Kind.ROLLBACK:
        gone = before - releases_in(deployment.environment, deployment.product)
        leave_production(gone, now=now, on_behalf_of=actor)
    elif deployment.release:
        implement_changes(deployment.release, now=now, on_behalf_of=actor, leave_blocked=True)
        reach_production(deployment, now=now, on_behalf_of=actor)
        finish_changes(deployment.release, now=now, on_behalf_of=actor)
