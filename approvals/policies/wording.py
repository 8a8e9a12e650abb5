"""Policies as sentences: what each speaks about, and whom it asks for how much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from approvals.policies.proposals import words
from approvals.policies.stages import Stage, seat, step_of

#: What the subjects are called.
SUBJECTS = {
    "release": "releases",
    "change": "change requests",
    "any": "releases and change requests",
    "pre_approval": "pre-approvals of models",
}
#: How each condition goes on after the subject.
CONDITIONS = {"risk": "of {} risk", "type": "of type {}", "tier": "that touch {}", "team": "of the team {}"}


def speaks_about(subject: str, conditions: Mapping[str, Sequence[str]]) -> str:
    """What a policy is about: `releases and change requests of low or medium risk, that touch production`."""
    said = [text.format(_listed(conditions[name], "or")) for name, text in CONDITIONS.items() if conditions.get(name)]
    return " ".join([SUBJECTS.get(subject, subject), ", ".join(said)]).strip()


def asks_for(stages: Iterable[Stage]) -> str:
    """What stages ask for together: `1 release manager, then 2 CAB members and 1 CAB chair with a veto`."""
    return ", then ".join(steps_in_words(stages)) or "nothing"


def steps_in_words(stages: Iterable[Stage]) -> list[str]:
    """The same, step by step."""
    known = sorted(stages, key=step_of)
    return [_step([stage for stage in known if step_of(stage) == step]) for step in sorted({*map(step_of, known)})]


def _step(stages: Sequence[Stage]) -> str:
    alone = [_stage(stage) for stage in stages if not stage.get("either")]
    labels = dict.fromkeys(stage["either"] for stage in stages if stage.get("either"))
    return _listed([*alone, *(_choice(label, stages) for label in labels)], "and")


def _choice(label: str, stages: Sequence[Stage]) -> str:
    """Alternatives; one whose others stand in another step says so."""
    found = [_stage(stage) for stage in stages if stage.get("either") == label]
    return f"either {_listed(found, 'or')}" if len(found) > 1 else f"{found[0]} (or another of “{label}”)"


def _stage(stage: Stage) -> str:
    name, count, percent = words(seat(stage)), stage.get("count"), stage.get("percent")
    several = name.replace("member of", "members of", 1) if name.startswith("member of") else f"{name}s"
    share = f"{percent}\u00a0% of the {several}"
    if percent and not stage.get("fixed"):
        asked = f"{count} or {share}, whichever is more" if count else share
    else:
        asked = f"{count} {name if count == 1 else several}"
    return f"{asked} with a veto" if stage.get("veto") else asked


def _listed(items: Iterable[Any], last: str) -> str:
    *others, end = [str(item) for item in items]
    return f"{', '.join(others)} {last} {end}" if others else end
