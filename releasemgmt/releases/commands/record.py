"""Commands that bring evidence: builds, test runs, documents, exposure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.commands import material
from releasemgmt.catalog.models import Component, Environment, Product
from releasemgmt.releases import policies, queries
from releasemgmt.releases.commands.release import EDITABLE
from releasemgmt.releases.models import Build, Document, Exposure, Release, TestRun
from releasemgmt.workflow import fsm
from releasemgmt.workflow.commands import command, lock, permit, record
from releasemgmt.workflow.errors import Conflict, Invalid, WrongState

FACTS = ("commit_sha", "digest", "artifact_uri", "built_at", "ci_url", "status")


def register_build(  # noqa: PLR0913 - a build's columns
    *,
    product: Product,
    component: Component,
    commit_sha: str,
    digest: str,
    artifact_uri: str,
    built_at: datetime,
    actor: User,
    now: datetime,
    ci_url: str = "",
    status: str = Build.Status.SUCCEEDED,
) -> tuple[Build, bool]:
    """Register what a pipeline built; the same again is answered, the same identity with other facts is a Conflict."""
    with command():
        product = lock(product)
        permit(actor, product, roles.edit_records, to="register builds")
        if (status == Build.Status.SUCCEEDED) != bool(digest):
            raise Invalid({"digest": "A build that succeeded has a digest, a failed one has none."})
        facts = dict(zip(FACTS, (commit_sha, digest, artifact_uri, built_at, ci_url, status), strict=True))
        rows = Build.objects.filter(component=component)
        same = rows.filter(artifact_uri=artifact_uri).first() or (digest and rows.filter(digest=digest).first())
        if same:
            if different := [name for name, value in facts.items() if getattr(same, name) != value]:
                raise Conflict(
                    f"Build {same.digest or same.artifact_uri} is registered with another {', '.join(different)}.",
                    code="build_differs",
                    digest=same.digest,
                    artifact_uri=same.artifact_uri,
                )
            return same, False
        build = Build.objects.create(product=product, component=component, **facts)
        record(product, "releases.build.register", actor=actor, data={**facts, "component": component.key})
        return build, True


def record_test_run(  # noqa: PLR0913 - a run's columns
    *,
    builds: Sequence[Build],
    environment: Environment,
    suite: str,
    passed: int,
    failed: int,
    errors: int,
    skipped: int,
    started_at: datetime,
    finished_at: datetime,
    actor: User,
    now: datetime,
    report_digest: str = "",
    failures: Sequence[str] = (),
) -> TestRun:
    """Record a finished run of a suite on a set of builds."""
    products = {build.product_id for build in builds}
    if len(products) != 1:
        raise Invalid({"builds": "Name at least one build, all of one product."})
    if started_at > finished_at:
        raise Invalid({"finished_at": "It ends before it starts."})
    counts = {"passed": passed, "failed": failed, "errors": errors, "skipped": skipped}
    digests = [build.digest for build in builds]
    with command():
        product = lock(builds[0].product)
        permit(actor, product, roles.edit_records, to="report test runs")
        run = TestRun.objects.create(
            product=product,
            build_set=policies.build_set(digests),
            environment=environment,
            suite=suite,
            started_at=started_at,
            finished_at=finished_at,
            report_digest=report_digest,
            failures=list(failures)[:50],
            **counts,
        )
        run.builds.set(builds)
        data = {"suite": suite, "environment": environment.key, "builds": digests, "report": report_digest, **counts}
        record(product, "releases.test_run.record", actor=actor, data=data)
        return run


def write_document(
    release: Release, *, kind: str, body: str, actor: User, now: datetime, void_signoffs: bool = False
) -> Release:
    """Write one document of a release; writing what is there already changes nothing."""
    with command():
        release = lock(release)
        permit(actor, release, roles.edit_records, to="write documents")
        if release.state not in EDITABLE and not queries.is_due_later(release, kind):
            raise WrongState(
                f"{release.number} is history; its documents are fixed.",
                allowed=[arrow.name for arrow in fsm.leaving(release)],
            )
        document = Document.objects.filter(release=release, kind=kind).first()
        if (document.body if document else "") == body:
            return release
        with material(release, void_signoffs=void_signoffs):
            Document.objects.update_or_create(release=release, kind=kind, defaults={"body": body, "updated_by": actor})
            data = {"document": kind, "changes": {kind: [document.body if document else "", body]}}
            record(release, "releases.document.write", actor=actor, data=data, revise=True)
        return release


def expose(
    release: Release,
    *,
    environment: Environment,
    percent: int,
    actor: User,
    now: datetime,
    audience: str = "everyone",
    flag_key: str = "",
) -> Exposure:
    """Say who among the users sees a release from now on; 0 % withdraws it."""
    with command():
        release = lock(release)
        permit(actor, release, roles.deploy_or_system, to="expose releases")
        if release.state not in (Release.State.DEPLOYED, Release.State.CLOSED, Release.State.ROLLED_BACK):
            raise WrongState(
                f"{release.number} is not deployed, so nobody can see it.",
                allowed=[arrow.name for arrow in fsm.leaving(release)],
            )
        step = Exposure.objects.create(
            release=release,
            environment=environment,
            audience=audience,
            percent=percent,
            flag_key=flag_key,
            at=now,
            by=actor,
        )
        data = {"environment": environment.key, "audience": audience, "percent": percent, "flag_key": flag_key}
        record(release, "releases.exposure.step", actor=actor, data=data)
        return step
