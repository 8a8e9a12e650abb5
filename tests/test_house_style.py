"""The house rules that no linter knows, read from the syntax tree of every file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("releasemgmt", "approvals", "deployments")
CODE = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts)
TESTS = sorted((ROOT / "tests").rglob("*.py"))

#: Tables that hold no business fact: they belong to the plumbing itself.
PLUMBING = {
    "releasemgmt/web/idempotency.py",
    "releasemgmt/notifications/fanout.py",
}
#: What writes rows: methods of rows, of query sets and of relations, in their asynchronous form too.
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
    "add",
    "remove",
    "clear",
}
WRITES |= {f"a{name}" for name in WRITES}
#: Doors beneath the ORM, and the files that need one.
RAW_SQL = {"cursor", "execute", "executemany", "raw", "RawSQL", "_raw_delete", "_update", "_insert", "save_base"}
SPEAKS_SQL = {"releasemgmt/workflow/triggers.py", "releasemgmt/workflow/queries.py", "releasemgmt/portal/backup.py"}
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


def is_writer(path: Path) -> bool:
    """Commands, the kernel beneath them, and what a migration ships; those of manage.py are faces."""
    return "management" not in path.parts and ("commands" in path.parts or path.name in ("commands.py", "shipped.py"))


def called(module: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Each call with the name of what is called, be it looked up by `getattr`."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node, node.func.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "attrgetter", "methodcaller"):
            yield from ((node, str(each.value)) for each in node.args if isinstance(each, ast.Constant))


def of_a_plain_value(call: ast.Call) -> bool:
    """`seen.add(x)`, `facts.update(y)`: a set or a dict at hand, told by a bare name and what is handed to it."""
    receiver = call.func.value if isinstance(call.func, ast.Attribute) else None
    plain = isinstance(receiver, ast.Name) and receiver.id != "self"
    plain = plain or isinstance(receiver, ast.Subscript)
    return plain and len(call.args) <= 1 and not call.keywords


def writes(module: ast.AST) -> list[str]:
    """Calls that write rows through the ORM."""
    gentle = {"update", "set", "add", "remove"}
    return [
        f"line {call.lineno}: {ast.unparse(call.func)}"
        for call, name in called(module)
        if name in WRITES and not (name in gentle and of_a_plain_value(call))
    ]


@pytest.mark.parametrize("path", CODE, ids=names)
def test_rows_are_written_in_commands_only(path: Path) -> None:
    assert is_writer(path) or names(path) in PLUMBING or writes(tree(path)) == []


@pytest.mark.parametrize("path", CODE, ids=names)
def test_nobody_goes_beneath_the_orm(path: Path) -> None:
    found = [f"line {call.lineno}: {name}" for call, name in called(tree(path)) if name in RAW_SQL]
    assert names(path) in SPEAKS_SQL or found == []


@pytest.mark.parametrize(
    "code",
    [
        "release.save()",
        "Release.objects.filter(pk=1).update(state='accepted')",
        "rows.update(state='accepted')",
        "release.rounds.update(**values)",
        "self.update(state='accepted')",
        "release.components.set(rows)",
        "release.components.add(row)",
        "release.components.clear()",
        "Vote.objects.create(round=round)",
        "round.votes.create(voter=user)",
        "Vote.objects.bulk_create(votes)",
        "vote.delete()",
        "rows.delete()",
        "await vote.asave()",
        "Model.save(release)",
        "getattr(release, 'save')()",
        "methodcaller('delete')(vote)",
    ],
)
def test_no_spelling_of_a_write_is_overlooked(code: str) -> None:
    assert len(writes(ast.parse(code))) == 1


@pytest.mark.parametrize("code", ["seen.add(1)", "facts.update(more)", "roles[user].add(role)", "request_id.set('x')"])
def test_a_set_or_a_dict_is_no_row(code: str) -> None:
    assert writes(ast.parse(code)) == []


@pytest.mark.parametrize("path", CODE, ids=names)
def test_states_move_by_fire_only(path: Path) -> None:
    assigned = [
        ast.unparse(target)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute) and target.attr == "state" and ast.unparse(target.value) != "self"
    ]
    by_name = [
        f"line {node.lineno}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and re.match(r"(\S+\.)?_*setattr_*\(.*'state'", ast.unparse(node))
    ]
    assert assigned + by_name == []


@pytest.mark.parametrize("path", CODE, ids=names)
def test_only_the_kernel_knows_django_fsm(path: Path) -> None:
    assert names(path) == "releasemgmt/workflow/fsm.py" or "django_fsm" not in path.read_text()


@pytest.mark.parametrize("path", CODE, ids=names)
def test_the_clock_is_read_by_faces_and_record_only(path: Path) -> None:
    domain = {"policies.py", "gates.py", "queries.py", "models.py"}
    if path.name in domain or "models" in path.parts:
        assert "timezone.now()" not in path.read_text()
