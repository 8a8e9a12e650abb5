"""Commands on the catalog: products, components, environments, release models. Documents apart, for administrators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Team, User
from releasemgmt.catalog import policies
from releasemgmt.catalog.models import Component, Environment, Product, ProductDocument, ReleaseModel, Tier
from releasemgmt.workflow.commands import command, create, edit, lock, permit, record, validate
from releasemgmt.workflow.errors import Conflict, Invalid
from releasemgmt.workflow.models import Aggregate

#: What a version of a release model consists of.
MODEL_FIELDS = (
    "key",
    "version",
    "name",
    "suites",
    "documents",
    "sign_off",
    "review",
    "exposure",
    "by_itself",
    "pre_approval_days",
    "fail_rate_ceiling",
)


@contextmanager
def material(signed: Aggregate, *, void_signoffs: bool) -> Iterator[None]:
    """Around an edit of what people signed: refused with their names if it voids a vote that nobody said may go."""
    live = import_string(settings.SIGN_OFFS)
    before = live(signed)
    yield
    if not before or void_signoffs:
        return
    remaining = [vote["id"] for vote in live(signed)]
    if lost := [vote for vote in before if vote["id"] not in remaining]:
        names = ", ".join(sorted({vote["voter"] for vote in lost}))
        raise Conflict(
            f"This would void the sign-off of {names}. Say void_signoffs if you mean it.",
            code="voids_signoffs",
            votes=lost,
        )


def create_environment(*, key: str, actor: User, **fields: Any) -> Environment:
    """A new place where builds run."""
    with command():
        environment = Environment(key=key, **fields)
        permit(actor, environment, roles.administrate_or_system, to="create environments")
        validate(environment)
        _check_free(environment, "environment")
        return create(environment, actor=actor, data={"key": key, "tier": environment.tier})


def edit_environment(environment: Environment, *, changes: Mapping[str, Any], actor: User) -> Environment:
    """Change an environment; its key stays."""
    with command():
        permit(actor, environment, roles.administrate_or_system, to="edit environments")
        environment = edit(environment, actor=actor, changes=changes)
        validate(environment, changes)
        return environment


def create_product(  # noqa: PLR0913 - what a product is
    *,
    key: str,
    name: str,
    team: Team,
    actor: User,
    default_model: ReleaseModel | None = None,
    environments: Sequence[Environment] | None = None,
    time_zone: str = "UTC",
    repository_url: str = "",
    promotion_required: bool = False,
    soak_minutes: int = 0,
) -> Product:
    """A new product; without a word it uses every environment and the model *normal*.

    In an installation without any, the tiers that the model tests in and production get their first environments.
    """
    with command():
        model = default_model or ReleaseModel.objects.filter(key="normal").latest("version")
        product = Product(
            key=key,
            name=name,
            team=team,
            default_model=model,
            time_zone=time_zone,
            repository_url=repository_url,
            promotion_required=promotion_required,
            soak_minutes=soak_minutes,
        )
        permit(actor, product, roles.administrate_or_system, to="create products")
        validate(product)
        _check_free(product, "product")
        if environments is None:
            environments = list(Environment.objects.all()) or _first_environments(model, actor=actor)
        _check_tiers(product, model, environments)
        product = create(product, actor=actor, data={"key": key, "team": team.key, "model": model.number})
        product.environments.set(environments)
        return product


def edit_product(product: Product, *, changes: Mapping[str, Any], actor: User) -> Product:
    """Change a product; `environments` too. Its key stays."""
    with command():
        product = lock(product)
        permit(actor, product, roles.administrate_or_system, to="edit products")
        changes = dict(changes)
        environments: Sequence[Environment] | None = changes.pop("environments", None)
        product = edit(product, actor=actor, changes=changes)
        validate(product, changes)
        if environments is not None:
            before = sorted(product.environments.values_list("key", flat=True))
            after = sorted(environment.key for environment in environments)
            if before != after:
                product.environments.set(environments)
                data = {"changes": {"environments": [before, after]}}
                record(product, "catalog.product.edit", actor=actor, data=data, revise=True)
        _check_tiers(product, product.default_model, list(product.environments.all()))
        return product


def create_component(product: Product, *, key: str, actor: User, name: str = "") -> Component:
    """A new deployable unit of a product."""
    with command():
        product = lock(product)
        permit(actor, product, roles.administrate_or_system, to="create components")
        component = Component(product=product, key=key, name=name or key)
        validate(component)
        if product.components.filter(key=key).exists():
            raise Conflict(f"{product.key} has a component {key} already.", code="exists")
        component.save(force_insert=True)
        record(product, "catalog.component.create", actor=actor, data={"key": key, "name": component.name}, revise=True)
        return component


def write_product_document(
    product: Product, *, kind: str, body: str, actor: User, void_signoffs: bool = False
) -> Product:
    """Write a document that releases of the product inherit; writing what is there already changes nothing."""
    with command():
        product = lock(product)
        permit(actor, product, roles.edit_records, to="write documents")
        document = ProductDocument.objects.filter(product=product, kind=kind).first()
        before = document.body if document else ""
        if before == body:
            return product
        with material(product, void_signoffs=void_signoffs):
            ProductDocument.objects.update_or_create(
                product=product, kind=kind, defaults={"body": body, "updated_by": actor}
            )
            data = {"document": kind, "changes": {kind: [before, body]}}
            record(product, "catalog.product_document.write", actor=actor, data=data, revise=True)
        return product


def create_model(*, key: str, actor: User, **fields: Any) -> ReleaseModel:
    """A new release model, or the next version of one; releases keep the version they were planned under."""
    with command():
        latest = ReleaseModel.objects.filter(key=key).order_by("-version").first()
        model = ReleaseModel(key=key, version=latest.version + 1 if latest else 1, **fields)
        permit(actor, model, roles.administrate_or_system, to="edit release models")
        lists = {"suites": model.suites, "documents": model.documents, "by_itself": model.by_itself}
        if errors := policies.model_errors(**lists):
            raise Invalid(errors)
        validate(model)
        return create(model, actor=actor, data={name: getattr(model, name) for name in MODEL_FIELDS})


def _first_environments(model: ReleaseModel, *, actor: User) -> list[Environment]:
    named = {Tier.PRODUCTION, *(entry["tier"] for entry in model.suites)}
    return [
        create_environment(key=tier.value, name=tier.label, tier=tier, rank=10 * rank, actor=actor)
        for rank, tier in enumerate(Tier, start=1)
        if tier in named
    ]


def _check_free(obj: Aggregate, what: str) -> None:
    rows: Any = type(obj)._base_manager
    if rows.filter(key=obj.number).exists():
        raise Conflict(f"There is a {what} {obj.number} already.", code="exists")


def _check_tiers(product: Product, model: ReleaseModel, environments: Sequence[Environment]) -> None:
    missing = policies.missing_tiers(model.suites, [environment.tier for environment in environments])
    if missing:
        raise Invalid({"environments": f"{model.name} tests in {', '.join(missing)}; name such environments."})
