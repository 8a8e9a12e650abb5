"""What the rules say about the risk of changes, and what people answered."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from approvals.models import ChangeRequest, Questionnaire, RiskAssessment
from approvals.policies import Fired
from releasemgmt.catalog.models import Tier
from releasemgmt.releases.models import Release


def questionnaire() -> Questionnaire:
    """The questions that are asked now."""
    return Questionnaire.objects.latest("version")


def last_assessment(change: ChangeRequest) -> RiskAssessment | None:
    """What was answered about the change last."""
    return change.assessments.select_related("questionnaire", "by").first()


def rules_about(change: ChangeRequest) -> list[Fired]:
    """The rules that fire for a change, those that look at the releases it rides with included. Two statements."""
    carriers = change.releases.filter(database_change=Release.DatabaseChange.IRREVERSIBLE)
    if not carriers.exclude(state=Release.State.CANCELLED).exists():
        return own_rules([change])
    reason = f"A release that {change} rides with changes the database in a way that can't be taken back."
    return [*own_rules([change]), Fired("irreversible_database_change", reason, "high")]


def own_rules(changes: Collection[ChangeRequest]) -> list[Fired]:
    """The rules that fire for these changes by what they say themselves. At most one statement."""
    suspects = [change.pk for change in changes if change.outage_expected or not change.backout_plan.strip()]
    rows = ChangeRequest.objects.filter(pk__in=suspects, environments__tier=Tier.PRODUCTION)
    in_production = set(rows.values_list("pk", flat=True)) if suspects else set()
    return [rule for change in changes for rule in _rules(change, change.pk in in_production)]


def _rules(change: ChangeRequest, in_production: bool) -> Iterator[Fired]:
    if in_production and change.outage_expected:
        yield Fired("production_outage", f"{change} expects an outage in production.", "high")
    if change.type == ChangeRequest.Type.EMERGENCY:
        yield Fired("emergency", f"{change} is an emergency.", "high")
    if in_production and not change.backout_plan.strip():
        yield Fired("no_way_back", f"{change} has no backout plan for production.", "high")
