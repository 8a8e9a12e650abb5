"""What can be done with change requests, rounds and votes, one noun a file."""

from approvals.commands.changes import TRANSITIONS, assess, cancel, close, create_change, edit_change, revise, submit
from approvals.commands.rounds import open_round, withdraw_rounds
from approvals.commands.votes import revoke, vote

__all__ = [
    "TRANSITIONS",
    "assess",
    "cancel",
    "close",
    "create_change",
    "edit_change",
    "open_round",
    "revise",
    "revoke",
    "submit",
    "vote",
    "withdraw_rounds",
]
