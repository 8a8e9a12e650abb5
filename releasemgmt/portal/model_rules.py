"""What models say, and how it went under them: for their own pages, and for those who are asked to approve them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from approvals.models import ApprovalRound, ChangeModel, ChangeRequest, Model
from approvals.queries import approved_until, deployment_record, success_rate
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import DocumentKind, Product, ReleaseModel, Tier
from releasemgmt.catalog.policies import gates_of

GATES = {"pass_integration": "before it passes integration test", "accept": "before it is accepted"}
DUE = {"accept": "before it is accepted", "close": "before it is closed"}
BY_ITSELF = {
    "build": "Built, once each component has a build",
    "pass_integration": "Integration-tested, once the suites have passed",
    "accept": "Accepted, once all its gates are open",
    "close": "Closed, once somebody sees it and nothing is left to review",
}
TEXTS = {
    "impact": "Impact",
    "implementation_plan": "Implementation plan",
    "test_plan": "Test plan",
    "backout_plan": "Backout plan",
}
CHANGES_SHOWN = 20


def model_dossier(model: Model, round: ApprovalRound, user: User, *, now: datetime) -> dict[str, Any]:
    """What a reviewer of a pre-approval reads: what it lets through, for how long, and how it went so far."""
    until = approved_until(round)
    told = {"approved_until": until, "would_end_at": None if until else now + timedelta(days=model.pre_approval_days)}
    if isinstance(model, ChangeModel):
        facts = {"success_rate": success_rate(model), "tiers": tiers_in_words(model), "components": model.components}
        return {**told, **change_model_rules(model, user), **facts}
    return {
        **told,
        **release_model_rules(model),
        "record": deployment_record(model),
        "products": _products(model, user),
    }


def release_model_rules(model: ReleaseModel) -> dict[str, Any]:
    """What releases under it have to do, and what they need not wait for."""
    return {
        "suites": [{**entry, "before": GATES.get(entry["gates"], "")} for entry in model.suites],
        "documents": [
            {"label": DocumentKind(entry["kind"]).label, **entry, "before": DUE[gates_of(entry)]}
            for entry in model.documents
        ],
        "by_itself": [BY_ITSELF[name] for name in model.by_itself],
    }


def change_model_rules(model: ChangeModel, user: User) -> dict[str, Any]:
    """How its changes are carried out, and the latest of those that the person sees."""
    return {
        "texts": [(label, getattr(model, name)) for name, label in TEXTS.items()],
        "model_changes": ChangeRequest.objects.visible_to(user).filter(model=model).order_by("-pk")[:CHANGES_SHOWN],
    }


def tiers_in_words(model: ChangeModel) -> str:
    """Where its changes may take place."""
    tiers = dict(Tier.choices)
    return ", ".join(str(tiers[tier]) for tier in model.tiers) or "any"


def _products(model: ReleaseModel, user: User) -> list[dict[str, Any]]:
    """The products that plan their releases under it, as far as the person sees them, with what these inherit."""
    products = roles.visible_to(user, Product.objects.filter(default_model__key=model.key), team="team")
    return [
        {
            "product": product,
            "documents": [
                (DocumentKind(kind).label, {each.kind: each.body for each in product.documents.all()}.get(kind, ""))
                for kind in model.inherited
            ],
        }
        for product in products.prefetch_related("documents")
    ]
