"""Observations: what really runs in an environment; what differs from the records is said once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from deployments.models import DeployedBuild, Deployment, Observation
from deployments.queries import last_seen, running_in
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Environment, Product
from releasemgmt.workflow.commands import command, lock, permit, record
from releasemgmt.workflow.errors import Invalid

#: How far the clock of who reports may be ahead of ours.
CLOCK_SKEW = timedelta(minutes=5)


def observe(
    product: Product,
    environment: Environment,
    *,
    digests: Mapping[str, str],
    observed_at: datetime,
    actor: User,
    now: datetime,
) -> list[Observation]:
    """Note which digest of each component was seen in an environment; answers what is known of them since.

    A digest that ought not to run there is an event once, and one more when what ought to run is seen again. What is
    older than what was seen last says nothing. Components that are not named were not looked at.
    """
    with command():
        permit(actor, product, roles.deploy, to="report what runs")
        components = _check(product, environment, digests=digests, observed_at=observed_at, now=now)
        product = lock(product)
        before = last_seen(components, environment)
        expected = _expected(product, environment, digests, at=observed_at)
        looks = [
            Look(
                before.get(component.pk),
                Observation(
                    component=component,
                    environment=environment,
                    digest=digests[component.key],
                    expected=expected[component.key],
                    first_seen_at=observed_at,
                    last_seen_at=observed_at,
                    reported_by=actor,
                ),
            )
            for component in components
        ]
        _write([look for look in looks if not look.is_late])
        _tell(product, environment, [look.seen for look in looks if look.finds], "find", actor=actor)
        _tell(product, environment, [look.seen for look in looks if look.resolves], "resolve", actor=actor)
        return list(last_seen(components, environment).values())


@dataclass(frozen=True)
class Look:
    """What is seen of a component, beside what was seen last."""

    last: Observation | None
    seen: Observation

    @property
    def is_late(self) -> bool:
        """Whether it is older than what is known, or known."""
        return self.last is not None and self.seen.last_seen_at <= self.last.last_seen_at

    @property
    def is_news(self) -> bool:
        """Whether something else is seen than last, or something else ought to run."""
        terms = self.last and (self.last.digest, self.last.expected)
        return not self.is_late and (self.seen.digest, self.seen.expected) != terms

    @property
    def finds(self) -> bool:
        return self.is_news and self.seen.differs

    @property
    def resolves(self) -> bool:
        return self.is_news and not self.seen.differs and self.last is not None and self.last.differs


def _write(looks: Sequence[Look]) -> None:
    """News as rows of their own; where the same is seen again, its row goes on until now."""
    Observation.objects.bulk_create(look.seen for look in looks if look.is_news)
    same = [look.last.pk for look in looks if look.last and not look.is_news]
    if same:
        Observation.objects.filter(pk__in=same).update(last_seen_at=looks[0].seen.last_seen_at)


def _tell(product: Product, environment: Environment, seen: Sequence[Observation], what: str, *, actor: User) -> None:
    """One event for all that a report finds, or finds in order again."""
    if not seen:
        return
    facts = {"environment": environment.key, "observed_at": seen[0].last_seen_at}
    facts |= {"components": [each.component.key for each in seen]}
    if what == "resolve":
        record(product, "deployments.drift.resolve", actor=actor, data=facts)
        return
    differences = [{"component": each.component.key, "digest": each.digest, "expected": each.expected} for each in seen]
    record(product, "deployments.drift.find", actor=actor, data={**facts, "differences": differences})


def _check(
    product: Product, environment: Environment, *, digests: Mapping[str, str], observed_at: datetime, now: datetime
) -> list[Component]:
    """The components that are named, by their keys; Invalid where something makes no sense."""
    errors = {}
    components = list(product.components.filter(key__in=digests).order_by("key"))
    if not digests:
        errors["digests"] = "Name a component and the digest that was seen of it."
    elif unknown := sorted(set(digests) - {each.key for each in components}):
        errors["digests"] = f"{product} has no component {', '.join(unknown)}."
    if not product.environments.filter(pk=environment.pk).exists():
        errors["product"] = f"{product} does not use {environment}."
    if observed_at > now + CLOCK_SKEW:
        errors["observed_at"] = "It is in the future."
    if errors:
        raise Invalid(errors)
    return components


def _expected(
    product: Product, environment: Environment, digests: Mapping[str, str], *, at: datetime
) -> dict[str, str]:
    """What ought to be seen of each component: what was deployed, or is being deployed, if that is what was seen."""
    ought = {each.component.key: each.build.digest for each in running_in(environment, product, at=at)}
    running = Deployment.objects.running().filter(product=product, environment=environment)
    taken_back = Deployment.objects.filter(remediations__in=running.filter(kind=Deployment.Kind.ROLLBACK))
    underway = DeployedBuild.objects.filter(Q(deployment__in=running) | Q(deployment__in=taken_back))
    arriving = {(each.component.key, each.build.digest) for each in underway.select_related("component", "build")}
    return {key: digest if (key, digest) in arriving else ought.get(key, "") for key, digest in digests.items()}
