"""Pre-approval of a release model: opened as any round, ended by one person."""

from __future__ import annotations

from datetime import datetime

from approvals import queries
from approvals.commands.rounds import withdraw
from approvals.models import ApprovalRound
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import ReleaseModel
from releasemgmt.workflow.commands import command, lock, permit, record
from releasemgmt.workflow.errors import Conflict, Invalid


def end_pre_approval(model: ReleaseModel, *, reason: str, actor: User, now: datetime) -> ReleaseModel:
    """Take back the pre-approval of a model, or what was asked about it; one person is enough, and says why."""
    if not reason.strip():
        raise Invalid({"reason": "Say why."})
    with command():
        model = lock(model)
        permit(actor, model, roles.ask_pre_approval, to=f"end the pre-approval of {model.number}")
        round = queries.current_round(model)
        if round is None or round.state not in (ApprovalRound.State.OPEN, ApprovalRound.State.APPROVED):
            raise Conflict(f"There is no pre-approval of {model.number} to end.", code="no_pre_approval")
        withdraw(model, actor=actor, now=now)
        record(model, "approvals.pre_approval.end", actor=actor, data={"round": round.pk, "reason": reason})
        return model
