"""Policies: proposed by one, agreed to by another; the version before it counts until then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from approvals import policies, queries
from approvals.models import ApprovalPolicy
from releasemgmt.accounts import roles
from releasemgmt.accounts.commands import consent, decline, propose, withdraw
from releasemgmt.accounts.models import Team, User
from releasemgmt.workflow.commands import command, create, lock, permit, record, validate
from releasemgmt.workflow.errors import Conflict, Invalid, Refused

State = ApprovalPolicy.State
#: How a proposal is settled, by the state that it leads to.
SETTLED = {State.ACCEPTED: consent, State.DECLINED: decline, State.WITHDRAWN: withdraw}


def propose_policy(
    *,
    key: str,
    actor: User,
    now: datetime,
    stages: Sequence[Mapping[str, Any]],
    conditions: Mapping[str, Any] | None = None,
    retired: bool = False,
    **fields: Any,
) -> ApprovalPolicy:
    """A new policy, or the next version of one; in force once another person agrees. Refusals are audited.

    `fields` are `name`, `subject` and `reason`. `retired`: from then on the key asks for nothing.
    """
    try:
        with command():
            last = ApprovalPolicy.objects.filter(key=key).order_by("-version").first()
            policy = ApprovalPolicy(
                key=key,
                version=last.version + 1 if last else 1,
                stages=list(stages),
                conditions=dict(conditions or {}),
                retired=retired,
                **fields,
            )
            permit(actor, policy, roles.propose_policies, to="propose policies")
            if last is not None and last.is_open:
                raise Conflict(f"{last.number} still waits for a second person; settle that first.", code="proposed")
            check_policy(policy, now=now)
            validate(policy, ["key", "name", "subject"])
            at_once = propose(policy, actor=actor, now=now)
            facts = {"key": key, "version": policy.version, "conditions": policy.conditions, "stages": policy.stages}
            return create(policy, actor=actor, data={**facts, "retired": retired, "bootstrap": at_once})
    except Refused as refused:
        refused.audited = True
        raise


def revise_policy(policy: ApprovalPolicy, *, changes: Mapping[str, Any], actor: User, now: datetime) -> ApprovalPolicy:
    """Settle the version (`state`, perhaps a `reason`), or propose the next one: this one, but for the changes."""
    if "state" in changes:
        if set(changes) - {"state", "reason"}:
            raise Invalid({"state": "Settle the version, or propose the next one, not both."})
        return decide_policy(policy, **changes, actor=actor, now=now)
    said = {name: getattr(policy, name) for name in ("name", "subject", "conditions", "stages", "retired")}
    return propose_policy(key=policy.key, actor=actor, now=now, **{**said, **changes})


def decide_policy(
    policy: ApprovalPolicy, *, state: str, actor: User, now: datetime, reason: str = ""
) -> ApprovalPolicy:
    """Settle a proposed version: `accepted` or `declined` by a second person, or `withdrawn` by who proposed it."""
    with command():
        policy = lock(policy)
        permit(actor, policy, roles.propose_policies, to="settle policies")
        settle = SETTLED.get(State(state)) if state in State.values else None
        if settle is None:
            raise Invalid({"state": f"Choose one of {', '.join(SETTLED)}."})
        settle(policy, actor=actor, now=now)
        data = {"reason": reason} if reason else {}
        record(policy, f"approvals.approvalpolicy.{_VERBS[state]}", actor=actor, data=data, revise=True)
        return policy


_VERBS: dict[str, str] = {State.ACCEPTED: "accept", State.DECLINED: "decline", State.WITHDRAWN: "withdraw"}


def check_policy(policy: ApprovalPolicy, *, now: datetime) -> None:
    """Refuse what can't be read as a policy, or what nobody could satisfy; completes the steps of its stages."""
    if errors := policies.policy_errors(policy.subject, policy.conditions, policy.stages):
        raise Invalid(errors)
    policy.stages = policies.normalised(policy.stages)
    named = policy.conditions.get("team") or None
    teams = Team.objects.filter(key__in=named) if named else Team.objects.all()
    if strange := set(named or ()) - {team.key for team in teams}:
        raise Invalid({"conditions.team": f"There is no team {', '.join(sorted(strange))}."})
    if not policy.retired and (short := policies.shortfall(policy.stages, queries.pools(policy.stages, teams, at=now))):
        raise Invalid({"stages": short}, code="unsatisfiable")
