"""Fields that name other records the way clients do: by key, digest, number or user name."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from releasemgmt.accounts.models import User
from releasemgmt.accounts.queries import colleagues
from releasemgmt.catalog.models import Component, Environment, Product, ReleaseModel
from releasemgmt.releases.models import Build, KnownDefect, Release
from releasemgmt.releases.queries import get_release
from releasemgmt.web.parsing import check_text
from releasemgmt.workflow.prepared import prepared


class NamedField(serializers.CharField):
    """A text that names a row; `find` answers it, None becomes an error."""

    what = "record"

    def to_internal_value(self, data: Any) -> Any:
        name = super().to_internal_value(data)
        check_text(name)
        found = self.find(name, self.context["request"].user)
        if found is None:
            raise ValidationError(f"There is no {self.what} {name}.", code="unknown")
        return found

    def find(self, name: str, user: User) -> Any:
        raise NotImplementedError

    def to_representation(self, value: Any) -> str:
        return str(value.number)


@prepared
def _product(key: str) -> QuerySet[Product]:
    return Product.objects.select_related("team", "default_model").filter(key=key).order_by()


class ProductField(NamedField):
    """A product by key; one of another team does not exist."""

    what = "product"

    def find(self, name: str, user: User) -> Product | None:
        product = _product(name).first()
        return product if product and user.sees(product) else None


class EnvironmentField(NamedField):
    """An environment by key."""

    what = "environment"

    def find(self, name: str, user: User) -> Environment | None:
        return Environment.objects.filter(key=name).first()


class ReleaseModelField(NamedField):
    """The latest version of a release model by key."""

    what = "release model"

    def find(self, name: str, user: User) -> ReleaseModel | None:
        return ReleaseModel.objects.filter(key=name).order_by("-version").first()


class UserField(NamedField):
    """An active user by name; one with whom the caller shares no team does not exist."""

    what = "user"

    def find(self, name: str, user: User) -> User | None:
        return colleagues(user).filter(username=name).first()


class ReleaseField(NamedField):
    """A release by number or alias."""

    what = "release"

    def find(self, name: str, user: User) -> Release | None:
        return get_release(name, user)


class DefectField(NamedField):
    """A known defect by number."""

    what = "known defect"

    def find(self, name: str, user: User) -> KnownDefect | None:
        digits = name.removeprefix("DEF-")
        rows = KnownDefect.objects.visible_to(user).select_related("product")
        return rows.filter(pk=int(digits)).first() if digits.isascii() and digits.isdigit() else None


class DigestField(NamedField):
    """A registered build by digest."""

    what = "registered build"

    def find(self, name: str, user: User) -> Build | None:
        builds = Build.objects.select_related("product", "component").filter(digest=name)
        return next((build for build in builds if user.sees(build.product)), None)

    def to_representation(self, value: Any) -> str:
        return str(value.digest)


def components_of(product: Product, keys: list[str], *, field: str = "components") -> list[Component]:
    """The product's components of these keys; the unknown ones are named."""
    found = {component.key: component for component in product.components.filter(key__in=keys)} if keys else {}
    if unknown := [key for key in keys if key not in found]:
        raise ValidationError({field: [f"{product.key} has no component {', '.join(unknown)}."]}, code="unknown")
    return [found[key] for key in dict.fromkeys(keys)]
