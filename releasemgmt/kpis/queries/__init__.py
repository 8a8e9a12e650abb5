"""The figures from facts: each in total and by bucket, and the very rows behind it.

The number of statements does not depend on how many facts or buckets there are. What several figures read is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from operator import itemgetter
from typing import Any, NamedTuple

from releasemgmt.kpis.definitions import Span
from releasemgmt.kpis.queries import commits, defects, deployments, failures, governance, incidents, lead_times
from releasemgmt.kpis.queries.figure import Figure, Row, trend
from releasemgmt.kpis.queries.records import Record, described
from releasemgmt.kpis.queries.scope import MOST_BUCKETS, Scope, asked
from releasemgmt.workflow.prepared import planned_for_its_values

__all__ = [
    "FIGURES",
    "MOST_BUCKETS",
    "Figure",
    "Record",
    "Row",
    "Scope",
    "answer",
    "asked",
    "described",
    "rows",
]


class Computed(NamedTuple):
    """How a figure is computed for each of some intervals, and the rows that it is made of."""

    of: Callable[[Scope, Sequence[Span]], Iterable[Figure]]
    rows: Callable[[Scope], Iterable[Row]]


FIGURES: Mapping[str, Computed] = {
    "commits_per_active_day": Computed(commits.commits_per_active_day, commits.commit_rows),
    "commit_volume": Computed(commits.commit_volume, commits.volume_rows),
    "release_cycle_time": Computed(commits.release_cycle_time, commits.cycle_rows),
    "change_lead_time": Computed(lead_times.change_lead_time, lead_times.lead_time_rows),
    "deployment_frequency": Computed(deployments.deployment_frequency, deployments.frequency_rows),
    "change_fail_rate": Computed(failures.change_fail_rate, failures.fail_rows),
    "failed_deployment_recovery_time": Computed(failures.failed_deployment_recovery_time, failures.recovery_rows),
    "deployment_rework_rate": Computed(deployments.deployment_rework_rate, deployments.rework_rows),
    "mttr_defects": Computed(defects.mttr_defects, defects.defect_rows),
    "time_to_restore": Computed(incidents.time_to_restore, incidents.restore_rows),
    "downtimes": Computed(incidents.downtimes, incidents.downtime_rows),
    "time_in_state": Computed(governance.time_in_state, governance.way_rows),
    "approval_latency": Computed(governance.approval_latency, governance.latency_rows),
    "first_try_sign_offs": Computed(governance.first_try_sign_offs, governance.first_try_rows),
    "emergency_changes": Computed(governance.emergency_changes, governance.emergency_rows),
    "overrides_used": Computed(governance.overrides_used, governance.override_rows),
    "releases_reworked": Computed(governance.releases_reworked, governance.reworked_rows),
    "commits_without_work_item": Computed(commits.commits_without_work_item, commits.rows_without_work_item),
}


def answer(scope: Scope) -> Iterator[tuple[Span, dict[str, dict[str, Any]]]]:
    """Every figure of the whole time, with its trend, then of each bucket."""
    spans = [scope.span, *scope.buckets]
    with nullcontext() if scope.product else planned_for_its_values():  # of all products it is a lot
        found = {name: list(figure.of(scope, spans)) for name, figure in FIGURES.items()}
    whole = scope.whole_buckets if scope.bucket else range(0)
    for n, span in enumerate(spans):
        figures = {name: each[n].as_json(scope, span) for name, each in found.items()}
        if not n:
            for name, each in found.items():
                figures[name]["trend"] = trend([each[1 + part] for part in whole])
        yield span, figures


def rows(scope: Scope, name: str) -> list[Row]:
    """The rows of a figure in the order of time."""
    return sorted(FIGURES[name].rows(scope), key=itemgetter(0, 1, 2))
