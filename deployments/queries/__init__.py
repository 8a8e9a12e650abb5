"""Reading deployments: what is where, what a start would mean, and whom a plan concerns."""

from deployments.queries.outlook import (
    Comparison,
    Readiness,
    Replacement,
    Verdict,
    comparison,
    earliest_start,
    readiness,
    risk_facts,
)
from deployments.queries.places import Place, covering, last_seen, ran_before, running_in, what_is_where
from deployments.queries.plans import (
    deployers,
    planned_start,
    planners,
    plans_of,
    running_deployment,
    scheduled_by,
    ticked_last_by,
    whose_turn_it_is,
)
from deployments.queries.promotion import Promotion, Unproven, promotion, source_of
from deployments.queries.record import track_record
from deployments.queries.schedule import LONGEST, Entry, Page, schedule
from deployments.queries.windows import (
    Clearance,
    clearance,
    judge,
    line_stops,
    times_ahead,
    window_verdict,
    windows_over,
)

__all__ = [
    "LONGEST",
    "Clearance",
    "Comparison",
    "Entry",
    "Page",
    "Place",
    "Promotion",
    "Readiness",
    "Replacement",
    "Unproven",
    "Verdict",
    "clearance",
    "comparison",
    "covering",
    "deployers",
    "earliest_start",
    "judge",
    "last_seen",
    "line_stops",
    "planned_start",
    "planners",
    "plans_of",
    "promotion",
    "ran_before",
    "readiness",
    "risk_facts",
    "running_deployment",
    "running_in",
    "schedule",
    "scheduled_by",
    "source_of",
    "ticked_last_by",
    "times_ahead",
    "track_record",
    "what_is_where",
    "whose_turn_it_is",
    "window_verdict",
    "windows_over",
]
