"""Models of standard changes: written as versions, each of which is approved on its own."""

from __future__ import annotations

from typing import Any

from approvals import policies
from approvals.models import ChangeModel
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product, Tier
from releasemgmt.workflow.commands import command, create, permit, validate
from releasemgmt.workflow.errors import Conflict, Invalid

CHECKED = ("implementation_plan", "backout_plan", "tiers", "components")


def create_change_model(*, key: str, product: Product | None = None, actor: User, **fields: Any) -> ChangeModel:
    """A new model of changes, or the next version of one; it counts once its pre-approval was given."""
    with command():
        latest = ChangeModel.objects.filter(key=key).select_related("product").order_by("-version").first()
        version = latest.version + 1 if latest else 1
        model = ChangeModel(key=key, version=version, product=product, **fields)
        permit(actor, model, roles.administrate_or_system, to="write change models")
        if latest and latest.product_id != model.product_id:
            permit(actor, latest, roles.administrate_or_system, to=f"write {key}")
            raise Conflict(
                f"{key} is a model for {latest.product or 'every product'}; choose another key.", code="exists"
            )
        components = list(product.components.values_list("key", flat=True)) if product else []
        values = {name: getattr(model, name) for name in CHECKED}
        if errors := policies.change_model_errors(values, tiers=Tier.values, components=components):
            raise Invalid(errors)
        validate(model)
        data = {"key": key, "version": version, "product": product.key if product else None}
        return create(model, actor=actor, data=data)
