"""The story of the demo world: one release is deployed, one waits for a single vote, the others stand everywhere.

The first minute, for a reader who has just run `make run`:

1. Sign in as Carla Conti (CAB member). “What waits for me” shows one vote: the release that is titled WAITING.
   It was approved and accepted, and its deployment is scheduled and due. Then Mara changed the deployment procedure,
   which voided the votes; Rolf has signed the new text, Carla has not. The page shows what changed since she signed.
2. Approve. Within a second the worker starts the plan by itself, because its sign-off holds again.
3. Sign in as Dario Duarte (deployer) and tick the plan's two tasks. Within a second the plan has succeeded, the release
   is deployed, its change is in review, and its timeline tells who did what.
"""

from __future__ import annotations

import re
from datetime import datetime

from deployments.commands import start_due_plans
from releasemgmt.catalog.models import Product, Tier
from releasemgmt.integrations import git
from releasemgmt.portal.demo.ahead import announce_an_outage, go_back, prepare_staging
from releasemgmt.portal.demo.records import draft, hand_in, meet, report_defects, report_incidents, request_changes
from releasemgmt.portal.demo.source import Source, sources
from releasemgmt.portal.demo.stage import Stage
from releasemgmt.portal.demo.walk import DOCUMENTS, Walk
from releasemgmt.releases import commands
from releasemgmt.releases.models import Document, Release
from releasemgmt.workflow.commands import comment, fire

#: The releases, in the order in which they were planned.
CLOSED, ROLLED_BACK, DEPLOYED, WAITING, TESTED, BUILT = (
    "The first version for friends",
    "Faster lists",
    "Known defects, with their workarounds",
    "Sign-offs bound to content",
    "Deployment plans",
    "Notifications",
)
PLANNED, CANCELLED = "Delivery figures", "A theme of its own"
VERSION = re.compile(r"(\d+)\.(\d+)")


def make_releases(stage: Stage, repository: git.Repository | None, *, now: datetime) -> Release:
    """Tell the whole story; answers the release that waits for a vote."""
    walk = Walk(stage, now=now)
    built = (CLOSED, ROLLED_BACK, DEPLOYED, WAITING, TESTED, BUILT)
    versions = dict(zip((*built, PLANNED), _next_versions(stage.product), strict=True))
    made = sources(repository, [versions[title] for title in built], now=now)
    source = {title: made[versions[title]] for title in built}

    first = _ship(walk, walk.plan(versions[CLOSED], CLOSED), source[CLOSED], "Let two friends in")
    _roll_back(walk, _ship(walk, walk.plan(versions[ROLLED_BACK], ROLLED_BACK), source[ROLLED_BACK]), to=first)
    deployed = _ship(walk, walk.plan(versions[DEPLOYED], DEPLOYED), source[DEPLOYED], "Write down what is wrong")
    _close(walk, first)

    waiting = _wait_for_one_vote(walk, walk.plan(versions[WAITING], WAITING, risk="medium"), source[WAITING])
    tested = walk.test(walk.build(walk.plan(versions[TESTED], TESTED), source[TESTED]))
    built_now = walk.build(walk.plan(versions[BUILT], BUILT), source[BUILT])
    planned = walk.plan(versions[PLANNED], PLANNED)
    theme = walk.plan(f"{versions[DEPLOYED]}-theme", CANCELLED, type=Release.Type.PATCH)
    fire(theme, "cancel", reason="The colours that we have are enough.", actor=stage.people["mara"], now=now)
    report_defects(walk, affected=tested, fixed_in=deployed)
    report_incidents(walk, rolled_back=ROLLED_BACK)
    request_changes(walk, planned)
    meet(walk)
    prepare_staging(walk, tested)
    go_back(walk, built_now)
    announce_an_outage(walk)
    return waiting


def _ship(walk: Walk, release: Release, source: Source, change: str = "") -> Release:
    """The whole way from planned to deployed, with a change that rides along where one is named."""
    release = walk.document(walk.test(walk.build(release, source)))
    if change:
        hand_in(walk, draft(walk, change, releases=[release]))
    walk.approve(release, "rolf")
    return walk.deploy(walk.accept(release))


def _close(walk: Walk, release: Release) -> None:
    mara = walk.stage.people["mara"]
    commands.close(release, review="Two friends use it daily; nothing broke.", actor=mara, now=walk.now)
    for change in release.changes.all():
        fire(change, "close", actor=mara, now=walk.now)


def _next_versions(product: Product) -> list[str]:
    """Minor versions after the highest past release."""
    past = [VERSION.match(version) for version in product.releases.values_list("version", flat=True)]
    major, minor = max(((int(found[1]), int(found[2])) for found in past if found), default=(0, 0))
    return [f"{major}.{minor + n}.0" for n in range(1, 8)]


def _roll_back(walk: Walk, release: Release, *, to: Release) -> None:
    """Production went back to the release before, by hand; the pipeline reports it."""
    walk.report_arrival(to, Tier.PRODUCTION, kind="rollback")
    body = "Lists were fast and wrong: a filter was left out. Back on the version before; the fix goes into the next."
    comment(release, body=body, actor=walk.stage.people["dario"])


def _wait_for_one_vote(walk: Walk, release: Release, source: Source) -> Release:
    """Approved, accepted and scheduled; then a document changed, and of two votes one has been given again."""
    people, now = walk.stage.people, walk.now
    release = walk.document(walk.test(walk.build(release, source)))
    hand_in(walk, draft(walk, "Bind every vote to the content that was seen", releases=[release], risk="medium"))
    walk.approve(release, "rolf", "carla")
    release = walk.accept(release)
    walk.schedule(release, autostart=True)
    procedure = Document.Kind.DEPLOYMENT_PROCEDURE
    body = DOCUMENTS[procedure].replace("2. `manage.py migrate`", "2. Back up the database, then `manage.py migrate`")
    release = commands.write_document(
        release, kind=procedure, body=body, void_signoffs=True, actor=people["mara"], now=now
    )
    asks = "Carla, Rolf: I added a backup before the migration. Please sign again; it deploys by itself after that."
    comment(release, body=asks, actor=people["mara"])
    walk.approve(release, "rolf")
    # As the tick does each second: the plan is due, and says once what holds it up.
    start_due_plans(now)
    return release
