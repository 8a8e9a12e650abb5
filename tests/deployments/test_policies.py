"""The order of tasks as a rule over values."""

from __future__ import annotations

import pytest

from deployments.policies import dependency_errors

GONE, LOOP = "There is no task", "It waits for itself"


@pytest.mark.parametrize(
    ("depends_on", "expected"),
    [
        ([], {}),
        ([()], {}),
        ([(), (0,), (0, 1)], {}),
        ([(1,), ()], {}),
        ([(0,)], {0: LOOP}),
        ([(1,), (0,)], {0: LOOP, 1: LOOP}),
        ([(), (2,), (1,), (2,)], {1: LOOP, 2: LOOP, 3: LOOP}),
        ([(1,)], {0: GONE}),
        ([(), (-1,)], {1: GONE}),
    ],
)
def test_tasks_that_can_never_begin_are_named(depends_on: list[tuple[int, ...]], expected: dict[int, str]) -> None:
    found = dependency_errors(depends_on)
    assert {index: reason.startswith(expected[index]) for index, reason in found.items()} == dict.fromkeys(
        expected, True
    )
