"""What a production deployment means for the release, its changes and who sees it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from approvals.commands import finish, implement
from approvals.models import ChangeRequest
from approvals.queries import riding
from deployments.gates import environment_busy
from deployments.models import DeployedBuild, Deployment
from deployments.queries import running_in
from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment, Product, ReleaseModel, Tier
from releasemgmt.releases.commands import claim_commits, expose
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import edit, fire, lock
from releasemgmt.workflow.errors import Blocked
from releasemgmt.workflow.gates import blockers


def take_environment(deployment: Deployment, rows: Sequence[DeployedBuild]) -> None:
    """A plan's deployment runs, with these builds, and is the lock; where another has it, the database says so."""
    plan: Any = deployment.plan
    try:
        with transaction.atomic():
            deployment.save(force_insert=True)
    except IntegrityError as error:
        busy = environment_busy(plan)
        raise Blocked(f"{plan} can't go on. {busy.reason}", blockers=[busy]) from error
    for row in rows:
        row.deployment, row.environment, row.component_id = deployment, plan.environment, row.build.component_id
    DeployedBuild.objects.bulk_create(rows)


def conclude(deployment: Deployment, status: str, *, at: datetime) -> None:
    """It is over: the environment is free, and where it succeeded its builds run there."""
    deployment.status, deployment.finished_at = status, at
    deployment.save(update_fields=["status", "finished_at"])
    if status == Deployment.Status.SUCCEEDED:
        deployment.deployed_builds.update(succeeded_at=at)


def remove_builds(rollback: Deployment, *, at: datetime) -> None:
    """What the rolled back attempt brought and nothing was there before is gone from the environment."""
    attempt: Any = rollback.remediates
    gone = attempt.deployed_builds.exclude(component__in=rollback.deployed_builds.values("component"))
    gone.filter(succeeded_at__isnull=False).update(removed_at=at)


def lock_changes(release: Release) -> None:
    """Lock the changes that ride with the release: they come before it in the order of locks."""
    for change in riding(release):
        lock(change)


def implement_changes(
    release: Release, *, now: datetime, on_behalf_of: User | None, leave_blocked: bool = False
) -> None:
    """Begin the release's changes that are scheduled; a closed gate refuses, or leaves that change where it is."""
    for change in _riding(release, ChangeRequest.State.SCHEDULED):
        if not (leave_blocked and blockers(change, "implement", now=now)):
            implement(change, actor=system(), on_behalf_of=on_behalf_of, now=now)


def finish_changes(
    release: Release,
    *,
    now: datetime,
    on_behalf_of: User | None,
    outcome: str = ChangeRequest.Outcome.SUCCESSFUL,
) -> None:
    """End the release's changes that are being implemented: they went well, or as `outcome` says."""
    for change in _riding(release, ChangeRequest.State.IMPLEMENTATION):
        finish(change, actor=system(), on_behalf_of=on_behalf_of, now=now, outcome=outcome)


def reach_production(deployment: Deployment, *, now: datetime, on_behalf_of: User | None) -> None:
    """Mark the deployment's release, if it was only accepted, as deployed: all that it consists of runs there.

    One that was reported late may tell that a release had reached production earlier than was known.
    """
    release = deployment.release and lock(deployment.release)
    if release is None or not _runs_whole(release, deployment):
        return
    at = deployment.finished_at or now
    if release.state == Release.State.ACCEPTED:
        _deploy(release, deployment, now=now, on_behalf_of=on_behalf_of)
    if release.released_at and at < release.released_at:
        release = edit(release, changes={"released_at": at}, actor=system())
        claim_commits(release, at=at, now=now)


def _deploy(release: Release, deployment: Deployment, *, now: datetime, on_behalf_of: User | None) -> None:
    facts = {"environment": deployment.environment.key, "deployment": deployment.pk}
    release = fire(release, "deploy", actor=system(), on_behalf_of=on_behalf_of, now=now, data=facts)
    at = deployment.finished_at or now
    if release.released_at is None:
        release.released_at = at
        release.save(update_fields=["released_at"])
    claim_commits(release, at=at, now=now)
    if release.model.exposure == ReleaseModel.ExposureMode.WITH_DEPLOYMENT:
        expose(release, environment=deployment.environment, percent=100, actor=system(), now=now)


def leave_production(releases: Iterable[Release], *, now: datetime, on_behalf_of: User | None) -> None:
    """Roll back those of the releases that a rollback left without a production environment, and withdraw them."""
    for release in sorted(releases, key=lambda release: release.pk):
        left = lock(release)
        if left.state in (Release.State.DEPLOYED, Release.State.CLOSED) and not _runs_somewhere(left):
            fire(left, "roll_back", actor=system(), on_behalf_of=on_behalf_of, now=now)
            for environment, audience, flag_key in _exposed(left):
                step = {"audience": audience, "flag_key": flag_key}
                expose(left, environment=environment, percent=0, actor=system(), now=now, **step)


def releases_in(environment: Environment, product: Product) -> set[Release]:
    """The releases of which something runs in the environment."""
    return {each.release for each in running_in(environment, product) if each.release}


def _riding(release: Release, state: str) -> list[ChangeRequest]:
    return [change for change in riding(release) if change.state == state]


def _runs_whole(release: Release, deployment: Deployment) -> bool:
    there = running_in(deployment.environment, release.product, at=deployment.finished_at)
    return set(release.builds.values_list("pk", flat=True)) <= {each.build_id for each in there}


def _runs_somewhere(release: Release) -> bool:
    places = Environment.objects.filter(products=release.product, tier=Tier.PRODUCTION)
    return any(release in releases_in(environment, release.product) for environment in places)


def _exposed(release: Release) -> Collection[tuple[Environment, str, str]]:
    """Where, and to whom, the release is visible: the last step of each audience is above 0."""
    last = {}
    for step in release.exposures.select_related("environment").order_by("at", "pk"):
        last[step.environment, step.audience, step.flag_key] = step.percent
    return [place for place, percent in last.items() if percent]
