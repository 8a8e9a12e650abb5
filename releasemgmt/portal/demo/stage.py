"""Who lives in the demo world, and the catalog that they work on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from releasemgmt.accounts.commands import create_team, create_user, grant_role, system
from releasemgmt.accounts.models import Role, Team, User
from releasemgmt.catalog.commands import create_component, create_environment, create_product
from releasemgmt.catalog.models import Component, Environment, Product, Tier
from releasemgmt.notifications.fanout import drain
from releasemgmt.portal.demo import DOMAIN
from releasemgmt.workflow.commands import edit


@dataclass(frozen=True)
class Person:
    """One of the people, with a role that is held in the team, or everywhere."""

    name: str
    role: Role
    everywhere: bool = False

    @property
    def username(self) -> str:
        """The first name in lower case."""
        return self.name.partition(" ")[0].lower()


#: In the order of the sign-in page: whom the first minute needs comes first.
PEOPLE = (
    Person("Carla Conti", Role.CAB_MEMBER),
    Person("Dario Duarte", Role.DEPLOYER),
    Person("Mara Meier", Role.RELEASE_MANAGER),
    Person("Rolf Rossi", Role.RELEASE_MANAGER),
    Person("Dana Dvořák", Role.CONTRIBUTOR),
    Person("Cem Celik", Role.CAB_MEMBER),
    Person("Chiara Costa", Role.CAB_CHAIR, everywhere=True),
    Person("Ada Adeyemi", Role.ADMINISTRATOR, everywhere=True),
    Person("Anton Auer", Role.AUDITOR, everywhere=True),
)


@dataclass(frozen=True)
class Stage:
    """The product with its surroundings, and the people by username."""

    people: dict[str, User]
    ci: User
    product: Product
    component: Component
    environments: dict[str, Environment]


def set_up(*, now: datetime) -> Stage:
    """Make the team, its people, a service account for its pipeline, and the product with five environments."""
    team = create_team(key="platform", name="Platform team", actor=system())
    people = {person.username: _come(person, team, now=now) for person in PEOPLE}
    ci = create_user(username="pipeline", name="Pipeline", kind=User.Kind.SERVICE, actor=system())
    grant_role(ci, role=Role.SERVICE, team=team, actor=system(), now=now)
    ada = people["ada"]
    environments = {tier.value: _environment(tier, rank=10 * n, actor=ada) for n, tier in enumerate(Tier, start=1)}
    # Production gets what ran in staging.
    product = create_product(
        key="releasemgmt", name="Release management", team=team, promotion_required=True, actor=ada
    )
    component = create_component(product, key="service", name="The service", actor=ada)
    return Stage(people, ci, product, component, environments)


def give_addresses(stage: Stage) -> None:
    """Tell everybody of what has happened so far in their inbox, and only of what happens from now on by mail too."""
    drain(now=timezone.now())
    for user in stage.people.values():
        edit(user, actor=system(), changes={"email": f"{user.username}@{DOMAIN}"})


def _come(person: Person, team: Team, *, now: datetime) -> User:
    user = create_user(username=person.username, name=person.name, actor=system())
    grant_role(user, role=person.role, team=None if person.everywhere else team, actor=system(), now=now)
    return user


def _environment(tier: Tier, *, rank: int, actor: User) -> Environment:
    controlled = tier is not Tier.DEVELOPMENT
    return create_environment(
        key=tier.value, name=tier.label, tier=tier, rank=rank, change_controlled=controlled, actor=actor
    )
