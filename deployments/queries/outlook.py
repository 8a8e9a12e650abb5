"""What a release would change in an environment, whether it could start there, and what the last deployments say."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils.module_loading import import_string

from approvals.models import ChangeRequest
from approvals.queries import riding
from deployments.models import DeployedBuild, Deployment, DeploymentPlan
from deployments.queries.incidents import caused_by
from deployments.queries.places import running_and_in_doubt
from deployments.queries.preparation import BEFORE_START, asked_of
from releasemgmt.catalog.models import Component, Environment, Tier
from releasemgmt.releases.models import Build, Commit, DefectLink, Release
from releasemgmt.releases.queries import builds_of, defect_links
from releasemgmt.workflow.gates import Blocker, answers

FAILED = Deployment.Status.FAILED


@dataclass(frozen=True)
class Replacement:
    """A component's build of the release, beside the one that runs there now, if any does.

    `unregistered` are digests that were deployed there since: nobody knows whether one of them is what runs.
    """

    component: Component
    build: Build | None
    running: DeployedBuild | None
    unregistered: Sequence[str] = ()

    @property
    def changes(self) -> bool:
        """Whether the release would bring another digest, as far as anybody knows."""
        return self.build is not None and (self.running is None or self.running.build.digest != self.build.digest)


@dataclass(frozen=True)
class Comparison:
    """What changes in an environment if the release goes there: what a reviewer decides on."""

    release: Release
    environment: Environment
    components: list[Replacement]
    commits: list[Commit]
    changes: list[ChangeRequest]
    defects: list[DefectLink]

    @property
    def work_items(self) -> list[str]:
        """Each once, in the order of the commits."""
        return list(dict.fromkeys(item for commit in self.commits for item in commit.work_items))

    @property
    def commits_without_work_item(self) -> int:
        return sum(not commit.work_items for commit in self.commits)


def comparison(release: Release, environment: Environment) -> Comparison:
    """The release beside what runs in the environment now."""
    running, in_doubt = running_and_in_doubt(environment, release.product)
    return Comparison(
        release=release,
        environment=environment,
        components=_replacements(release, running, in_doubt),
        commits=_commits_beyond(release, running),
        changes=riding(release),
        defects=defect_links(release),
    )


def _replacements(
    release: Release, running: Iterable[DeployedBuild], in_doubt: Mapping[Component, Sequence[str]]
) -> list[Replacement]:
    there = {each.component: each for each in running}
    brought = {build.component: build for build in builds_of(release)}
    both = sorted({*there, *brought}, key=lambda component: component.key)
    return [Replacement(each, brought.get(each), there.get(each), in_doubt.get(each, ())) for each in both]


def _commits_beyond(release: Release, running: list[DeployedBuild]) -> list[Commit]:
    """The commits that the release's builds reach and those that run there don't, the newest first.

    Only what was released after the oldest of the running releases is walked; all before is in what runs. Where
    nothing runs yet, it is what the release brings to users.
    """
    if not running:
        return list(release.commits.order_by("-committed_at", "-pk"))
    shipped = [each.release.released_at for each in running if each.release]
    rows = Q(first_release=None) | Q(release_commits__release=release)
    if since := min((at for at in shipped if at), default=None):
        rows |= Q(first_release__released_at__gt=since)
    commits = {commit.sha: commit for commit in Commit.objects.filter(rows, product=release.product_id)}
    there = _reached({each.build.commit_sha for each in running}, commits)
    new = _reached([build.commit_sha for build in builds_of(release)], commits) - there
    return sorted((commits[sha] for sha in new), key=lambda commit: (commit.committed_at, commit.pk), reverse=True)


def _reached(tips: Iterable[str], commits: Mapping[str, Commit]) -> set[str]:
    reached: set[str] = set()
    todo = list(tips)
    while todo:
        sha = todo.pop()
        if sha in commits and sha not in reached:
            reached.add(sha)
            todo.extend(commits[sha].parents)
    return reached


def risk_facts(release: Release) -> list[str]:
    """Why the release is a high risk: the last production deployment of one of its components failed, or did harm.

    The release's own attempts don't count, and a rollback is not one.
    """
    attempts = DeployedBuild.objects.filter(
        component=OuterRef("pk"),
        environment__tier=Tier.PRODUCTION,
        deployment__status__in=[Deployment.Status.SUCCEEDED, Deployment.Status.FAILED],
    )
    attempts = attempts.exclude(deployment__release=release).exclude(deployment__kind=Deployment.Kind.ROLLBACK)
    last = attempts.order_by("-deployment__finished_at", "-pk")
    told = {"last": Subquery(last.values("deployment")[:1]), "status": Subquery(last.values("deployment__status")[:1])}
    bad: QuerySet[Any] = release.components.annotate(**told).filter(Q(status=FAILED) | Q(caused_by(OuterRef("last"))))
    how = [(each, "failed" if each.status == FAILED else "caused an incident") for each in bad.order_by("key")]
    return [f"The last production deployment of {component} {trouble}." for component, trouble in how]


@dataclass(frozen=True)
class Verdict:
    """What one gate says about a start: its name, what it asks for, and why it is closed, if it is."""

    gate: str
    asks_for: str
    blockers: Sequence[Blocker]

    @property
    def is_open(self) -> bool:
        return not self.blockers


#: The gates that time alone opens and closes.
CLOCKED = (
    "deployments.gates.changes_ready",
    "deployments.gates.no_conflict",
    "deployments.gates.window_open",
    "deployments.gates.promoted",
)
#: How often the earliest start is put off by one of them before the search ends.
MOST_TRIES = 5


@dataclass(frozen=True)
class Readiness:
    """Every gate of a start at an instant, and the first one from then on at which no clock forbids it.

    `earliest_start` is None where nobody knows when: windows are laid out for about a year ahead, and a closed one may
    need a person. What else keeps it from starting, whatever the time, are the other verdicts.
    """

    verdicts: Sequence[Verdict]
    earliest_start: datetime | None

    @property
    def is_ready(self) -> bool:
        return all(verdict.is_open for verdict in self.verdicts)


def readiness(release: Release, environment: Environment, *, at: datetime) -> Readiness:
    """Every gate of a start at that instant, as a plan that is scheduled for it would meet it.

    It is the release's own plan there, with its preparation list, tasks and way back; where there is none, one without
    tasks of which nothing is verified.
    """
    plan = _plan_of(release, environment)
    found = answers(_at(plan, at), "start", now=at)
    verdicts = [
        Verdict(path.rpartition(".")[2], (inspect.getdoc(import_string(path)) or path).splitlines()[0], blockers)
        for path, blockers in found
    ]
    closed = [blocker for path, blockers in found if path in CLOCKED for blocker in blockers]
    return Readiness(verdicts, _earliest(plan, at, closed))


def earliest_start(release: Release, environment: Environment, *, at: datetime) -> datetime | None:
    """The first instant from then on at which no clock forbids a start, as in `Readiness`."""
    plan = _plan_of(release, environment)
    return _earliest(plan, at, _closed(plan, at))


def _plan_of(release: Release, environment: Environment) -> DeploymentPlan:
    """The release's plan there that has not started, or one that nobody wrote; asked for what it is asked for now."""
    waiting = DeploymentPlan.objects.filter(release=release, environment=environment, state__in=BEFORE_START)
    plan = waiting.order_by("-pk").first() or DeploymentPlan()
    plan.release, plan.environment = release, environment
    plan.asked_items = asked_of(plan)
    return plan


def _at(plan: DeploymentPlan, at: datetime) -> DeploymentPlan:
    """The plan as it would be if it were to be scheduled for that instant, and to start then."""
    return DeploymentPlan(
        pk=plan.pk,
        release=plan.release,
        environment=plan.environment,
        planned_start=at,
        latest_start=at,
        backout_minutes=plan.backout_minutes,
        asked_items=plan.asked_items,
        cycle=plan.cycle,
        state=DeploymentPlan.State.READY,
    )


def _closed(plan: DeploymentPlan, at: datetime) -> list[Blocker]:
    found = answers(_at(plan, at), "start", now=at, only=CLOCKED)
    return [blocker for _path, blockers in found for blocker in blockers]


def _earliest(plan: DeploymentPlan, at: datetime, closed: Sequence[Blocker]) -> datetime | None:
    """From instant to instant at which something opens, until nothing is closed."""
    for _ in range(MOST_TRIES):
        if not closed:
            return at
        openings = [blocker.next_open for blocker in closed]
        if None in openings:
            return None
        at = max(filter(None, openings))
        closed = _closed(plan, at)
    return None
