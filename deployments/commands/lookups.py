"""Lookups: the service looks a plan's artifacts up where they are kept, and says what it found for whoever asked.

As with calls, the tick claims what is due under a lease, reads outside of any transaction, and writes what came of it
if the lease is still its own. Only what the plan still brings then is verified.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.db import transaction

from deployments import queries
from deployments.commands.preparation import checked, verify
from deployments.executors import artifacts
from deployments.executors.artifacts import Artifact, Found
from deployments.models import ArtifactLookup, DeploymentPlan, PreparationKind
from releasemgmt.accounts import roles
from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import User
from releasemgmt.releases.queries import builds_of
from releasemgmt.workflow.commands import command, lock, permit, record
from releasemgmt.workflow.errors import Invalid, Refused

log = structlog.get_logger()

BATCH = 4
#: Longer than a lookup may take (tasks.look_up_artifacts is stopped before), so that nobody who reads is overtaken.
LEASE = timedelta(seconds=60)
CHANGED = "The release has other builds by now. Ask again."


def ask_to_look_up(plan: DeploymentPlan, *, actor: User, now: datetime) -> ArtifactLookup:
    """Ask the service to look the plan's artifacts up where they are kept; asked again meanwhile, it is one lookup."""
    with command():
        plan = lock(plan)
        permit(actor, plan, roles.verify_preparation, to=f"verify what {plan} needs")
        checked(plan, PreparationKind.ARTIFACTS, "")
        if waits := ArtifactLookup.objects.waiting().filter(plan=plan).first():
            return waits
        if not builds_of(plan.release):
            raise Invalid({"builds": "The release has no builds."})
        lookup = ArtifactLookup(plan=plan, asked_by=actor, asked_at=now)
        lookup.save(force_insert=True)
        record(plan, "deployments.preparation.look_up", actor=actor)
        return lookup


def look_up_artifacts(*, now: datetime) -> int:
    """Look up what is due, and write what was found; answers how many lookups."""
    claimed = _claim(now)
    work = [(lookup, _artifacts_of(lookup.plan)) for lookup in claimed]
    found = iter(artifacts.look_up([each for _lookup, artifacts_ in work for each in artifacts_]) if work else ())
    for lookup, looked_up in work:
        try:
            _settle(lookup, looked_up, [next(found) for _ in looked_up], now)
        except Exception:
            log.exception("lookup_not_settled", lookup=lookup.pk)
    return len(claimed)


def _claim(now: datetime) -> list[ArtifactLookup]:
    """Lease what is due to this caller alone."""
    due = ArtifactLookup.objects.due(now)
    if not due.exists():
        return []
    token = secrets.token_hex(16)
    with transaction.atomic():
        locked = due.select_for_update(skip_locked=True, no_key=True)
        rows = list(locked.values_list("pk", flat=True)[:BATCH])
        ArtifactLookup.objects.filter(pk__in=rows).update(lease_until=now + LEASE, lease_token=token)
    claimed = ArtifactLookup.objects.filter(lease_token=token).order_by("pk")
    return list(claimed.select_related("plan__release__product", "plan__environment", "asked_by"))


def _artifacts_of(plan: DeploymentPlan) -> list[Artifact]:
    return [Artifact(each.component.key, each.artifact_uri, each.digest) for each in builds_of(plan.release)]


def _settle(lookup: ArtifactLookup, looked_up: Sequence[Artifact], found: Sequence[Found], now: datetime) -> None:
    """What was found verifies or refutes the item, or says why neither; a lookup that is another's by now is left."""
    with command():
        plan = lock(lookup.plan)
        mine = ArtifactLookup.objects.waiting().filter(pk=lookup.pk, lease_token=lookup.lease_token)
        if not mine.exists():
            return
        lookup.found = [each.as_row() for each in found]
        if queries.brought_by(plan) != {each.component: each.digest for each in looked_up}:
            lookup.problem = CHANGED
        elif all(each.digest for each in found):
            _say(lookup, plan, found, now)
        outcome = {"found": lookup.found, "problem": lookup.problem, "verification": lookup.verification}
        mine.update(ended_at=now, lease_until=None, lease_token="", **outcome)
        if lookup.verification is None:
            why = {"reason": "; ".join(lookup.problems)}
            record(plan, "deployments.preparation.unread", actor=system(), on_behalf_of=lookup.asked_by, data=why)


def _say(lookup: ArtifactLookup, plan: DeploymentPlan, found: Sequence[Found], now: datetime) -> None:
    try:
        with transaction.atomic():
            lookup.verification = verify(
                plan,
                kind=PreparationKind.ARTIFACTS,
                evidence="Read and hashed again: " + ", ".join(each.address for each in found),
                digests={each.component: each.digest for each in found},
                actor=system(),
                on_behalf_of=lookup.asked_by,
                now=now,
            )
    except Refused as refused:
        lookup.problem = refused.detail
