"""Stopping the line: one person does, and others have to agree before anything starts again."""

from __future__ import annotations

from datetime import datetime

from deployments import policies
from deployments.models import LineStop, Resumption
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment, Product
from releasemgmt.workflow.commands import command, lock, permit, record
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted


def stop_line(
    *, product: Product | None, environment: Environment | None, reason: str, actor: User, now: datetime
) -> tuple[LineStop, bool]:
    """Stop every start in a scope at once; answers the stop and whether it is new: a line stands still only once."""
    with command():
        if product is None and environment is None:
            raise Invalid({"product": "Name a product or an environment."})
        stop = LineStop(product=product, environment=environment, reason=reason, stopped_by=actor, stopped_at=now)
        subject = lock(stop.record)
        permit(actor, subject, roles.stop_line, to=f"stop the line for {stop.scope}")
        if not reason.strip():
            raise Invalid({"reason": "Say the reason."})
        known = LineStop.objects.standing().filter(product=product, environment=environment).first()
        if known:
            return known, False
        stop.save(force_insert=True)
        record(subject, "deployments.line.stop", actor=actor, data={**_facts(stop), "reason": reason})
        return stop, True


def agree_to_resume(stop: LineStop, *, actor: User, now: datetime) -> LineStop:
    """Say that it can go on; with the last of the quorum it does. Who stopped it is not asked."""
    with command():
        subject = lock(stop.record)
        stop = LineStop.objects.select_related("product", "environment", "stopped_by").get(pk=stop.pk)
        permit(actor, subject, roles.stop_line, to="let it go on")
        if actor.pk == stop.stopped_by_id:
            raise NotPermitted(f"You stopped it yourself, so {policies.RESUME_QUORUM} others agree to go on.")
        agreed = set(stop.resumptions.values_list("by", flat=True))
        if actor.pk in agreed:
            return stop
        if stop.resumed_at:
            raise Conflict(f"It goes on since {policies.moment(stop.resumed_at)}.", code="resumed")
        Resumption.objects.create(stop=stop, by=actor, at=now)
        facts = {**_facts(stop), "agreed": len(agreed) + 1, "needed": policies.RESUME_QUORUM}
        if len(agreed) + 1 < policies.RESUME_QUORUM:
            record(subject, "deployments.line.agree", actor=actor, data=facts)
        else:
            stop.resumed_at = now
            stop.save(update_fields=["resumed_at"])
            record(subject, "deployments.line.resume", actor=actor, data=facts)
        return stop


def _facts(stop: LineStop) -> dict[str, object]:
    return {"stop": stop.pk, "scope": stop.scope}
