"""What is wrong with a policy that somebody proposes: its conditions, its stages, and who could satisfy it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from approvals.policies.content import RISKS
from approvals.policies.stages import People, Stage, missing, needed, seat

SUBJECTS = ("release", "change", "any", "pre_approval")
TYPES = ("major", "minor", "patch", "emergency", "standard", "normal")
TIERS = ("development", "integration", "test", "staging", "production")
#: What a policy can depend on, with the values of each; a team is any that there is.
CONDITIONS: dict[str, tuple[str, ...]] = {"risk": RISKS, "type": TYPES, "tier": TIERS, "team": ()}
#: The roles that can be asked for a vote.
VOTERS = ("contributor", "release_manager", "cab_member", "cab_chair", "deployer")
WHO = ("role", "team", "board")
NAMES = {*WHO, "step", "count", "percent", "veto", "either"}
#: People whom one stage may ask for, and stages of one policy.
MOST = 100


def normalised(stages: Sequence[Mapping[str, Any]]) -> list[Stage]:
    """The stages as they are kept: without a step of its own each is asked after the one before it."""
    kept: list[Stage] = []
    for number, stage in enumerate(stages, start=1):
        said = {name: value for name, value in stage.items() if value not in (None, "")}
        kept.append({"veto": False, **said, "step": said.get("step") or number})  # type: ignore[typeddict-item]
    return kept


def policy_errors(subject: str, conditions: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What can't be read as a policy: path → reason."""
    errors = {} if subject in SUBJECTS else {"subject": f"Choose one of {', '.join(SUBJECTS)}."}
    errors |= {f"conditions.{name}": wrong for name, wanted in conditions.items() if (wrong := _wrong(name, wanted))}
    if subject == "pre_approval":
        never = [name for name in ("type", "risk") if conditions.get(name)]
        errors |= {f"conditions.{name}": f"A pre-approval has no {name}, so this would never apply." for name in never}
    if not 0 < len(stages) <= MOST:
        errors["stages"] = f"Name who has to agree, in 1 to {MOST} stages."
    return errors | {f"stages.{n}": wrong for n, stage in enumerate(stages) if (wrong := _stage_error(stage))}


def _wrong(name: str, wanted: Any) -> str:
    """What is wrong with a condition; empty where nothing is."""
    if not isinstance(wanted, list) or not all(isinstance(value, str) for value in wanted):
        return "Give a list of words."
    if name not in CONDITIONS:
        return f"{name} is unknown; there are {', '.join(CONDITIONS)}."
    offered = CONDITIONS[name]
    strange = sorted(set(wanted) - set(offered)) if offered else []
    return f"{', '.join(strange)} is unknown; choose among {', '.join(offered)}." if strange else ""


def _stage_error(stage: Mapping[str, Any]) -> str:
    if strange := sorted(set(stage) - NAMES):
        return f"A stage has no {', '.join(strange)}."
    if len([name for name in WHO if stage.get(name)]) != 1:
        return "Name one of role, team and board."
    if stage.get("role") and stage["role"] not in VOTERS:
        return f"{stage['role']} does not vote; choose among {', '.join(VOTERS)}."
    if (stage.get("count") is None) == (stage.get("percent") is None):
        return "Give either count or percent."
    numbers = {name: stage[name] for name in ("count", "percent", "step") if stage.get(name) is not None}
    strange = [name for name, value in numbers.items() if not isinstance(value, int) or not 1 <= value <= MOST]
    return f"{', '.join(strange)}: give a number from 1 to {MOST}." if strange else ""


def shortfall(stages: Sequence[Stage], pools: Iterable[tuple[str, People]]) -> str:
    """Why nobody could satisfy the stages, with the arithmetic; empty where the people of one of the pools could.

    A pool is the people of one team, with its name: those who hold a role there or everywhere.
    """
    nearest: tuple[int, str] | None = None
    for name, people in pools:
        empty = missing(stages, people)
        if not any(empty.values()):
            return ""
        reason = _arithmetic(stages, people, empty, name)
        if nearest is None or sum(empty.values()) < nearest[0]:
            nearest = sum(empty.values()), reason
    return nearest[1] if nearest else "There is no team yet, so nobody could agree."


def _arithmetic(stages: Sequence[Stage], people: People, empty: Mapping[str, int], pool: str) -> str:
    asked = {seat(stage): needed(stage, people) for stage in stages}
    lines = []
    for name, short in empty.items():
        if short:
            could = sum(name in seats for seats in people.values())
            lines.append(f"{asked[name]} × {words(name)} are asked for and {could} could agree, {short} short")
    total = f"; {sum(asked.values())} seats in all, and each person fills one" if len(asked) > 1 else ""
    return f"Nobody could satisfy this in {pool}: {'; '.join(lines)}{total}."


def words(name: str) -> str:
    """A seat in words: `CAB member`, `somebody of payments`."""
    kind, colon, key = name.partition(":")
    if colon:
        return f"member of the {kind} {key}"
    return name.replace("_", " ").replace("cab", "CAB")
