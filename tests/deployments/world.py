"""A shop with two releases, and the people who bring them into its environments; states are reached by commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from deployments.commands import (
    TaskDraft,
    back_out,
    create_plan,
    finish_plans,
    finish_task,
    report_deployment,
    start,
)
from deployments.models import Deployment, DeploymentPlan, DeploymentTask
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment, Product
from releasemgmt.releases.commands import create_release, register_build, set_builds
from releasemgmt.releases.models import Build, Release
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Refused
from releasemgmt.workflow.models import Aggregate, Event
from tests.conftest import NOW
from tests.factories import EnvironmentFactory, ProductFactory, someone

HOUR = timedelta(hours=1)
TASKS = (TaskDraft("Swap the image"), TaskDraft("Look at the graphs", depends_on=(0,)))
BACK = (TaskDraft("Swap it back"),)


@dataclass
class Shop:
    """A product, its people and its environments."""

    product: Product = field(default_factory=lambda: ProductFactory(key="shop", components=["api", "web"]))

    def __post_init__(self) -> None:
        team = self.product.team
        self.author: User = someone("contributor", team=team, username="author")
        self.manager: User = someone("release_manager", team=team, username="manager")
        self.deployer: User = someone("deployer", team=team, username="deployer")
        self.ci: User = someone("service", team=team, username="ci")
        self.production: Environment = EnvironmentFactory(key="production")
        self.test: Environment = EnvironmentFactory(key="test")

    def build(self, component: str, name: str, *, commit: int | None = None) -> Build:
        """A build of a component; its digest and, where none is given, its commit follow from its name."""
        digest = sha256(f"{component} {name}".encode()).hexdigest()
        build, _new = register_build(
            product=self.product,
            component=self.product.components.get(key=component),
            commit_sha=sha256(name.encode()).hexdigest()[:40] if commit is None else f"{commit:040x}",
            digest=f"sha256:{digest}",
            artifact_uri=f"oci://example.org/{component}:{name}",
            built_at=NOW,
            actor=self.ci,
            now=NOW,
        )
        return build

    def release(self, version: str, *, to: str = "accepted", builds: Sequence[Build] | None = None) -> Release:
        """A release with a build of each component, walked to that state."""
        release, _new = create_release(product=self.product, version=version, actor=self.author, now=NOW)
        made = [self.build(key, version) for key in ("api", "web")] if builds is None else builds
        release = set_builds(release, builds=made, actor=self.ci, now=NOW)
        for transition, state in (
            ("build", "built"),
            ("pass_integration", "integration_tested"),
            ("accept", "accepted"),
        ):
            if release.state == to:
                break
            release = fire(release, transition, actor=self.manager, now=NOW)
            assert release.state == state
        return release

    def plan(self, release: Release, environment: Environment | None = None, **fields: Any) -> DeploymentPlan:
        """A draft: due in an hour, for an hour."""
        times = {"planned_start": NOW + HOUR, "latest_start": NOW + 2 * HOUR}
        lists = {"tasks": TASKS, "backout_tasks": BACK}
        given = {**times, **lists, "actor": self.manager, **fields}
        return create_plan(release=release, environment=environment or self.production, now=NOW, **given)

    def scheduled(self, release: Release, environment: Environment | None = None, **fields: Any) -> DeploymentPlan:
        plan = fire(self.plan(release, environment, **fields), "prepare", actor=self.manager, now=NOW)
        return fire(plan, "schedule", actor=self.manager, now=NOW)

    def started(self, release: Release, environment: Environment | None = None, **fields: Any) -> DeploymentPlan:
        plan = self.scheduled(release, environment, **fields)
        return start(plan, actor=self.deployer, now=plan.planned_start)

    def worked_off(self, release: Release, environment: Environment | None = None, **fields: Any) -> DeploymentPlan:
        """In progress, with its last task done."""
        plan = self.started(release, environment, **fields)
        for task in plan.tasks.filter(is_backout=False):
            finish_task(task, actor=self.deployer, now=plan.planned_start + HOUR / 2)
        return DeploymentPlan.objects.get(pk=plan.pk)

    def deployed(self, release: Release, environment: Environment | None = None, **fields: Any) -> Release:
        """Deployed by a plan of its own."""
        plan = self.worked_off(release, environment, **fields)
        finish_plans(plan.planned_start + HOUR)
        return Release.objects.get(pk=release.pk)

    def rolled_back(self, plan: DeploymentPlan, *, minute: int) -> DeploymentPlan:
        """Backed out at that minute, and its way back done a minute later."""
        plan = back_out(plan, reason="It smokes.", actor=self.deployer, now=at(minute))
        for task in plan.tasks.filter(is_backout=True):
            finish_task(task, actor=self.deployer, now=at(minute))
        finish_plans(at(minute + 1))
        return DeploymentPlan.objects.get(pk=plan.pk)

    def report(self, **facts: Any) -> tuple[Deployment, bool]:
        """A report of the pipeline: a success in production, over within the last ten minutes."""
        given = {
            "environment": self.production,
            "status": "succeeded",
            "started_at": NOW - HOUR / 6,
            "finished_at": NOW,
            "actor": self.ci,
            "now": NOW,
        }
        return report_deployment(**{**given, **facts})


def task(plan: DeploymentPlan, title: str) -> DeploymentTask:
    return plan.tasks.get(title=title)


def kinds(record: Aggregate) -> list[str]:
    """What happened to a record, the newest first, without the app's and the model's name."""
    events = Event.objects.filter(stream=record.stream).order_by("-seq").values_list("kind", flat=True)
    return [kind.rpartition(".")[2] for kind in events]


def picture(*records: Any) -> list[Any]:
    """All that a refusal must leave as it is: the rows with their stream heads, tasks, deployments, events."""
    rows = [type(record)._base_manager.filter(pk=record.pk).values().get() for record in records]
    tables = [DeploymentTask.objects.order_by("pk").values(), Deployment.objects.order_by("pk").values()]
    return [rows, *map(list, tables), Event.objects.exclude(kind="workflow.refused").count()]


@contextmanager
def refused(error: type[Refused], *records: Any) -> Iterator[pytest.ExceptionInfo[Any]]:
    """The block is refused, and the records and all streams stay as they were."""
    before = picture(*records)
    with pytest.raises(error) as caught:
        yield caught
    assert picture(*records) == before


def codes(caught: pytest.ExceptionInfo[Any]) -> list[str]:
    """The codes of the gates that are closed."""
    return [blocker.code for blocker in caught.value.blockers]


def at(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)
