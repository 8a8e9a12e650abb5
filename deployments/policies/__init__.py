"""Rules of deployments as pure functions over values, one subject a file."""

from deployments.policies.artifacts import Kept, kept
from deployments.policies.incidents import SUSPECTED_FOR, incident_errors
from deployments.policies.preparation import bound_to, come_after, differing, item_errors
from deployments.policies.tasks import dependency_errors
from deployments.policies.webhooks import may_reach, url_error
from deployments.policies.windows import RESUME_QUORUM, Span, Verdict, moment, overlap_with_itself, verdict

__all__ = [
    "Kept",
    "RESUME_QUORUM",
    "SUSPECTED_FOR",
    "Span",
    "Verdict",
    "bound_to",
    "come_after",
    "dependency_errors",
    "differing",
    "incident_errors",
    "item_errors",
    "kept",
    "moment",
    "overlap_with_itself",
    "may_reach",
    "url_error",
    "verdict",
]
