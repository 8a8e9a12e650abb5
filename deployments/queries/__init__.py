"""Reading deployments: what is where, what a start would mean, and whom a plan concerns."""

from deployments.queries.outlook import Comparison, Replacement, Verdict, comparison, readiness, risk_facts
from deployments.queries.places import covering, ran_before, running_in, what_is_where
from deployments.queries.plans import (
    deployers,
    planners,
    running_deployment,
    scheduled_by,
    ticked_last_by,
    whose_turn_it_is,
)

__all__ = [
    "Comparison",
    "Replacement",
    "Verdict",
    "comparison",
    "covering",
    "deployers",
    "planners",
    "ran_before",
    "readiness",
    "risk_facts",
    "running_deployment",
    "running_in",
    "scheduled_by",
    "ticked_last_by",
    "what_is_where",
    "whose_turn_it_is",
]
