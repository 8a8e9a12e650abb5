"""The steps that the demo's people take with a release, each by the command that a face would call."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from approvals.commands import open_round, vote
from approvals.models import Subject
from deployments.commands import TaskDraft, create_plan, finish_plans, finish_task, report_deployment, start
from deployments.models import DeploymentPlan
from releasemgmt.catalog.models import Tier
from releasemgmt.integrations import junit
from releasemgmt.portal.demo.source import Source, folder_of
from releasemgmt.portal.demo.stage import Stage
from releasemgmt.releases import commands
from releasemgmt.releases.models import Document, Release, Suite
from releasemgmt.workflow.commands import fire

REPORT = Path(__file__).with_name("junit.xml")
DOCUMENTS = {
    Document.Kind.DEPLOYMENT_PROCEDURE: (
        "1. Unpack the archive of this version beside the running one.\n"
        "2. `manage.py migrate`\n"
        "3. Restart web, worker and beat; `/readyz` answers 200 when they are up."
    ),
    Document.Kind.WORKFLOW_MONITORING: (
        "Watch `/metrics` for an hour: refused requests, the age of the oldest pending event, plans that wait."
    ),
    Document.Kind.IMPACT: "Pages are away for some seconds while the service restarts. No data changes its meaning.",
    Document.Kind.RELEASE_NOTES: "What is new stands in the list of commits and work items of this release.",
}


class Walk:
    """Takes releases of the demo's product from one state to the next, at one instant."""

    def __init__(self, stage: Stage, *, now: datetime) -> None:
        self.stage = stage
        self.now = now
        self.report = junit.parse(REPORT.read_bytes())
        self.report_digest = f"sha256:{sha256(REPORT.read_bytes()).hexdigest()}"

    def plan(self, version: str, title: str, *, risk: str = "low", type: str = Release.Type.MINOR) -> Release:
        """Dana plans a release, which Mara manages."""
        people = self.stage.people
        release, _new = commands.create_release(
            product=self.stage.product,
            version=version,
            title=title,
            type=type,
            components=[self.stage.component],
            release_manager=people["mara"],
            requested_by=people["dana"],
            actor=people["dana"],
            now=self.now,
        )
        if risk != release.risk:
            release = commands.edit_release(release, changes={"risk": risk}, actor=people["dana"], now=self.now)
        return release

    def build(self, release: Release, source: Source) -> Release:
        """The pipeline registers the build and says that the release consists of it."""
        build, _new = commands.register_build(
            product=self.stage.product,
            component=self.stage.component,
            commit_sha=source.commit_sha,
            digest=source.digest,
            artifact_uri=f"archive:{folder_of(release.version)}.tar",
            built_at=source.built_at,
            actor=self.stage.ci,
            now=self.now,
        )
        release = commands.set_builds(release, builds=[build], actor=self.stage.ci, now=self.now)
        return fire(release, "build", actor=self.stage.ci, now=self.now)

    def test(self, release: Release) -> Release:
        """The pipeline deploys to test, and for each suite uploads the report of a real run of this project's tests."""
        self.report_arrival(release, Tier.TEST)
        for suite in (Suite.SMOKE, Suite.INTEGRATION, Suite.REGRESSION):
            self._run(release, suite, tier=Tier.TEST)
        return fire(release, "pass_integration", actor=self.stage.ci, now=self.now)

    def document(self, release: Release) -> Release:
        """The pipeline runs the acceptance suite in staging, and Mara writes the documents."""
        self.report_arrival(release, Tier.STAGING)
        self._run(release, Suite.ACCEPTANCE, tier=Tier.STAGING)
        for kind, body in DOCUMENTS.items():
            release = commands.write_document(
                release, kind=kind, body=body, actor=self.stage.people["mara"], now=self.now
            )
        return release

    def approve(self, subject: Subject, *voters: str) -> None:
        """Mara opens a round where none is open, and these people approve the content as it is."""
        mara = self.stage.people["mara"]
        round = open_round(subject, actor=mara, now=self.now)
        for name in voters:
            person = self.stage.people[name]
            vote(round, decision="approve", digest=round.digest, actor=person, now=self.now)

    def accept(self, release: Release) -> Release:
        """Mara accepts what is tested, documented and signed off."""
        return commands.accept(release, actor=self.stage.people["mara"], now=self.now)

    def report_arrival(self, release: Release, tier: Tier, *, kind: str = "deploy") -> None:
        """The pipeline reports that a release runs somewhere now."""
        report_deployment(
            environment=self.stage.environments[tier],
            release=release,
            kind=kind,
            status="succeeded",
            started_at=self.now,
            finished_at=self.now,
            actor=self.stage.ci,
            now=self.now,
        )

    def schedule(self, release: Release, *, autostart: bool = False) -> DeploymentPlan:
        """Dario plans the way to production and back, due at once and for a month."""
        dario = self.stage.people["dario"]
        plan = create_plan(
            release=release,
            environment=self.stage.environments[Tier.PRODUCTION],
            planned_start=self.now,
            latest_start=self.now + timedelta(days=30),
            autostart=autostart,
            backout_minutes=15,
            tasks=[
                TaskDraft("Unpack, migrate, restart", purpose="deploy", assignee=dario, estimate_minutes=10),
                TaskDraft("See that /readyz answers", purpose="verify", assignee=dario, depends_on=(0,)),
            ],
            backout_tasks=[TaskDraft("Start the archive before it", purpose="restore", assignee=dario)],
            actor=dario,
            now=self.now,
        )
        for step in ("prepare", "schedule"):
            plan = fire(plan, step, actor=dario, now=self.now)
        return plan

    def deploy(self, release: Release) -> Release:
        """Dario carries a plan out, task by task; the system ends it, and with it the release is deployed."""
        dario = self.stage.people["dario"]
        plan = start(self.schedule(release), actor=dario, now=self.now)
        for task in plan.tasks.filter(is_backout=False):
            finish_task(task, evidence="Done as written.", actor=dario, now=self.now)
        finish_plans(self.now)
        return Release.objects.get(pk=release.pk)

    def _run(self, release: Release, suite: str, *, tier: Tier) -> None:
        commands.record_test_run(
            builds=list(release.builds.all()),
            environment=self.stage.environments[tier],
            suite=suite,
            passed=self.report.passed,
            failed=self.report.failed,
            errors=self.report.errors,
            skipped=self.report.skipped,
            failures=self.report.failures,
            report_digest=self.report_digest,
            started_at=self.now,
            finished_at=self.now,
            actor=self.stage.ci,
            now=self.now,
        )
