"""Overrides of windows: asked for by one person, approved by another, used by a start; on the stream of the release."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from deployments.models import DeploymentPlan, Window, WindowOverride
from deployments.queries import clearance, promotion
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import command, lock, permit, record, validate
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted

State = WindowOverride.State
#: An override is an exception: it does not stand for long.
LONGEST = timedelta(days=31)


def request_override(  # noqa: PLR0913 - what an override is
    *,
    release: Release,
    environment: Environment,
    windows: Collection[Window],
    reason: str,
    expires_at: datetime,
    actor: User,
    now: datetime,
    uses: int = 1,
    skips_promotion: bool = False,
) -> WindowOverride:
    """Ask that a release may start in an environment in spite of these windows, or of the promotion path."""
    with command():
        release = lock(release)
        permit(actor, release, roles.request_windows, to=f"ask for an override for {release}")
        override = WindowOverride(
            release=release,
            environment=environment,
            skips_promotion=skips_promotion,
            reason=reason,
            uses=uses,
            expires_at=expires_at,
            requested_by=actor,
            requested_at=now,
        )
        _check(override, windows, now=now)
        override.save(force_insert=True)
        override.windows.set(windows)
        record(release, "deployments.override.request", actor=actor, data=_facts(override))
        return override


def edit_override(
    override: WindowOverride, *, changes: Mapping[str, Any], actor: User, now: datetime
) -> WindowOverride:
    """Change what is asked for (`windows`, `reason`, `expires_at` …), as long as nobody has decided."""
    with command():
        override = _locked(override)
        permit(actor, override.release, roles.request_windows, to="edit it")
        if actor.pk != override.requested_by_id:
            raise NotPermitted(f"You may not edit it: it is for {override.requested_by}, who asked for it.")
        _check_open(override)
        plain = dict(changes)
        windows = plain.pop("windows", list(override.windows.all()))
        for name, value in plain.items():
            setattr(override, name, value)
        _check(override, windows, now=now)
        override.save()
        override.windows.set(windows)
        record(override.release, "deployments.override.edit", actor=actor, data=_facts(override))
        return override


def approve_override(override: WindowOverride, *, actor: User, now: datetime) -> WindowOverride:
    """Let it be used; for another person than who asked, who may run each of the windows."""
    with command():
        override = _locked(override)
        _check_decides(override, actor)
        if override.state == State.APPROVED:
            return override
        _check_open(override)
        if override.has_expired(now):
            raise Conflict(f"It expired on {override.expires_at:%Y-%m-%d %H:%M %Z}; ask for another.", code="expired")
        _settle(override, State.APPROVED, actor=actor, now=now)
        record(override.release, "deployments.override.approve", actor=actor, data=_facts(override))
        return override


def decline_override(override: WindowOverride, *, actor: User, now: datetime, reason: str = "") -> WindowOverride:
    """Refuse it, with a reason."""
    with command():
        override = _locked(override)
        _check_decides(override, actor)
        if override.state == State.DECLINED:
            return override
        _check_open(override)
        if not reason.strip():
            raise Invalid({"reason": "Say the reason."})
        _settle(override, State.DECLINED, actor=actor, now=now)
        facts = {**_facts(override), "because": reason}
        record(override.release, "deployments.override.decline", actor=actor, data=facts)
        return override


def withdraw_override(override: WindowOverride, *, actor: User, now: datetime) -> WindowOverride:
    """Take it back, asked for or approved: it is used no more. For who asked, and whoever could approve it."""
    with command():
        override = _locked(override)
        if actor.pk != override.requested_by_id:
            _check_decides(override, actor)
        if override.state == State.WITHDRAWN:
            return override
        if override.state == State.DECLINED:
            raise Conflict("It was declined already.", code="decided")
        _settle(override, State.WITHDRAWN, actor=actor, now=now)
        record(override.release, "deployments.override.withdraw", actor=actor, data=_facts(override))
        return override


#: The commands by the names that the API gives them.
DECISIONS = {"approve": approve_override, "decline": decline_override, "withdraw": withdraw_override}


def use_override(
    plan: DeploymentPlan, *, actor: User, now: datetime, on_behalf_of: User | None = None, what: str = ""
) -> None:
    """Note that a start needed overrides, if it did, in the transaction of the start; the release is locked."""
    found = [promotion(plan.release, plan.environment, at=now).override]
    if plan.environment.change_controlled:
        found.append(clearance(plan.release, plan.environment, at=now).override)
    for override in {override.pk: override for override in found if override}.values():
        override.used += 1
        override.save(update_fields=["used"])
        facts = {"override": override.pk, "use": override.used, "uses": override.uses, "plan": what or plan.number}
        record(plan.release, "deployments.override.use", actor=actor, on_behalf_of=on_behalf_of, data=facts)


def _check(override: WindowOverride, windows: Collection[Window], *, now: datetime) -> None:
    validate(override, ("reason", "uses"))
    errors = {}
    release, environment = override.release, override.environment
    if not release.product.environments.filter(pk=environment.pk).exists():
        errors["environment"] = f"{release.product} does not use {environment}."
    if not now < override.expires_at <= now + LONGEST:
        errors["expires_at"] = f"Name an instant within the next {LONGEST.days} days."
    over = set(Window.objects.over(environment, release.product).in_force())
    if override.skips_promotion and not release.product.promotion_required:
        errors["skips_promotion"] = f"{release.product} asks for no promotion, so there is none to skip."
    if not windows and not override.skips_promotion:
        errors["windows"] = "Name the windows that it is about, or skip the promotion."
    elif strange := [str(window) for window in windows if window not in over]:
        errors["windows"] = f"{', '.join(strange)} is not in force for {release.product} in {environment}."
    if errors:
        raise Invalid(errors)


def _check_decides(override: WindowOverride, actor: User) -> None:
    if actor.pk == override.requested_by_id:
        raise NotPermitted("You asked for it yourself, so another person decides.")
    if override.skips_promotion:
        permit(actor, override.release, roles.run_windows, to="decide about skipping the promotion")
    for window in override.windows.select_related("product"):
        permit(actor, window, roles.run_windows, to=f"decide about an override of {window}")


def _check_open(override: WindowOverride) -> None:
    if override.state != State.REQUESTED:
        raise Conflict(f"It is {override.get_state_display().lower()} already.", code="decided")


def _settle(override: WindowOverride, state: str, *, actor: User, now: datetime) -> None:
    override.settle(state, by=actor, at=now)
    override.save()


def _locked(override: WindowOverride) -> WindowOverride:
    """The override, read afresh under the lock of its release."""
    release = lock(override.release)
    override = WindowOverride.objects.select_related("environment", "requested_by").get(pk=override.pk)
    override.release = release
    return override


def _leaves_out(override: WindowOverride) -> list[str]:
    promotion = ["the promotion path"] if override.skips_promotion else []
    return [*(window.number for window in override.windows.order_by("pk")), *promotion]


def _facts(override: WindowOverride) -> dict[str, Any]:
    return {
        "override": override.pk,
        "environment": override.environment.key,
        "windows": _leaves_out(override),
        "reason": override.reason,
        "uses": override.uses,
        "expires_at": override.expires_at,
    }
