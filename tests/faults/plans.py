"""Many plans that are due together, for what dies meanwhile and for how long it takes."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.utils import timezone

from deployments.commands import TaskDraft, create_plan
from deployments.models import DeploymentPlan
from releasemgmt.accounts.models import Team
from releasemgmt.releases.commands import create_release, register_build, set_builds
from releasemgmt.workflow.commands import fire
from tests.factories import EnvironmentFactory, ProductFactory, someone


def scheduled_plans(team: Team, *, count: int, due: datetime) -> list[DeploymentPlan]:
    """One a product, so that none waits for another; all due in the same minute."""
    manager, ci = someone("release_manager", team=team), someone("service", team=team)
    where, now = EnvironmentFactory(key="test"), timezone.now()
    plans = []
    for n in range(count):
        product = ProductFactory(key=f"p{n}", team=team, components=["app"])
        release, _ = create_release(product=product, version="1", actor=manager, now=now)
        digest = sha256(product.key.encode()).hexdigest()
        facts: dict[str, Any] = {
            "commit_sha": digest[:40],
            "digest": f"sha256:{digest}",
            "artifact_uri": f"oci://x/{n}",
        }
        build, _ = register_build(
            product=product, component=product.components.get(), built_at=now, actor=ci, now=now, **facts
        )
        set_builds(release, builds=[build], actor=ci, now=now)
        plan = create_plan(
            release=release,
            environment=where,
            planned_start=due + timedelta(seconds=60 * n / count),
            latest_start=due + timedelta(hours=2),
            autostart=True,
            tasks=[TaskDraft("Swap the image")],
            backout_tasks=[TaskDraft("Swap it back")],
            actor=manager,
            now=now,
        )
        for transition in ("prepare", "schedule"):
            plan = fire(plan, transition, actor=manager, now=now)
        plans.append(plan)
    return plans
