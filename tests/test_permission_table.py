"""The table of who may what is whole: no command and no transition asks for a permission that it doesn't show."""

from __future__ import annotations

import ast
import importlib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Role
from releasemgmt.portal import reference
from releasemgmt.workflow import fsm
from releasemgmt.workflow.checks import stateful_models
from tests.test_house_style import CODE, ROOT, names

#: §7 of the domain, written down a second time: entry → who may.
TABLE = {
    "edit_records": {"contributor", "release_manager", "deployer", "service", "system"},
    "advance_releases": {"release_manager", "service", "system"},
    "manage_releases": {"release_manager"},
    "record_changes": {"release_manager", "system"},
    "plan_deployments": {"release_manager", "deployer"},
    "verify_preparation": {"release_manager", "deployer", "service"},
    "deploy": {"deployer", "service"},
    "deploy_or_system": {"deployer", "service", "system"},
    "team_members": {"contributor", "release_manager", "cab_member", "cab_chair", "deployer", "service"},
    "run_boards": {"cab_chair"},
    "run_windows": {"cab_chair"},
    "request_windows": {"release_manager", "deployer"},
    "stop_line": {"release_manager", "deployer", "cab_chair", "system"},
    "ask_pre_approval": {"release_manager", "administrator"},
    "propose_policies": {"administrator", "system"},
    "administrate_or_system": {"administrator", "system"},
}
#: What the record decides; the walk over every address holds it against the code.
DECIDED_BY_RECORD = {
    "comment",
    "vote",
    "delegate",
    "take_back_vote",
    "work_on_task",
    "accept_defect",
    "keep_own_account",
}

#: Commands that take an actor and ask for no permission, and why.
ASKS_ELSEWHERE = {
    "mark_read": "one's own notices only: another's does not exist",
    "ask": "part of open_round and of transitions, which ask",
    "assign": "part of the commands that grant a role, which ask",
    "propose": "part of the commands that propose, which ask",
    "rate": "part of open_round and of transitions, which ask",
    "take_in": "part of send_commits and import_commits, which ask",
    "take_away": "part of the commands that revoke a role, which ask, and of signing in",
    "use_override": "part of a start, which asks",
    "withdraw": "part of open_round and of transitions, which ask",
}
COMMANDS = [path for path in CODE if "commands" in path.parts or path.name == "commands.py"]
COMMANDS = [path for path in COMMANDS if "management" not in path.parts and "workflow" not in path.parts]


@cache
def module_of(path: Path) -> Any:
    return importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def asked(path: Path) -> Iterator[tuple[int, ast.expr]]:
    """What each `permit(actor, record, …)` of a file asks for."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "permit":
            yield node.lineno, node.args[2]


def permissions_in(expression: ast.expr, module: Any) -> Iterator[Any]:
    """The permissions that an expression may amount to; a choice between two is both."""
    if isinstance(expression, ast.IfExp):
        yield from permissions_in(expression.body, module)
        yield from permissions_in(expression.orelse, module)
    elif ast.unparse(expression) != "arrow.allow":  # a transition's own
        yield eval(ast.unparse(expression), vars(module))  # noqa: S307 - our own code


def is_declared(permission: Any) -> bool:
    if isinstance(permission, roles.any_of):
        return bool(permission.action) and permission in vars(roles).values()
    return permission is fsm.engine_only or f"| {permission.description} |" in reference.permissions()


@pytest.mark.parametrize("path", COMMANDS, ids=names)
def test_a_command_asks_for_declared_permissions_only(path: Path) -> None:
    wrong = [
        f"line {line}: {ast.unparse(expression)}"
        for line, expression in asked(path)
        if not all(map(is_declared, permissions_in(expression, module_of(path))))
    ]
    assert wrong == []


@pytest.mark.parametrize("model", stateful_models(), ids=lambda model: model.__name__)
def test_a_transition_asks_for_declared_permissions_only(model: Any) -> None:
    assert [f"{arrow.name} from {arrow.source}" for arrow in fsm.catalogue(model) if not is_declared(arrow.allow)] == []


def calls(function: ast.FunctionDef) -> set[str]:
    """The names that a function calls, or hands to what it calls."""
    found = {ast.unparse(n.func).split(".")[-1] for n in ast.walk(function) if isinstance(n, ast.Call)}
    return found | {name.id for name in ast.walk(function) if isinstance(name, ast.Name)}


@cache
def functions() -> dict[str, list[ast.FunctionDef]]:
    """Every function of the commands, by its name."""
    found: dict[str, list[ast.FunctionDef]] = defaultdict(list)
    for path in COMMANDS:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                found[node.name].append(node)
    return dict(found)


def asks(function: ast.FunctionDef, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a command, or one that it calls, refuses whoever may not."""
    called = calls(function) - seen
    if called & {"permit", "fire", "NotPermitted"}:
        return True
    return any(asks(each, seen | called) for name in called for each in functions().get(name, []))


def test_every_command_that_somebody_gives_asks_whether_they_may() -> None:
    given = [
        function
        for name, found in functions().items()
        for function in found
        if not name.startswith("_") and any(arg.arg == "actor" for arg in function.args.kwonlyargs)
    ]
    assert len(given) > 30
    assert [each.name for each in given if not asks(each) and each.name not in ASKS_ELSEWHERE] == []


def test_no_exception_is_left_over() -> None:
    assert [name for name in ASKS_ELSEWHERE if all(map(asks, functions().get(name, [])))] == []


def test_the_table_is_that_of_the_domain() -> None:
    found = {
        name: set(entry.roles) | ({"system"} if entry.system else set())
        for name, entry in vars(roles).items()
        if isinstance(entry, roles.any_of) and entry.action
    }
    assert found == TABLE
    assert {name for name, entry in vars(roles).items() if isinstance(entry, roles.decided_by_record)} == (
        DECIDED_BY_RECORD
    )


def test_no_entry_of_the_table_is_dead() -> None:
    code = "\n".join(path.read_text() for path in CODE if path.name != "roles.py")
    assert [name for name in TABLE if f"roles.{name}" not in code] == []


def test_the_page_shows_each_entry_with_its_roles() -> None:
    page = reference.permissions()
    for name in TABLE:
        entry = getattr(roles, name)
        marks = " | ".join("✓" if role in entry.roles else "–" for role in Role.values)
        assert f"| {entry.action} | {marks} |" in page
    for name in DECIDED_BY_RECORD:
        assert f"| {getattr(roles, name).action} | {getattr(roles, name).who} |" in page
