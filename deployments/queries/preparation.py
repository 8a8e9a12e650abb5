"""A plan's preparation list: what the product asks for, and how each item stands now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from deployments import policies
from deployments.models import ArtifactLookup, DeploymentPlan, PreparationItem, PreparationKind, Verification
from deployments.models.preparation import name_of
from deployments.queries.places import running_in
from deployments.queries.promotion import source_of
from releasemgmt.accounts.models import Role
from releasemgmt.catalog.models import Product, Tier
from releasemgmt.releases.models import TestRun
from releasemgmt.releases.models.test_run import Suite
from releasemgmt.releases.policies import build_set
from releasemgmt.releases.queries import builds_of
from releasemgmt.workflow.commands import while_reading

Kind, State = PreparationKind, DeploymentPlan.State
#: As long as a plan has not started, its list is held against what is true now.
BEFORE_START = (State.DRAFT, State.READY, State.SCHEDULED)
VERIFIERS = (Role.RELEASE_MANAGER.value, Role.DEPLOYER.value, Role.SERVICE.value)


@dataclass(frozen=True)
class Check:
    """One item of a plan's list: `verified`, `missing`, `outdated` (it was, of other builds) or `refuted`.

    `digest` is what it is verified for now; empty where that depends on no build. `reason` says why it is not verified.
    """

    kind: str
    title: str
    state: str = "missing"
    reason: str = ""
    digest: str = ""
    verification: Verification | None = None
    run: TestRun | None = None
    who_can_clear: tuple[str, ...] = VERIFIERS

    @property
    def name(self) -> str:
        return name_of(self.kind, self.title)

    @property
    def is_verified(self) -> bool:
        return self.state == "verified"

    @property
    def word(self) -> str:
        """Its state, for people."""
        return {"refuted": "does not hold", "missing": "not verified"}.get(self.state, self.state)

    @property
    def verifies_itself(self) -> bool:
        return self.kind == Kind.FUNCTIONALITY


def asked_in(product: Product) -> dict[str, list[PreparationItem]]:
    """What a product asks for, by tier, the lowest first; tiers without a list are left out. One statement."""
    found: dict[str, list[PreparationItem]] = {tier: [] for tier in Tier.values}
    for item in product.preparation_items.order_by("position"):
        found[item.tier].append(item)
    return {tier: items for tier, items in found.items() if items}


def checklist(plan: DeploymentPlan) -> list[Check]:
    """The plan's list as it stands; at most nine statements, one where nothing is asked.

    In draft it is the product's present one; from `prepare` on that which was asked then.
    """
    return while_reading(("checklist", plan.pk), lambda: _checklist(plan))


def _checklist(plan: DeploymentPlan) -> list[Check]:
    items = [(kind, title) for kind, title in asked_of(plan)]
    if not items:
        return []
    found = Verification.objects.filter(plan=plan.pk).select_related("by").order_by("pk") if plan.pk else ()
    said = {(each.kind, each.title): each for each in found}
    bound = _bound(plan, [kind for kind, _title in items])
    return [
        _functionality(plan)
        if kind == Kind.FUNCTIONALITY
        else _judged(Check(kind, title, digest=bound.get(kind, "")), said.get((kind, title)), plan)
        for kind, title in items
    ]


def asked_of(plan: DeploymentPlan) -> list[tuple[str, str]]:
    """Kind and title of what is asked of a plan: in draft what the product asks for now, later what it did then."""
    if plan.state != State.DRAFT:
        return [(kind, title) for kind, title in plan.asked_items]
    here = plan.release.product.preparation_items.filter(tier=plan.environment.tier)
    return list(here.order_by("position").values_list("kind", "title"))


def _judged(check: Check, said: Verification | None, plan: DeploymentPlan) -> Check:
    if said is None:
        return replace(check, reason=f"“{check.name}” is not verified yet.")
    check = replace(check, verification=said)
    if plan.state in BEFORE_START and said.bound_to != check.digest:
        return replace(
            check, state="outdated", reason=f"“{check.name}” was verified for other builds; verify it again."
        )
    if not said.holds:
        return replace(check, state="refuted", reason=f"“{check.name}” does not hold: {_why(said, plan)}")
    return replace(check, state="verified")


def _why(said: Verification, plan: DeploymentPlan) -> str:
    strange = policies.differing(said.digests, brought_by(plan)) if said.digests else []
    found = f"of {', '.join(strange)} another digest was found than was built. " if strange else ""
    return f"{found}{said.evidence} ({said.by})"


def _bound(plan: DeploymentPlan, kinds: Iterable[str]) -> Mapping[str, str]:
    """What the items that depend on builds are verified for now, by their kind."""
    bound, brought = {}, brought_by(plan)
    if Kind.ARTIFACTS in kinds:
        bound[Kind.ARTIFACTS.value] = policies.bound_to(plan.cycle, brought=brought)
    if Kind.CONFIGURATION in kinds:
        there = running_in(plan.environment, plan.release.product)
        running = {each.component.key: each.build.digest for each in there}
        bound[Kind.CONFIGURATION.value] = policies.bound_to(plan.cycle, brought=brought, running=running)
    return bound


def brought_by(plan: DeploymentPlan) -> dict[str, str]:
    """The digest of each component that the plan deploys, by its key. One statement."""
    return {build.component.key: build.digest for build in builds_of(plan.release)}


def last_lookup(plan: DeploymentPlan) -> ArtifactLookup | None:
    """The last time that somebody asked the service to look the plan's artifacts up. One statement."""
    lookups = ArtifactLookup.objects.filter(plan=plan).select_related("asked_by", "verification")
    return lookups.order_by("-pk").first()


def _functionality(plan: DeploymentPlan) -> Check:
    """Verified by itself: the smoke suite passed on exactly these builds in the environment before."""
    check = Check(Kind.FUNCTIONALITY, "", who_can_clear=(Role.SERVICE.value, Role.CONTRIBUTOR.value))
    source = source_of(plan.environment, plan.release.product)
    if source is None:
        reason = f"{plan.release.product} uses no environment before {plan.environment}, in which to test."
        return replace(check, reason=reason, who_can_clear=(Role.ADMINISTRATOR.value,))
    digests = brought_by(plan).values()
    runs = TestRun.objects.select_related("environment").filter(
        build_set=build_set(digests), suite=Suite.SMOKE, environment=source
    )
    run = runs.filter(product=plan.release.product_id).order_by("-finished_at", "-pk").first() if digests else None
    if run is None:
        return replace(check, reason=f"The smoke suite has not run on these builds in {source}.")
    if not run.has_passed:
        told = f"{run.passed} passed, {run.failed} failed, {run.errors} broken"
        return replace(check, run=run, state="refuted", reason=f"The smoke suite has not passed in {source}: {told}.")
    return replace(check, run=run, state="verified")
