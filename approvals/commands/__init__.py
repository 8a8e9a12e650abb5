"""What can be done with change requests, policies, rounds, votes and delegations, one noun a file."""

from approvals.commands.boards import create_board, edit_board, plan_meetings
from approvals.commands.change_life import (
    TRANSITIONS,
    assess,
    cancel,
    close,
    finish,
    implement,
    record_change,
    revise,
    submit,
    watch_retrospectives,
)
from approvals.commands.change_models import create_change_model
from approvals.commands.change_risk import answer_risk
from approvals.commands.changes import create_change, edit_change
from approvals.commands.delegations import delegate, end_delegation
from approvals.commands.meetings import (
    call_meeting,
    cancel_meeting,
    close_agendas,
    edit_meeting,
    hold_meeting,
    write_item,
)
from approvals.commands.policies import check_policy, decide_policy, propose_policy, revise_policy
from approvals.commands.pre_approval import end_pre_approval
from approvals.commands.rounds import follow_up, open_round, watch_quorums, withdraw_rounds
from approvals.commands.votes import meet_condition, revoke, vote

__all__ = [
    "TRANSITIONS",
    "answer_risk",
    "assess",
    "call_meeting",
    "cancel",
    "cancel_meeting",
    "check_policy",
    "close",
    "close_agendas",
    "create_board",
    "create_change",
    "create_change_model",
    "decide_policy",
    "delegate",
    "edit_board",
    "edit_change",
    "edit_meeting",
    "end_delegation",
    "end_pre_approval",
    "finish",
    "follow_up",
    "hold_meeting",
    "implement",
    "meet_condition",
    "open_round",
    "plan_meetings",
    "propose_policy",
    "record_change",
    "revise",
    "revise_policy",
    "revoke",
    "submit",
    "vote",
    "watch_quorums",
    "watch_retrospectives",
    "withdraw_rounds",
    "write_item",
]
