"""The nouns of approvals, one a file."""

from approvals.models.assessment import ChangeConflict, Questionnaire, RiskAssessment
from approvals.models.board import AgendaItem, Board, BoardMember, Meeting
from approvals.models.change import ChangeRequest, Named
from approvals.models.change_model import ChangeModel
from approvals.models.delegation import Delegation
from approvals.models.policy import ApprovalPolicy
from approvals.models.round import SUBJECTS, ApprovalRound, Condition, Model, Subject, Vote, subject_field

__all__ = [
    "SUBJECTS",
    "AgendaItem",
    "ApprovalPolicy",
    "ApprovalRound",
    "Board",
    "BoardMember",
    "ChangeConflict",
    "ChangeModel",
    "ChangeRequest",
    "Condition",
    "Delegation",
    "Meeting",
    "Model",
    "Named",
    "Questionnaire",
    "RiskAssessment",
    "Subject",
    "Vote",
    "subject_field",
]
