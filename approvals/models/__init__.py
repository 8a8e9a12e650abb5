"""The nouns of approvals, one a file."""

from approvals.models.change import ChangeRequest, Named
from approvals.models.policy import ApprovalPolicy
from approvals.models.round import ApprovalRound, Vote

__all__ = ["ApprovalPolicy", "ApprovalRound", "ChangeRequest", "Named", "Vote"]
