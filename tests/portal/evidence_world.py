"""A release with something of everything that an evidence pack holds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from deployments.commands import TaskDraft, create_plan, finish_plans, finish_task, report_deployment, start
from releasemgmt.releases import commands
from releasemgmt.releases.models import KnownDefect, Release
from releasemgmt.workflow.commands import comment, fire
from tests.approvals.world import World, say
from tests.conftest import NOW
from tests.factories import EnvironmentFactory


def only_approvals(settings: Any) -> None:
    """As in the tests of approvals: their own gates, so that tests and documents are not in the way."""
    settings.WORKFLOW_GATES = {
        key: [path for path in paths if path.startswith("approvals.")] for key, paths in settings.WORKFLOW_GATES.items()
    }
    settings.RISK_FACTS = []


def deployed(world: World, version: str = "1.0", *, changes: int = 1) -> Release:
    """A release with its evidence, approved and deployed to production."""
    release = world.release(version, author=world.author.email)
    for _ in range(changes):
        world.assessed(releases=[release])
    describe(world, release)
    say(world.round(release), world.signer, comment="I read it; “fine” – Grüße.")
    release = fire(Release.objects.get(pk=release.pk), "accept", actor=world.manager, now=NOW)
    return deploy(world, release)


def describe(world: World, release: Release) -> None:
    """A document, a test run, a defect that is accepted, a comment."""
    commands.write_document(release, kind="impact", body="Nobody notices.\n", actor=world.author, now=NOW)
    test: dict[str, Any] = {"passed": 7, "failed": 0, "errors": 0, "skipped": 1, "started_at": NOW, "finished_at": NOW}
    builds, tier = list(release.builds.all()), EnvironmentFactory(key="test")
    commands.record_test_run(builds=builds, environment=tier, suite="smoke", actor=world.author, now=NOW, **test)
    defect = report_defect(world)
    commands.link_defect(release, defect=defect, relation="affects", actor=world.author, now=NOW)
    comment(release, body="Does it work?", actor=world.manager)


def report_defect(world: World) -> KnownDefect:
    facts: dict[str, Any] = {"title": "Slow", "severity": "minor", "opened_at": NOW}
    return commands.create_defect(product=world.product, actor=world.author, now=NOW, **facts)


def deploy(world: World, release: Release) -> Release:
    """By a plan of two tasks, whose way is held by a deployer."""
    deployer = world.someone("deployer")
    plan = create_plan(
        release=release,
        environment=world.production,
        planned_start=NOW,
        latest_start=NOW + timedelta(hours=1),
        tasks=[TaskDraft("Swap"), TaskDraft("Look", depends_on=(0,))],
        backout_tasks=[TaskDraft("Swap back")],
        actor=deployer,
        now=NOW,
    )
    for step in ("prepare", "schedule"):
        plan = fire(plan, step, actor=deployer, now=NOW)
    plan = start(plan, actor=deployer, now=NOW)
    for task in plan.tasks.filter(is_backout=False):
        finish_task(task, actor=deployer, now=NOW)
    finish_plans(NOW)
    return Release.objects.get(pk=release.pk)


def report(world: World, release: Release, **facts: Any) -> Any:
    """What a pipeline says that it deployed to production."""
    given: dict[str, Any] = {
        "environment": world.production,
        "status": "succeeded",
        "started_at": NOW,
        "finished_at": NOW,
    }
    service = world.someone("service")
    return report_deployment(release=release, actor=service, now=NOW, **(given | facts))[0]
