"""The other way to work, in the same world: a handbook that can go out many times a day under one approval."""

from __future__ import annotations

from datetime import datetime

from approvals.commands import open_round, vote
from releasemgmt.catalog.commands import create_component, create_product, write_product_document
from releasemgmt.catalog.models import DocumentKind, Product, ReleaseModel
from releasemgmt.portal.demo.stage import Stage

DOCUMENTS = {
    DocumentKind.DEPLOYMENT_PROCEDURE: "The pipeline copies the pages beside the running ones and moves a link.",
    DocumentKind.WORKFLOW_MONITORING: "A broken link fails the pipeline's next run.",
    DocumentKind.IMPACT: "None: readers see the old pages until the link has moved.",
}


def prepare_daily(stage: Stage, *, now: datetime) -> Product:
    """Chiara approves the model *continuous* once, and Dana writes what each release of the handbook inherits.

    What is left for its pipeline is five calls a release (docs/guide/release-models.md).
    """
    ada, chiara, dana, mara = (stage.people[name] for name in ("ada", "chiara", "dana", "mara"))
    model = ReleaseModel.objects.get(key="continuous")
    round = open_round(model, actor=mara, now=now)
    vote(round, decision="approve", digest=round.digest, actor=chiara, now=now)
    product = create_product(key="handbook", name="Handbook", team=stage.product.team, default_model=model, actor=ada)
    create_component(product, key="pages", name="The pages", actor=ada)
    for kind, body in DOCUMENTS.items():
        write_product_document(product, kind=kind, body=body, actor=dana)
    return product
