"""Reading approvals: what is signed, how a round stands, and who is asked."""

from approvals.models import Subject
from approvals.queries.audiences import askers, eligible_voters, hear_comment, release_managers, those_who_can_help
from approvals.queries.boards import Entry, agenda, asked_later, members_of, next_meeting
from approvals.queries.change_conflicts import Clash, changes_in_the_way, conflicts_with, found_conflicts
from approvals.queries.change_models import (
    ChangePreApproval,
    change_pre_approval,
    get_change_model,
    outside_model,
    success_rate,
)
from approvals.queries.content import asks, carriers, content, contents, digest, riding, risk_reasons
from approvals.queries.delegations import delegations_known_to, delegations_under_watch
from approvals.queries.docket import Docket, Requested, docket, waiting_for
from approvals.queries.minutes import minutes
from approvals.queries.policies import Outlook, Preview, in_force, matching, preview
from approvals.queries.pre_approval import (
    PreApproval,
    approved_until,
    deployment_record,
    has_lapsed,
    model_approval,
    pre_approval,
    sign_off_blockers,
    signed_off_by,
)
from approvals.queries.risk import last_assessment, questionnaire, rules_about
from approvals.queries.rounds import (
    changed_since_last,
    conditions_of,
    content_signed,
    current_round,
    fresh,
    has_retrospective,
    is_signed_off,
    live_votes,
    needs_retrospective,
    open_conditions,
    round_in_sight,
    standing,
    takes_votes,
    too_late,
    voters_of,
)
from approvals.queries.seats import pools, seats_in
from approvals.queries.standing import Standing
from approvals.queries.voters import conflicts, electorate, in_sight, work_on

__all__ = [
    "Entry",
    "Clash",
    "Docket",
    "Requested",
    "ChangePreApproval",
    "Outlook",
    "PreApproval",
    "Preview",
    "Standing",
    "Subject",
    "agenda",
    "approved_until",
    "asked_later",
    "askers",
    "asks",
    "carriers",
    "change_pre_approval",
    "changes_in_the_way",
    "changed_since_last",
    "conditions_of",
    "conflicts",
    "conflicts_with",
    "content",
    "content_signed",
    "contents",
    "current_round",
    "delegations_known_to",
    "delegations_under_watch",
    "deployment_record",
    "digest",
    "docket",
    "electorate",
    "eligible_voters",
    "fresh",
    "has_lapsed",
    "found_conflicts",
    "get_change_model",
    "has_retrospective",
    "hear_comment",
    "in_force",
    "in_sight",
    "is_signed_off",
    "last_assessment",
    "live_votes",
    "matching",
    "members_of",
    "minutes",
    "model_approval",
    "needs_retrospective",
    "next_meeting",
    "open_conditions",
    "outside_model",
    "pools",
    "pre_approval",
    "preview",
    "questionnaire",
    "release_managers",
    "riding",
    "risk_reasons",
    "round_in_sight",
    "rules_about",
    "seats_in",
    "sign_off_blockers",
    "signed_off_by",
    "standing",
    "success_rate",
    "takes_votes",
    "those_who_can_help",
    "too_late",
    "voters_of",
    "waiting_for",
    "work_on",
]
