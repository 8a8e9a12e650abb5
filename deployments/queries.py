"""What runs where, what a release would change there, and what deployments say about the next one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from approvals.models import ChangeRequest
from deployments.models import DeployedBuild, Deployment, DeploymentPlan
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Environment, Product, Tier
from releasemgmt.releases.models import Build, Commit, DefectLink, Release
from releasemgmt.workflow.queries import timeline


def running_in(environment: Environment, product: Product, *, at: datetime | None = None) -> QuerySet[DeployedBuild]:
    """What runs of a product in an environment, now or at a past instant: one row for each component."""
    here = Component.objects.filter(product=product).values(latest=_latest(OuterRef("pk"), environment.pk, at))
    return _rows(here)


def what_is_where(at: datetime | None = None, *, user: User | None = None) -> QuerySet[DeployedBuild]:
    """What runs in every environment, now or at a past instant, as far as the user sees it: one row a component."""
    products = Product.objects.all() if user is None else roles.visible_to(user, Product.objects.all(), team="team")
    uses = Product.environments.through.objects.filter(product__in=products, product__components__isnull=False)
    latest = _latest(OuterRef("product__components"), OuterRef("environment"), at)
    return _rows(uses.values(latest=latest)).order_by(
        "environment__rank", "environment__key", "deployment__product__key", "component__key"
    )


def _latest(component: Any, environment: Any, at: datetime | None) -> Subquery:
    there = DeployedBuild.objects.filter(component=component, environment=environment)
    past = there.filter(succeeded_at__isnull=False) if at is None else there.filter(succeeded_at__lte=at)
    return Subquery(past.order_by("-succeeded_at", "-pk").values("pk")[:1])


def _rows(latest: QuerySet[Any, Any]) -> QuerySet[DeployedBuild]:
    facts = ("build", "component", "environment", "deployment__release", "deployment__product")
    return DeployedBuild.objects.filter(pk__in=latest).select_related(*facts).order_by("component__key")


def covering(builds: Collection[Build]) -> list[Release]:
    """The releases to which all of these builds belong, the newest first."""
    shared = Release.objects.filter(builds__in=builds).annotate(shared=Count("builds")).filter(shared=len(builds))
    return list(Release.objects.filter(pk__in=shared.values("pk")).select_related("product").order_by("-pk"))


def ran_before(environment: Environment, builds: Collection[Build]) -> bool:
    """Whether each of these builds ran in the environment at some time."""
    ran = DeployedBuild.objects.filter(environment=environment, build__in=builds, succeeded_at__isnull=False)
    return ran.values("build").distinct().count() == len(builds)


def running_deployment(plan: DeploymentPlan) -> Deployment | None:
    """The attempt that is going on."""
    return plan.deployments.running().first()


def scheduled_by(plan: DeploymentPlan) -> User | None:
    """Who scheduled the plan last: the one on whose behalf the system starts it."""
    event = timeline(plan).filter(kind="deployments.deploymentplan.schedule").first()
    return event.actor if event else None


def ticked_last_by(plan: DeploymentPlan) -> User | None:
    """Who ended the last task: the one on whose behalf the system ends the plan."""
    last = plan.tasks.exclude(finished_by=None).select_related("finished_by").order_by("-finished_at", "-pk").first()
    return last.finished_by if last else None


def changes_in(release: Release, *states: str) -> QuerySet[ChangeRequest]:
    """The changes that go with a release, in the order in which they are locked."""
    return release.changes.filter(state__in=states).order_by("pk")


@dataclass(frozen=True)
class Replacement:
    """A component's build of the release, beside the one that runs there now, if any does."""

    component: Component
    build: Build | None
    running: DeployedBuild | None

    @property
    def changes(self) -> bool:
        """Whether the release would bring another digest."""
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
    running = list(running_in(environment, release.product).select_related("deployment__release"))
    return Comparison(
        release=release,
        environment=environment,
        components=_replacements(release, running),
        commits=_commits_beyond(release, running),
        changes=list(release.changes.order_by("pk")),
        defects=list(release.defect_links.select_related("defect", "defect__component").order_by("defect_id")),
    )


def _replacements(release: Release, running: Iterable[DeployedBuild]) -> list[Replacement]:
    there = {each.component: each for each in running}
    brought = {build.component: build for build in release.builds.select_related("component")}
    both = sorted({*there, *brought}, key=lambda component: component.key)
    return [Replacement(each, brought.get(each), there.get(each)) for each in both]


def _commits_beyond(release: Release, running: list[DeployedBuild]) -> list[Commit]:
    """The commits that the release's builds reach and those that run there don't, the newest first.

    Only what was released after the oldest of the running releases is walked; all before is in what runs. Where
    nothing runs yet, it is what the release brings to users.
    """
    if not running:
        return list(release.commits.order_by("-committed_at", "-pk"))
    shipped = [each.deployment.release.released_at for each in running if each.deployment.release]
    rows = Q(first_release=None) | Q(release_commits__release=release)
    if since := min((at for at in shipped if at), default=None):
        rows |= Q(first_release__released_at__gt=since)
    commits = {commit.sha: commit for commit in Commit.objects.filter(rows, product=release.product_id)}
    there = _reached({each.build.commit_sha for each in running}, commits)
    new = _reached(release.builds.values_list("commit_sha", flat=True), commits) - there
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
    """Why the release is a high risk: the last production deployment of one of its components failed.

    The release's own attempts don't count.
    """
    attempts = DeployedBuild.objects.filter(
        component=OuterRef("pk"),
        environment__tier=Tier.PRODUCTION,
        deployment__status__in=[Deployment.Status.SUCCEEDED, Deployment.Status.FAILED],
    ).exclude(deployment__release=release)
    last = attempts.order_by("-deployment__finished_at", "-pk").values("deployment__status")[:1]
    failed = release.components.annotate(last=Subquery(last)).filter(last=Deployment.Status.FAILED).order_by("key")
    return [f"The last production deployment of {component} failed." for component in failed]
