"""What stands behind a release: a round of its own, or the round that approved its model once for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.utils.module_loading import import_string

from approvals import policies
from approvals.models import ApprovalRound, Vote
from approvals.queries.content import riding, risk_reasons
from approvals.queries.rounds import MANAGER, current_round, open_conditions, round_blockers, standing
from approvals.queries.standing import Standing
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import ReleaseModel
from releasemgmt.releases.models import Release, Risk
from releasemgmt.workflow.gates import Blocker

log = structlog.get_logger()
State = ApprovalRound.State


@dataclass(frozen=True)
class PreApproval:
    """Whether releases need no round of their own: `reasons` say why they do, each as a sentence without its stop.

    `is_given` says that a round on the model holds and its time is not over; `record` is how many of the last
    production deployments are known and how many of these went wrong, None where that can't be told.
    """

    model: ReleaseModel
    standing: Standing | None
    until: datetime | None
    is_given: bool
    record: tuple[int, int] | None
    reasons: Sequence[str]

    @property
    def holds(self) -> bool:
        return not self.reasons

    @property
    def round(self) -> ApprovalRound | None:
        """The newest round on the model, however it ended."""
        return self.standing.round if self.standing else None

    @property
    def given_by(self) -> list[User]:
        """Those whose approval counts now."""
        votes = self.standing.counting if self.standing else []
        return [vote.voter for vote in votes if vote.decision == Vote.Decision.APPROVE]

    @property
    def can_end(self) -> bool:
        """Whether there is something to take back."""
        return self.round is not None and self.round.state in (State.OPEN, State.APPROVED)

    @property
    def can_be_asked(self) -> bool:
        """Whether a round can be opened: none is open, and none gives it now."""
        return not self.is_given and not (self.standing and self.standing.is_open)


@dataclass(frozen=True)
class Cover:
    """The round by which a release may go to production now; without one, why not."""

    round: ApprovalRound | None
    blockers: Sequence[Blocker] = ()


def pre_approval(release: Release, *, now: datetime) -> PreApproval:
    """Whether the pre-approval of its model covers a release now: it holds, and the release's risk is low."""
    found = model_approval(release.model, now=now)
    changes = riding(release)
    reasons = risk_reasons(release, changes=changes)
    level = policies.risk(release.risk, *(change.risk for change in changes), reasons=reasons)
    if level == Risk.LOW:
        return found
    why = f"its risk is {level}" + (f" ({' '.join(reasons)})" if reasons else "")
    return replace(found, reasons=[*found.reasons, why])


def model_approval(model: ReleaseModel, *, now: datetime) -> PreApproval:
    """How the pre-approval of exactly this version of a model stands, whatever its releases are."""
    round = current_round(model)
    stands = standing(round, subject=model) if round else None
    until = approved_until(round)
    record = deployment_record(model)
    holds = stands is not None and stands.holds
    is_given = holds and until is not None and now < until
    reasons = [] if holds else [_not_given(round, model)]
    if holds and until and not is_given:
        reasons.append(f"the pre-approval of {model.number} expired on {until:%Y-%m-%d %H:%M %Z}")
    asked = [condition.text for condition in open_conditions(model)] if not reasons else []
    reasons += [f"a condition of the pre-approval of {model.number} is not met: {text}" for text in asked]
    if record is None:
        reasons.append(f"how the last deployments under {model.number} went can't be told")
    elif policies.over_ceiling(*record, ceiling=model.fail_rate_ceiling):
        known, wrong = record
        reasons.append(
            f"of the last {known} production deployments under {model.key} {wrong} went wrong, "
            f"and the pre-approval ends at {model.fail_rate_ceiling} %"
        )
    return PreApproval(model, stands, until, is_given, record, reasons)


def approved_until(round: ApprovalRound | None) -> datetime | None:
    """When the pre-approval that a round gave ends; None where it gave none."""
    model = (round.model or round.change_model) if round else None
    if round is None or model is None or round.state != State.APPROVED or round.decided_at is None:
        return None
    return round.decided_at + timedelta(days=model.pre_approval_days)


def has_lapsed(round: ApprovalRound, *, now: datetime) -> bool:
    """Whether it gave a pre-approval whose time is over."""
    until = approved_until(round)
    return until is not None and until <= now


def cover(release: Release, *, now: datetime) -> Cover:
    """What stands behind the release: its own round where it holds, else the pre-approval of its model.

    What its own round rejected as it is now, no pre-approval lets through.
    """
    own = current_round(release)
    found = round_blockers(release, own)
    if own and not found:
        return Cover(own)
    is_rejected = any(blocker.code == "sign_off_rejected" for blocker in found)
    if release.model.sign_off != ReleaseModel.SignOff.PRE_APPROVED or is_rejected:
        return Cover(None, found)
    given = pre_approval(release, now=now)
    if given.holds:
        return Cover(given.round)
    why = "; ".join(given.reasons)
    needed = Blocker("no_pre_approval", f"{why[0].upper()}{why[1:]}: {release} needs a round of its own.", (MANAGER,))
    return Cover(None, [needed, *found] if own else [needed])


def sign_off_blockers(release: Release, *, now: datetime) -> Sequence[Blocker]:
    """Why the release's sign-off does not hold; empty where a round stands behind it."""
    return cover(release, now=now).blockers


def signed_off_by(release: Release, *, now: datetime) -> dict[str, Any]:
    """The round that stands behind the release now, as an event names it; nothing where there is none."""
    round = cover(release, now=now).round
    if round is None:
        return {}
    return {"round": round.pk} | ({"pre_approval": release.model.number} if round.model_id else {})


def _not_given(round: ApprovalRound | None, model: ReleaseModel) -> str:
    if round is None:
        return f"nobody was asked to pre-approve {model.number}"
    said = {
        State.OPEN: "is not given yet",
        State.REJECTED: "was refused",
        State.WITHDRAWN: "was taken back",
        State.EXPIRED: "was never answered",
        State.APPROVED: "is lost, as too few of its votes still count",
    }
    return f"the pre-approval of {model.number} {said[State(round.state)]}"


def deployment_record(model: ReleaseModel) -> tuple[int, int] | None:
    """How many of the last production deployments under it are known and went wrong; None where it can't be told."""
    try:
        known, wrong = import_string(settings.PRE_APPROVAL_FACTS)(model)
    except Exception:
        log.exception("pre_approval_facts_failed", model=model.number)
        return None
    return known, wrong
