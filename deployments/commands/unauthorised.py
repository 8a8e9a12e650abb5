"""Unauthorised deployments to production: each is put on record as a change that people look back at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from approvals.commands import create_change, record_change
from approvals.models import ChangeRequest
from deployments.models import Deployment
from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import User
from releasemgmt.releases.models import Build

Status = Deployment.Status
OUTCOMES = {
    Status.SUCCEEDED: ChangeRequest.Outcome.SUCCESSFUL,
    Status.FAILED: ChangeRequest.Outcome.UNSUCCESSFUL,
    Status.CANCELLED: ChangeRequest.Outcome.UNSUCCESSFUL,
}


def put_on_record(
    deployment: Deployment, builds: Sequence[Build], unregistered: Iterable[str], *, actor: User, now: datetime
) -> ChangeRequest:
    """Write the change that the deployment was, as the system on behalf of who reported it; its retrospective opens."""
    reporter, where = deployment.reported_by, deployment.environment
    what = [f"- {build.component.key}: {build.digest}, {build.artifact_uri}" for build in builds]
    what += [f"- {digest}, which nobody had registered" for digest in unregistered]
    named = f" It is of {deployment.release}." if deployment.release else ""
    facts: dict[str, Any] = {
        "title": f"{deployment.get_kind_display()} to {where.key} that nobody authorised",
        "justification": f"{reporter} reported deployment {deployment.pk}: {where} got what no release that is or was "
        f"accepted covers.{named} Say here why.",
        "implementation_plan": "\n".join(what),
        "components": [build.component for build in builds],
        "environments": [where],
        "requested_by": reporter,
        "planned_start": deployment.started_at,
    }
    if deployment.finished_at and deployment.finished_at > deployment.started_at:
        facts["planned_end"] = deployment.finished_at
    change = create_change(product=deployment.product, actor=system(), on_behalf_of=actor, now=now, **facts)
    told = {"deployment": deployment.pk, "environment": where.key}
    told |= {"release": deployment.release.number} if deployment.release else {}
    outcome = OUTCOMES[Status(deployment.status)]
    return record_change(change, actor=system(), on_behalf_of=actor, now=now, outcome=outcome, data=told)
