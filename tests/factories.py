"""Leaf rows for tests: users, teams, products, environments. Everything with a state is reached by commands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import factory

from releasemgmt.accounts.commands import system
from releasemgmt.accounts.models import RoleAssignment, Team, User
from releasemgmt.catalog.models import Component, Environment, Product, ReleaseModel, Tier

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class TeamFactory(factory.django.DjangoModelFactory[Team]):
    class Meta:
        model = Team
        django_get_or_create = ("key",)

    key = factory.Sequence(lambda n: f"team-{n}")
    name = factory.LazyAttribute(lambda team: team.key.title())


class UserFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"user-{n}")
    first_name = factory.LazyAttribute(lambda user: user.username.title())
    email = factory.LazyAttribute(lambda user: f"{user.username}@example.org")
    is_staff = True


class ServiceFactory(UserFactory):
    username = factory.Sequence(lambda n: f"service-{n}")
    kind = User.Kind.SERVICE
    is_staff = False


class EnvironmentFactory(factory.django.DjangoModelFactory[Environment]):
    class Meta:
        model = Environment
        django_get_or_create = ("key",)

    key = "production"
    name = factory.LazyAttribute(lambda environment: environment.key.title())
    tier = factory.LazyAttribute(lambda environment: environment.key)
    rank = factory.LazyAttribute(lambda environment: 10 * (1 + Tier.values.index(environment.tier)))


def one_of_each_tier() -> list[Environment]:
    """The environments that are named after their tier; what is missing is made in one statement."""
    there = list(Environment.objects.filter(key__in=Tier.values))
    missing = set(Tier.values) - {each.key for each in there}
    return there + Environment.objects.bulk_create(
        EnvironmentFactory.build(key=tier) for tier in Tier.values if tier in missing
    )


class ProductFactory(factory.django.DjangoModelFactory[Product]):
    """A product that uses one environment of each tier and has one component, `app`."""

    class Meta:
        model = Product
        skip_postgeneration_save = True

    key = factory.Sequence(lambda n: f"product-{n}")
    name = factory.LazyAttribute(lambda product: product.key.title())
    team = factory.SubFactory(TeamFactory)
    default_model = factory.LazyFunction(lambda: ReleaseModel.objects.get(key="normal"))

    @factory.post_generation
    def environments(self: Product, create: bool, extracted: Any, **kwargs: Any) -> None:
        if create:
            self.environments.add(*(extracted or one_of_each_tier()))

    @factory.post_generation
    def components(self: Product, create: bool, extracted: Any, **kwargs: Any) -> None:
        if create:
            Component.objects.bulk_create(
                Component(product=self, key=key, name=key.title()) for key in extracted or ["app"]
            )


def someone(*roles: str, team: Team | None = None, **fields: Any) -> User:
    """A person (or, with the role service, a service account) who has held these roles since long ago."""
    user = (ServiceFactory if "service" in roles else UserFactory)(**fields)
    for role in roles:
        RoleAssignment.objects.create(user=user, role=role, team=team, granted_at=LONG_AGO, granted_by=system())
    return user
