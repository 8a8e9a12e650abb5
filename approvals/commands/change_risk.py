"""The risk of a change as people see it: answers to the questionnaire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from approvals import policies, queries
from approvals.commands.changes import check_editable, protecting
from approvals.models import ChangeRequest, RiskAssessment
from approvals.models.change import by_requester_or_manager
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.workflow.commands import command, lock, permit, record
from releasemgmt.workflow.errors import Invalid


def answer_risk(
    change: ChangeRequest, *, answers: Mapping[str, str], actor: User, now: datetime, void_signoffs: bool = False
) -> RiskAssessment:
    """Answer the questions about a change; its risk rises to what they come to, and never falls by them.

    Who answers has worked on what is signed, whether the risk rose or not.
    """
    with command():
        change = lock(change)
        is_draft = change.state == ChangeRequest.State.DRAFT
        permit(actor, change, roles.edit_records if is_draft else by_requester_or_manager, to=f"assess {change}")
        check_editable(change)
        asked = queries.questionnaire()
        if errors := policies.answer_errors(asked.questions, answers):
            raise Invalid({f"answers.{name}": reason for name, reason in errors.items()})
        score = policies.score(asked.questions, answers)
        level = policies.level_of(score, asked.thresholds)
        facts = {"answers": dict(answers), "score": score, "level": level}
        made = RiskAssessment(change=change, questionnaire=asked, by=actor, at=now, **facts)
        with protecting(change, (), void_signoffs=void_signoffs):
            made.save(force_insert=True)
            before, change.risk = change.risk, policies.risk(change.risk, level)
            risen = {"changes": {"risk": [before, change.risk]}} if change.risk != before else {}
            data = {"questionnaire": asked.version, **facts, **risen}
            record(change, "approvals.changerequest.answer", actor=actor, data=data, save=["risk"])
        return made
