"""Rules of tasks: in which order they can be worked off."""

from __future__ import annotations

from collections.abc import Sequence


def dependency_errors(depends_on: Sequence[Sequence[int]]) -> dict[int, str]:
    """What is wrong with a list of tasks that name, by index, those that come before them: index → reason."""
    errors = {
        index: f"There is no task {other}; the first is 0, the last {len(depends_on) - 1}."
        for index, others in enumerate(depends_on)
        for other in others
        if not 0 <= other < len(depends_on)
    }
    return errors or dict.fromkeys(_stuck(depends_on), "It waits for itself, through the tasks it depends on.")


def _stuck(depends_on: Sequence[Sequence[int]]) -> list[int]:
    """The tasks that can never begin: those that stand on a cycle and those behind one."""
    waiting = {index: set(others) for index, others in enumerate(depends_on)}
    while free := {index for index, others in waiting.items() if not others}:
        waiting = {index: others - free for index, others in waiting.items() if index not in free}
    return sorted(waiting)
