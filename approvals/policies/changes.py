"""Rules of change requests and their models as pure functions over values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

from approvals.policies.content import RISKS

#: A number in whatever tool the incident stands: INC-4, INC0012345, OPS/1234, #77.
NUMBER = re.compile(r"[A-Za-z]{0,20}[-_/#:]?[0-9]{1,20}")
ADDRESS = re.compile(r"https?://[^\s/?#]+\.?[^\s]*", re.IGNORECASE)

#: Of that many latest changes the success rate of a model is taken; fewer than the least say nothing yet.
LATEST, LEAST = 20, 5


class Choice(TypedDict):
    """One answer to a question."""

    key: str
    label: str
    weight: int


class Question(TypedDict):
    """One question of the questionnaire."""

    key: str
    text: str
    choices: list[Choice]


class Fired(NamedTuple):
    """A rule that says something about a change's risk, whatever people answered."""

    code: str
    reason: str
    level: str


def is_reference(text: str) -> bool:
    """Whether it names an incident: a number, or an address of http or https."""
    return bool(NUMBER.fullmatch(text.strip()) or ADDRESS.fullmatch(text.strip()))


def change_errors(values: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with the values of a change request: field → reason."""
    errors = {}
    begin, end = values["planned_start"], values["planned_end"]
    if values["model"] and values["type"] != "standard":
        errors["model"] = "Only a standard change follows a model; leave it out."
    if not values["title"].strip():
        errors["title"] = "Give it a title."
    if begin and end and begin >= end:
        errors["planned_end"] = "It ends before it starts."
    if values["outage_minutes"] is not None and not values["outage_expected"]:
        errors["outage_minutes"] = "Say that an outage is expected, or leave its length out."
    if values["incident_reference"] and not is_reference(values["incident_reference"]):
        errors["incident_reference"] = "Give the incident's number or address, for instance INC-4 or https://…"
    return errors


def answer_errors(questions: Sequence[Question], answers: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with answers to a questionnaire: question → reason."""
    choices = {question["key"]: [choice["key"] for choice in question["choices"]] for question in questions}
    errors = {name: "There is no such question." for name in answers if name not in choices}
    for name, offered in choices.items():
        if answers.get(name) not in offered:
            errors[name] = f"Choose one of {', '.join(offered)}."
    return errors


def score(questions: Sequence[Question], answers: Mapping[str, str]) -> int:
    """The sum of the weights of what was answered."""
    chosen = set(answers.items())
    return sum(
        choice["weight"]
        for question in questions
        for choice in question["choices"]
        if (question["key"], choice["key"]) in chosen
    )


def level_of(score: int, thresholds: Mapping[str, int]) -> str:
    """The highest risk whose threshold the score reaches."""
    return next((level for level in reversed(RISKS) if score >= thresholds.get(level, 0)), RISKS[0])


def success_rate(outcomes: Sequence[str]) -> int | None:
    """The share of changes that succeeded, in percent; None where there are too few to tell."""
    if len(outcomes) < LEAST:
        return None
    return 100 * sum(outcome != "unsuccessful" for outcome in outcomes) // len(outcomes)


def outside_model(model: Mapping[str, Sequence[str]], *, tiers: Sequence[str], components: Sequence[str]) -> list[str]:
    """What a change touches that its model does not cover; `model` holds its tiers and components, empty for all."""
    touched = {"tiers": tiers, "components": components}
    return [key for name, keys in touched.items() if model[name] for key in keys if key not in model[name]]


def change_model_errors(
    values: Mapping[str, Any], *, tiers: Sequence[str], components: Sequence[str]
) -> dict[str, str]:
    """What is wrong with a model of changes: field → reason; `components` are those of its product."""
    errors = {
        name: "Write it; a standard change is one whose way is known."
        for name in ("implementation_plan", "backout_plan")
        if not values[name].strip()
    }
    if strange := sorted(set(values["tiers"]) - set(tiers)):
        errors["tiers"] = f"{', '.join(strange)} is unknown; choose among {', '.join(tiers)}."
    if strange := sorted(set(values["components"]) - set(components)):
        errors["components"] = f"Its product has no {', '.join(strange)}." if components else "Name its product first."
    return errors
