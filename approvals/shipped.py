"""What every installation starts with: approval routed by risk, and the questions behind it. Migrations write it."""

from __future__ import annotations

from typing import Any

MANAGER = {"role": "release_manager", "count": 1, "veto": False}
MEMBER = {"role": "cab_member", "count": 1, "veto": False}
CHAIR = {"role": "cab_chair", "count": 1, "veto": True}

POLICIES: list[dict[str, Any]] = [
    {"key": "low-risk", "name": "Low risk", "conditions": {"risk": ["low"]}, "stages": [MANAGER]},
    {
        "key": "medium-risk",
        "name": "Medium risk",
        "conditions": {"risk": ["medium"]},
        "stages": [MANAGER, MEMBER],
    },
    {
        "key": "high-risk",
        "name": "High risk",
        "conditions": {"risk": ["high"]},
        "stages": [{**MEMBER, "count": 2}, CHAIR],
    },
]
#: An emergency has a quorum of its own, so the others are about everything else.
PLANNED = ["major", "minor", "patch", "standard", "normal"]
EITHER = {"either": "chair or board"}
WITH_EMERGENCIES: list[dict[str, Any]] = [
    *({**policy, "version": 2, "conditions": {**policy["conditions"], "type": PLANNED}} for policy in POLICIES),
    {
        "key": "emergency",
        "name": "Emergency",
        "conditions": {"type": ["emergency"]},
        "stages": [CHAIR | EITHER, {"board": "emergency", "count": 2, "veto": False} | EITHER],
    },
    {
        "key": "pre-approval",
        "name": "Pre-approval of a model",
        "subject": "pre_approval",
        "conditions": {},
        "stages": [CHAIR],
    },
]

#: Key, question, and each answer as key, label and weight.
QUESTIONS: list[tuple[str, str, list[tuple[str, str, int]]]] = [
    (
        "blast_radius",
        "What is affected if it goes wrong?",
        [("one", "One component", 0), ("several", "Several components of the product", 2), ("others", "Others too", 4)],
    ),
    (
        "users",
        "Who among the users would notice?",
        [("nobody", "Nobody", 0), ("some", "Some of them", 2), ("most", "Most or all of them", 4)],
    ),
    (
        "first_time",
        "How often was something like it done before?",
        [("often", "Often", 0), ("seldom", "Once or twice", 1), ("never", "Never", 3)],
    ),
    (
        "rehearsed",
        "Was it rehearsed outside of production?",
        [("fully", "Yes, as it will be done", 0), ("partly", "In part", 2), ("not", "No", 3)],
    ),
    (
        "backout",
        "Was the way back tested?",
        [("tested", "Yes", 0), ("untested", "There is one, not tested", 2), ("none", "There is no way back", 6)],
    ),
    (
        "data",
        "Does it change stored data?",
        [("no", "No", 0), ("addition", "It only adds", 1), ("migration", "It converts or removes data", 4)],
    ),
    (
        "dependencies",
        "Do others have to change something at the same time?",
        [("none", "No", 0), ("team", "Others in the team", 1), ("outside", "Other teams or suppliers", 3)],
    ),
    (
        "monitoring",
        "How would you find out that it went wrong?",
        [("alerts", "Alerts tell within minutes", 0), ("watching", "Somebody watches", 1), ("users", "Users tell", 3)],
    ),
]
THRESHOLDS = {"medium": 7, "high": 14}


def insert(apps: Any, _schema_editor: Any = None) -> None:
    """Write the shipped policies where they are not there yet."""
    _insert(apps, POLICIES)


def insert_emergency(apps: Any, _schema_editor: Any = None) -> None:
    """Write those that know emergencies and pre-approvals; they are in force from the start."""
    _insert(apps, WITH_EMERGENCIES)


def _insert(apps: Any, policies: list[dict[str, Any]]) -> None:
    model = apps.get_model("approvals", "ApprovalPolicy")
    needs_consent = any(field.name == "bootstrap" for field in model._meta.fields)
    agreed = {"state": "accepted", "bootstrap": True} if needs_consent else {}
    for policy in policies:
        model.objects.get_or_create(key=policy["key"], version=policy.get("version", 1), defaults=policy | agreed)


def insert_questionnaire(apps: Any, _schema_editor: Any = None) -> None:
    """Write the first questionnaire."""
    questions = [
        {
            "key": key,
            "text": text,
            "choices": [dict(zip(("key", "label", "weight"), each, strict=True)) for each in choices],
        }
        for key, text, choices in QUESTIONS
    ]
    facts = {"questions": questions, "thresholds": THRESHOLDS}
    apps.get_model("approvals", "Questionnaire").objects.get_or_create(version=1, defaults=facts)
