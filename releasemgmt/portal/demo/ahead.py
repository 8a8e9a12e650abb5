"""What lies ahead of the demo's people, and what just went wrong: a plan half prepared, an outage, a way back."""

from __future__ import annotations

from datetime import timedelta

from deployments.commands import TaskDraft, ask_for, back_out, create_endpoint, create_plan, start, verify
from deployments.models import DeploymentPlan, PreparationKind
from releasemgmt.catalog.models import Tier
from releasemgmt.integrations.standard_webhooks import new_secret
from releasemgmt.portal.demo import DOMAIN
from releasemgmt.portal.demo.records import draft, hand_in
from releasemgmt.portal.demo.walk import Walk
from releasemgmt.releases.models import Release

ASKED = [
    (PreparationKind.FUNCTIONALITY, ""),
    (PreparationKind.ARTIFACTS, ""),
    (PreparationKind.OTHER, "Tell the testers"),
]
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def prepare_staging(walk: Walk, release: Release) -> DeploymentPlan:
    """Tomorrow a release goes to staging, one task by a webhook; of what Ada asks for, one thing is still to be done.

    It is a draft, so nothing is called by itself; and the endpoint's name leads nowhere.
    """
    people, product, now = walk.stage.people, walk.stage.product, walk.now
    url = f"https://deploy.{DOMAIN}/hooks/{product.key}"
    create_endpoint(product, key="deployer", url=url, secret=new_secret(), actor=people["ada"])
    ask_for(product, tier=Tier.STAGING, items=[(str(kind), title) for kind, title in ASKED], actor=people["ada"])
    plan = create_plan(
        release=release,
        environment=walk.stage.environments[Tier.STAGING],
        planned_start=now + DAY,
        latest_start=now + DAY + 2 * HOUR,
        backout_minutes=10,
        tasks=[
            TaskDraft("Swap the archive", kind="webhook", endpoint="deployer", purpose="deploy", estimate_minutes=5),
            TaskDraft("See that /readyz answers", purpose="verify", assignee=people["dario"], depends_on=(0,)),
        ],
        backout_tasks=[TaskDraft("Start the archive before it", purpose="restore", assignee=people["dario"])],
        actor=people["mara"],
        now=now,
    )
    verify(
        plan,
        kind=PreparationKind.ARTIFACTS,
        evidence="sha256sum of the archive in the pipeline's store",
        digests={build.component.key: build.digest for build in release.builds.select_related("component")},
        actor=walk.stage.ci,
        now=now,
    )
    return plan


def go_back(walk: Walk, release: Release) -> DeploymentPlan:
    """Dario tried a release in development, where nobody has to be asked, and is on the way back."""
    dario, now = walk.stage.people["dario"], walk.now
    plan = create_plan(
        release=release,
        environment=walk.stage.environments[Tier.DEVELOPMENT],
        planned_start=now,
        latest_start=now + DAY,
        tasks=[TaskDraft("Unpack, migrate, restart", purpose="deploy", assignee=dario)],
        backout_tasks=[
            TaskDraft("Put the database's copy back", purpose="restore", assignee=dario, estimate_minutes=5),
            TaskDraft("Start the archive before it", purpose="deploy", assignee=dario, depends_on=(0,)),
        ],
        actor=dario,
        now=now,
    )
    plan = start(plan, actor=dario, now=now)
    return back_out(
        plan, reason="The migration takes a minute on real data; so long nobody waits.", actor=dario, now=now
    )


def announce_an_outage(walk: Walk) -> None:
    """In a week the service is away for half an hour; the CAB agreed."""
    times = {"planned_start": walk.now + 7 * DAY, "planned_end": walk.now + 7 * DAY + HOUR}
    away = {"outage_expected": True, "outage_minutes": 30, "impact": "Half an hour without the service."}
    walk.approve(
        hand_in(walk, draft(walk, "Move the database to the new disks", **times, **away)), "carla", "cem", "chiara"
    )
