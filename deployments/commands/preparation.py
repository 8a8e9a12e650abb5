"""Preparation: what products ask for, and what people and services find of a plan's list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError

from deployments import policies, queries
from deployments.models import DeploymentPlan, PreparationItem, PreparationKind, Verification
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.releases.models.build import DIGEST
from releasemgmt.workflow import fsm
from releasemgmt.workflow.commands import command, lock, permit, record
from releasemgmt.workflow.errors import Invalid, Stale, WrongState

Kind = PreparationKind


def ask_for(product: Product, *, tier: str, items: Sequence[tuple[str, str]], actor: User) -> Product:
    """Say what is asked for before a plan into environments of a tier is ready: kinds, and titles of what is `other`.

    It replaces the list that is there; an empty one asks for nothing. Plans that are ready already keep theirs.
    """
    with command():
        product = lock(product)
        permit(actor, product, roles.administrate_or_system, to="edit preparation lists")
        wanted = [(kind, title.strip()) for kind, title in items]
        if errors := policies.item_errors(wanted):
            raise Invalid(errors)
        there = product.preparation_items.filter(tier=tier)
        before = list(there.order_by("position").values_list("kind", "title"))
        if before != wanted:
            there.delete()
            PreparationItem.objects.bulk_create(
                PreparationItem(product=product, tier=tier, position=position, kind=kind, title=title)
                for position, (kind, title) in enumerate(wanted)
            )
            data = {"tier": tier, "changes": {"items": [_names(before), _names(wanted)]}}
            record(product, "deployments.preparation.ask", actor=actor, data=data, revise=True)
        return product


def verify(  # noqa: PLR0913 - what a verification says
    plan: DeploymentPlan,
    *,
    kind: str,
    evidence: str,
    actor: User,
    now: datetime,
    on_behalf_of: User | None = None,
    title: str = "",
    holds: bool = True,
    digest: str = "",
    digests: Mapping[str, str] | None = None,
) -> Verification:
    """Say, with evidence, that an item of the plan's list holds, or that it does not: the last word counts.

    Of the configuration say the `digest` of the difference that was reviewed. Of the artifacts say which `digests`
    were found of the components, where they are kept: another one than was built is on record, and nothing holds.
    Who may is asked of the person on whose behalf it is said.
    """
    with command():
        plan = lock(plan)
        permit(on_behalf_of or actor, plan, roles.verify_preparation, to=f"verify what {plan} needs")
        check = checked(plan, kind, title)
        if not evidence.strip():
            raise Invalid({"evidence": "Say how you know: an address, a ticket, what you saw."})
        facts: dict[str, Any] = {"item": check.name, "evidence": evidence}
        if kind == Kind.CONFIGURATION and digest != check.digest:
            raise Stale("The difference is another one than you reviewed. Read it again.", digest=check.digest)
        if kind == Kind.ARTIFACTS:
            facts |= _compared(digests or {}, queries.brought_by(plan))
            holds = holds and not facts["differing"]
        elif digests:
            raise Invalid({"digests": "Only artifacts have digests."})
        said = Verification(
            plan=plan,
            kind=kind,
            title=title,
            holds=holds,
            evidence=evidence,
            digests=dict(digests or {}),
            bound_to=check.digest,
            by=actor,
            at=now,
        )
        said.save(force_insert=True)
        what = "verify" if holds else "refute"
        record(plan, f"deployments.preparation.{what}", actor=actor, on_behalf_of=on_behalf_of, data=facts)
        return said


def checked(plan: DeploymentPlan, kind: str, title: str) -> queries.Check:
    """The item as it stands; refused where nobody can say anything of it."""
    if plan.state not in queries.BEFORE_START:
        state = plan.get_state_display().lower()
        raise WrongState(f"{plan} is {state}: what it needed is settled.", allowed=[a.name for a in fsm.leaving(plan)])
    check = next((each for each in queries.checklist(plan) if (each.kind, each.title) == (kind, title)), None)
    if check is None:
        raise Invalid({"title" if kind == Kind.OTHER else "kind": f"The list of {plan} does not ask for it."})
    if check.verifies_itself:
        raise Invalid({"kind": "It verifies itself: send the run of the smoke suite to test-runs/."})
    return check


def _compared(found: Mapping[str, str], built: Mapping[str, str]) -> dict[str, Any]:
    """What was found beside what was built, for the event; Invalid where components are missing or unknown."""
    errors = {f"digests.{key}": "The release has no build of it." for key in found if key not in built}
    errors |= {f"digests.{key}": "Say which digest was found of it." for key in built if key not in found}
    for key, digest in found.items():
        try:
            DIGEST(digest)
        except ValidationError as error:
            errors.setdefault(f"digests.{key}", error.messages[0])
    if errors or not built:
        raise Invalid(errors or {"digests": "The release has no builds."})
    wrong = policies.differing(found, built)
    return {"digests": dict(found), "differing": [{"component": key, "built": built[key]} for key in wrong]}


def _names(items: Sequence[tuple[str, str]]) -> list[str]:
    return [title or str(Kind(kind).label) for kind, title in items]
