"""A plan's tasks as lines of text: what people write in the form, and how it shows what is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError

from deployments.commands import TaskDraft
from deployments.models import DeploymentTask
from releasemgmt.accounts.models import Team, User

HOW = (
    "One task a line; it waits for the line above it, or begins with + and goes on at the same time. At the end, where "
    "it helps: [verify] what it is for, @name or @team, (10 min), (after 1, 3) or (after nothing), -> the endpoint "
    "that does it."
)
EXAMPLE = """\
Stop the workers
Migrate the database [database] @dario (10 min)
+ Swap the images @web
Start the workers"""
TOGETHER = "+"
MOST, LONGEST = 200, 200
#: What may stand at the end of a line, in any order.
ENDS = re.compile(
    rf"\s+(?:\[(?P<purpose>{'|'.join(DeploymentTask.Purpose.values)})\]|@(?P<who>[\w.@+-]+)"
    r"|-> ?(?P<endpoint>[a-z0-9][a-z0-9-]{0,39})"
    r"|\((?P<minutes>\d{1,6}) min\)|\(after (?P<after>nothing|\d{1,3}(?:, ?\d{1,3})*)\))$"
)
Find = Callable[[str], User | Team | None]


class _Order:
    """What a line waits for that does not say it itself: the lines above it that go on together."""

    def __init__(self) -> None:
        self.before: tuple[int, ...] = ()
        self.stage: tuple[int, ...] = ()

    def put(self, index: int, depends_on: tuple[int, ...], *, is_together: bool) -> None:
        self.stage = (*self.stage, index) if is_together else (index,)
        self.before = depends_on


def read(text: str, *, find: Find) -> list[TaskDraft]:
    """The lines as tasks; raises ValidationError, naming the lines."""
    drafts: list[TaskDraft] = []
    errors: list[str] = []
    order = _Order()
    for index, line in enumerate(filter(None, map(str.strip, text.splitlines()))):
        is_together = line.startswith(TOGETHER) and index > 0
        title, said = _parts(line.removeprefix(TOGETHER).strip())
        after = _numbers(said["after"]) if "after" in said else order.before if is_together else order.stage
        order.put(index, after, is_together=is_together and "after" not in said)
        who = find(said["who"]) if "who" in said else None
        errors += _wrong(index, title, said, who)
        drafts.append(
            TaskDraft(
                title,
                kind=DeploymentTask.Kind.WEBHOOK if "endpoint" in said else DeploymentTask.Kind.MANUAL,
                endpoint=said.get("endpoint", ""),
                purpose=said.get("purpose", DeploymentTask.Purpose.DEPLOY),
                assignee=who,
                estimate_minutes=int(said["minutes"]) if "minutes" in said else None,
                depends_on=after,
            )
        )
    if len(drafts) > MOST:
        errors.append(f"There are {len(drafts)} tasks; a list takes {MOST}.")
    if errors:
        raise ValidationError(errors)
    return drafts


def write(drafts: Sequence[TaskDraft]) -> str:
    """The tasks as lines that `read` reads as the same tasks."""
    lines = []
    order = _Order()
    for index, draft in enumerate(drafts):
        after = tuple(sorted(draft.depends_on))
        is_together = index > 0 and after == order.before
        says_after = not is_together and after != order.stage
        order.put(index, after, is_together=is_together)
        ends = [
            f"[{draft.purpose}]" if draft.purpose != DeploymentTask.Purpose.DEPLOY else "",
            f"-> {draft.endpoint}" if draft.endpoint else "",
            f"@{draft.assignee.number}" if draft.assignee else "",
            f"({draft.estimate_minutes} min)" if draft.estimate_minutes is not None else "",
            f"(after {', '.join(str(other + 1) for other in after) or 'nothing'})" if says_after else "",
        ]
        lines.append(" ".join(filter(None, [TOGETHER if is_together else "", draft.title, *ends])))
    return "\n".join(lines)


def _parts(line: str) -> tuple[str, dict[str, Any]]:
    """The title, and what its ends say."""
    said: dict[str, Any] = {}
    while found := ENDS.search(line):
        said = {name: value for name, value in found.groupdict().items() if value} | said
        line = line[: found.start()]
    return line, said


def _numbers(after: str) -> tuple[int, ...]:
    return () if after == "nothing" else tuple(sorted({int(number) - 1 for number in after.split(",")}))


def _wrong(index: int, title: str, said: Mapping[str, str], who: User | Team | None) -> list[str]:
    place = f"Task {index + 1}"
    found = [f"{place}: there is nobody called {said['who']}, and no such team."] if "who" in said and not who else []
    if not title:
        found.append(f"{place}: say what is to be done.")
    if len(title) > LONGEST:
        found.append(f"{place}: a title has at most {LONGEST} characters.")
    return found
