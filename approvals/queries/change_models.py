"""Whether a model of standard changes is approved now, and how its changes went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from approvals import policies
from approvals.models import ApprovalRound, ChangeModel, ChangeRequest
from approvals.queries.pre_approval import approved_until
from approvals.queries.rounds import current_round, open_conditions, standing
from releasemgmt.accounts.models import Role, User
from releasemgmt.workflow.gates import Blocker

MANAGER, CHAIR = Role.RELEASE_MANAGER.value, Role.CAB_CHAIR.value
#: Where the outcome of a change is known.
ENDED = (ChangeRequest.State.REVIEW, ChangeRequest.State.CLOSED)


@dataclass(frozen=True)
class ChangePreApproval:
    """How a model's pre-approval stands: empty `blockers` mean that it holds."""

    round: ApprovalRound | None
    expires_at: datetime | None
    #: Percent of its latest changes that succeeded; None where there are too few to tell.
    success_rate: int | None
    blockers: Sequence[Blocker]

    @property
    def holds(self) -> bool:
        """Whether a standard change may follow the model now."""
        return not self.blockers


def get_change_model(number: str, user: User) -> ChangeModel | None:
    """The model of that number (`disk-swap@1`), or the newest version of that key, if the user sees it."""
    key, at, version = number.partition("@")
    if at and not (version.isascii() and version.isdigit() and len(version) < 9):
        return None
    rows = ChangeModel.objects.visible_to(user).filter(key=key, **({"version": int(version)} if at else {}))
    return rows.select_related("product").order_by("-version").first()


def change_pre_approval(model: ChangeModel, *, now: datetime) -> ChangePreApproval:
    """Whether the model's pre-approval holds, and if not why: no round, expired, or too many of its changes failed."""
    round = current_round(model)
    until = approved_until(round)
    rate = success_rate(model)
    found = []
    if round is None or not standing(round, subject=model).holds:
        reason = f"No approval of the change model {model.number} holds; ask for its pre-approval."
        found.append(Blocker("model_not_approved", reason, (MANAGER, CHAIR)))
    elif until is not None and until <= now:
        reason = f"The pre-approval of {model.number} expired on {until:%Y-%m-%d}; ask for the next."
        found.append(Blocker("pre_approval_expired", reason, (MANAGER, CHAIR)))
    asked = [] if found else open_conditions(model)
    found += [Blocker("condition_open", f"{each.vote.voter} approves if: {each.text}", (MANAGER,)) for each in asked]
    if rate is not None and rate < model.success_floor:
        reason = f"Of the latest changes under {model.number} {rate} % succeeded, {model.success_floor} % is the floor."
        found.append(Blocker("success_rate_low", f"{reason} Make its next version, or a normal change.", (MANAGER,)))
    return ChangePreApproval(round, until, rate, found)


def outside_model(change: ChangeRequest) -> list[str]:
    """What a change touches that its model does not cover. At most two statements."""
    if change.model is None:
        return []
    return policies.outside_model(
        {"tiers": change.model.tiers, "components": change.model.components},
        tiers=list(change.environments.values_list("tier", flat=True)),
        components=list(change.components.values_list("key", flat=True)),
    )


def success_rate(model: ChangeModel) -> int | None:
    """Percent of its latest changes that succeeded; None where there are too few to tell."""
    ended = ChangeRequest.objects.filter(model=model, state__in=ENDED).exclude(outcome="").order_by("-pk")
    return policies.success_rate(list(ended.values_list("outcome", flat=True)[: policies.LATEST]))
