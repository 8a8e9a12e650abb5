"""The house rules that no linter knows, read from the syntax tree of every file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("releasemgmt", "approvals", "deployments")
CODE = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts)
TESTS = sorted((ROOT / "tests").rglob("*.py"))

#: Layers in which rows are written: commands and the kernel beneath them, and what a migration ships.
WRITERS = ("commands", "shipped.py")
#: Tables that hold no business fact: they belong to the plumbing itself.
PLUMBING = {
    "releasemgmt/web/idempotency.py",
    "releasemgmt/notifications/fanout.py",
}
WRITES = {
    "save",
    "update",
    "bulk_create",
    "bulk_update",
    "create",
    "get_or_create",
    "update_or_create",
    "delete",
    "set",
}
VAGUE = re.compile(r"^(utils?|helpers?|common|misc|managers?|process|handle)(\.py)?$")


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


@pytest.mark.parametrize("path", CODE + TESTS, ids=names)
def test_a_file_has_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", CODE + TESTS, ids=names)
def test_a_function_has_at_most_50_lines(path: Path) -> None:
    assert [f"{f.name}: {lines_of(f)}" for f in functions(path) if lines_of(f) > 50] == []


@pytest.mark.parametrize("path", CODE, ids=names)
def test_a_module_says_in_a_sentence_what_it_is(path: Path) -> None:
    assert path.read_text().strip() == "" or (ast.get_docstring(tree(path)) or "").strip()


@pytest.mark.parametrize("path", [p for p in CODE if "models" in p.parts or p.name == "models.py"], ids=names)
def test_a_model_says_in_a_sentence_what_it_is(path: Path) -> None:
    classes = [n for n in tree(path).body if isinstance(n, ast.ClassDef)]
    assert [c.name for c in classes if not ast.get_docstring(c)] == []


@pytest.mark.parametrize("path", [p for p in CODE if "commands" in str(p) and "management" not in p.parts], ids=names)
def test_a_command_says_in_a_sentence_what_it_does(path: Path) -> None:
    public = [n for n in tree(path).body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
    assert [f.name for f in public if not ast.get_docstring(f)] == []


@pytest.mark.parametrize("path", CODE, ids=names)
def test_no_name_is_vague(path: Path) -> None:
    assert not VAGUE.match(path.name)
    assert [f.name for f in functions(path) if VAGUE.match(f.name) and "management" not in path.parts] == []


@pytest.mark.parametrize("path", CODE, ids=names)
def test_nothing_is_imported_inside_a_function(path: Path) -> None:
    inside = [n for f in functions(path) for n in ast.walk(f) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert [f"line {n.lineno}" for n in inside] == []


@pytest.mark.parametrize("path", CODE, ids=names)
def test_no_signal_and_no_save_override(path: Path) -> None:
    assert "django.db.models.signals" not in path.read_text()
    assert "django.dispatch" not in path.read_text()
    assert [f"line {f.lineno}" for f in functions(path) if f.name == "save"] == []


def writes(path: Path) -> list[str]:
    """Calls that write rows through the ORM: `….objects.update(…)`, `obj.save()`, but not `dict.update(…)`."""
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
            receiver = ast.unparse(node.func.value)
            plain_save = node.func.attr == "save" and not receiver.startswith("super()")
            if "objects" in receiver or ".filter(" in receiver or plain_save or node.func.attr.startswith("bulk_"):
                found.append(f"line {node.lineno}: {ast.unparse(node.func)}")
    return found


@pytest.mark.parametrize("path", CODE, ids=names)
def test_rows_are_written_in_commands_only(path: Path) -> None:
    if not any(part.startswith(WRITERS) or part in WRITERS for part in path.parts) and names(path) not in PLUMBING:
        assert writes(path) == []


@pytest.mark.parametrize("path", CODE, ids=names)
def test_states_move_by_fire_only(path: Path) -> None:
    assigned = [
        ast.unparse(target)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and target.attr == "state" and ast.unparse(target.value) != "self"
    ]
    assert assigned == []


@pytest.mark.parametrize("path", CODE, ids=names)
def test_only_the_kernel_knows_django_fsm(path: Path) -> None:
    assert names(path) == "releasemgmt/workflow/fsm.py" or "django_fsm" not in path.read_text()


@pytest.mark.parametrize("path", CODE, ids=names)
def test_the_clock_is_read_by_faces_and_record_only(path: Path) -> None:
    domain = {"policies.py", "gates.py", "queries.py", "models.py"}
    if path.name in domain or "models" in path.parts:
        assert "timezone.now()" not in path.read_text()
