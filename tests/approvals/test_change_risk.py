"""The risk of a change: the highest of what people answer, what rules say, and what people said before."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from approvals import policies, shipped
from approvals.commands import answer_risk, edit_change, implement, record_change
from approvals.models import Questionnaire, RiskAssessment
from approvals.queries import rules_about
from releasemgmt.releases.commands import edit_release
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted, WrongState
from releasemgmt.workflow.models import Event
from tests.approvals.world import World, holds, picture, say

#: The first answer to each question is the harmless one, the last the gravest.
HARMLESS = {key: choices[0][0] for key, _, choices in shipped.QUESTIONS}
GRAVE = {key: choices[-1][0] for key, _, choices in shipped.QUESTIONS}
MEDIUM = HARMLESS | {"backout": "none", "monitoring": "watching"}


@pytest.mark.parametrize(
    ("answers", "score", "level"),
    [(HARMLESS, 0, "low"), (HARMLESS | {"backout": "none"}, 6, "low"), (MEDIUM, 7, "medium"), (GRAVE, 30, "high")],
)
def test_answers_come_to_a_risk(world: World, now: datetime, answers: dict[str, str], score: int, level: str) -> None:
    change = world.change()
    made = answer_risk(change, answers=answers, actor=world.author, now=now)
    assert (made.score, made.level, made.questionnaire.version) == (score, level, 1)
    change.refresh_from_db()
    assert change.risk == level


@pytest.mark.parametrize(
    ("score", "level"), [(0, "low"), (6, "low"), (7, "medium"), (13, "medium"), (14, "high"), (99, "high")]
)
def test_thresholds(score: int, level: str) -> None:
    assert policies.level_of(score, shipped.THRESHOLDS) == level


def test_answers_are_kept_and_never_lower_the_risk(world: World, now: datetime) -> None:
    change = world.change()
    for answers in (GRAVE, HARMLESS):
        answer_risk(change, answers=answers, actor=world.author, now=now)
    change.refresh_from_db()
    assert change.risk == "high"
    assert [row.level for row in RiskAssessment.objects.filter(change=change)] == ["low", "high"]


def test_the_newest_questionnaire_is_asked(world: World, now: datetime) -> None:
    question = {"key": "weather", "text": "Rain?", "choices": [{"key": "yes", "label": "Yes", "weight": 3}]}
    Questionnaire.objects.create(version=2, questions=[question], thresholds={"medium": 2, "high": 4})
    made = answer_risk(world.change(), answers={"weather": "yes"}, actor=world.author, now=now)
    assert (made.questionnaire.version, made.level) == (2, "medium")


@pytest.mark.parametrize(
    ("answers", "path"),
    [
        ({}, "answers.users"),
        ({**HARMLESS, "users": "everybody"}, "answers.users"),
        ({**HARMLESS, "weather": "fine"}, "answers.weather"),
    ],
)
def test_answers_that_make_no_sense_are_refused(
    world: World, now: datetime, answers: dict[str, str], path: str
) -> None:
    change = world.change()
    before = picture(change)
    with pytest.raises(Invalid) as refused:
        answer_risk(change, answers=answers, actor=world.author, now=now)
    assert path in refused.value.errors
    assert picture(change) == before and not RiskAssessment.objects.exists()


def test_who_answers_has_worked_on_it(world: World, now: datetime) -> None:
    change = world.change()
    answer_risk(change, answers=HARMLESS, actor=world.signer, now=now)
    event = Event.objects.get(kind="approvals.changerequest.answer")
    assert (event.data["score"], event.data["answers"]) == (0, HARMLESS)


def test_who_answered_does_not_judge(world: World, now: datetime) -> None:
    change = world.assessed()
    answer_risk(change, answers=HARMLESS, actor=world.signer, now=now)
    before = picture(change)
    with pytest.raises(NotPermitted) as refused:
        say(world.round(change), world.signer)
    assert refused.value.code == "conflict_of_interest" and picture(change) == before


def test_a_risk_that_rises_voids(world: World, now: datetime) -> None:
    change = world.assessed()
    world.signed(change)
    answer_risk(change, answers=HARMLESS, actor=world.author, now=now)
    assert holds(change)
    before = picture(change)
    with pytest.raises(Conflict) as refused:
        answer_risk(change, answers=GRAVE, actor=world.author, now=now)
    assert refused.value.code == "voids_signoffs" and picture(change) == before
    assert RiskAssessment.objects.count() == 1
    answer_risk(change, answers=GRAVE, actor=world.author, now=now, void_signoffs=True)
    assert not holds(change)


@pytest.mark.parametrize("role", ["cab_member", "cab_chair", "auditor", "administrator"])
def test_others_do_not_answer(world: World, now: datetime, role: str) -> None:
    change = world.change()
    before = picture(change)
    with pytest.raises(NotPermitted):
        answer_risk(change, answers=HARMLESS, actor=world.someone(role), now=now)
    assert picture(change) == before


def test_once_handed_in_a_colleague_does_not_answer(world: World, now: datetime) -> None:
    change = world.assessed()
    before = picture(change)
    with pytest.raises(NotPermitted):
        answer_risk(change, answers=HARMLESS, actor=world.someone("contributor"), now=now)
    assert picture(change) == before


def test_what_is_carried_out_is_not_assessed_again(world: World, now: datetime) -> None:
    worker = world.someone("deployer")
    change = world.assessed(implementer=worker)
    world.signed(change)
    implement(change, actor=worker, now=now)
    before = picture(change)
    with pytest.raises(WrongState):
        answer_risk(change, answers=HARMLESS, actor=world.author, now=now)
    assert picture(change) == before


# --- rules ----------------------------------------------------------------------------------------------------------


def rules_of(change: Any) -> list[str]:
    return [rule.code for rule in rules_about(change)]


def test_rules(world: World, now: datetime) -> None:
    production = [world.production]
    assert rules_of(world.change()) == []
    assert rules_of(world.change(environments=production)) == []
    assert rules_of(world.change(outage_expected=True)) == []
    assert rules_of(world.change(outage_expected=True, environments=production)) == ["production_outage"]
    assert rules_of(world.change(backout_plan="", environments=production)) == ["no_way_back"]
    assert rules_of(world.emergency()) == ["emergency"]
    release = world.release()
    riding = world.change(releases=[release])
    assert rules_of(riding) == []
    edit_release(release, changes={"database_change": "irreversible"}, actor=world.author, now=now)
    assert rules_of(riding) == ["irreversible_database_change"]


def test_rules_raise_the_risk_when_it_is_assessed_or_recorded(world: World, now: datetime) -> None:
    release = world.release(database_change="irreversible")
    assert world.assessed(releases=[release]).risk == "high"
    bare = world.change(backout_plan="", environments=[world.production])
    assert record_change(bare, actor=world.manager, now=now).risk == "high"


def test_people_raise_it_and_never_lower_it(world: World, now: datetime) -> None:
    change = edit_change(world.change(), changes={"risk": "medium"}, actor=world.author, now=now)
    before = picture(change)
    with pytest.raises(Invalid) as refused:
        edit_change(change, changes={"risk": "low"}, actor=world.author, now=now)
    assert list(refused.value.errors) == ["risk"] and picture(change) == before
