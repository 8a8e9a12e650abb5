"""A row in quarantine, for tests of what shows it."""

from __future__ import annotations

from datetime import datetime

from deployments.commands.quarantine import quarantine
from deployments.models import QuarantinedRow
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.integrations.history import BadRow


def quarantined_row(product: Product, text: str, actor: User, now: datetime) -> QuarantinedRow:
    """One that says nothing but that text."""
    quarantine(product, [BadRow("commits", 2, text, text)], actor=actor, now=now)
    return QuarantinedRow.objects.get(product=product)
