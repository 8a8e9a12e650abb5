"""The house rules that no linter knows, read from the syntax tree of every file."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
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


@cache
def text(path: Path) -> str:
    return path.read_text()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(text(path))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(path)))


@cache
def functions(path: Path) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
    return tuple(n for n in nodes(path) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def against(rule: Callable[[Path], list[str]], paths: list[Path]) -> list[str]:
    """What is against the rule in any of the files, each with its file."""
    assert paths
    return [f"{names(path)}: {found}" for path in paths for found in rule(path)]


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def test_a_file_has_at_most_400_lines() -> None:
    def too_long(path: Path) -> list[str]:
        lines = len(text(path).splitlines())
        return [f"{lines} lines"] if lines > 400 else []

    assert against(too_long, CODE + TESTS) == []


def test_a_function_has_at_most_50_lines() -> None:
    def too_long(path: Path) -> list[str]:
        return [f"{f.name}: {lines_of(f)}" for f in functions(path) if lines_of(f) > 50]

    assert against(too_long, CODE + TESTS) == []


def test_a_module_says_in_a_sentence_what_it_is() -> None:
    def silent(path: Path) -> list[str]:
        says = text(path).strip() == "" or (ast.get_docstring(tree(path)) or "").strip()
        return [] if says else ["no docstring"]

    assert against(silent, CODE) == []


def test_a_model_says_in_a_sentence_what_it_is() -> None:
    def silent(path: Path) -> list[str]:
        return [n.name for n in tree(path).body if isinstance(n, ast.ClassDef) and not ast.get_docstring(n)]

    assert against(silent, [p for p in CODE if "models" in p.parts or p.name == "models.py"]) == []


def test_a_command_says_in_a_sentence_what_it_does() -> None:
    def silent(path: Path) -> list[str]:
        public = [n for n in tree(path).body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
        return [f.name for f in public if not ast.get_docstring(f)]

    assert against(silent, [p for p in CODE if "commands" in str(p) and "management" not in p.parts]) == []


def test_no_name_is_vague() -> None:
    def vague(path: Path) -> list[str]:
        inside = [] if "management" in path.parts else [f.name for f in functions(path)]
        return [name for name in (path.name, *inside) if VAGUE.match(name)]

    assert against(vague, CODE) == []


def test_nothing_is_imported_inside_a_function() -> None:
    def inside(path: Path) -> list[str]:
        found = [n for f in functions(path) for n in ast.walk(f) if isinstance(n, ast.Import | ast.ImportFrom)]
        return [f"line {n.lineno}" for n in found]

    assert against(inside, CODE) == []


def test_no_signal_and_no_save_override() -> None:
    def hidden(path: Path) -> list[str]:
        signals = [name for name in ("django.db.models.signals", "django.dispatch") if name in text(path)]
        return signals + [f"line {f.lineno}" for f in functions(path) if f.name == "save"]

    assert against(hidden, CODE) == []


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


def test_rows_are_written_in_commands_only() -> None:
    faces = [path for path in CODE if not is_writer(path) and names(path) not in PLUMBING]
    assert against(lambda path: writes(tree(path)), faces) == []


def test_nobody_goes_beneath_the_orm() -> None:
    def beneath(path: Path) -> list[str]:
        return [f"line {call.lineno}: {name}" for call, name in called(tree(path)) if name in RAW_SQL]

    assert against(beneath, [path for path in CODE if names(path) not in SPEAKS_SQL]) == []


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


def state_assigned(path: Path) -> list[str]:
    """Assignments to the state of something, and `setattr` by its name."""
    assigned = [
        f"line {target.lineno}: {ast.unparse(target)}"
        for node in nodes(path)
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute) and target.attr == "state" and ast.unparse(target.value) != "self"
    ]
    by_name = [
        f"line {node.lineno}"
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and "setattr" in text(path)
        and re.match(r"(\S+\.)?_*setattr_*\(.*'state'", ast.unparse(node))
    ]
    return assigned + by_name


def test_states_move_by_fire_only() -> None:
    assert against(state_assigned, CODE) == []


def test_only_the_kernel_knows_django_fsm() -> None:
    def knows(path: Path) -> list[str]:
        return ["django_fsm"] if "django_fsm" in text(path) else []

    assert against(knows, [path for path in CODE if names(path) != "releasemgmt/workflow/fsm.py"]) == []


def test_the_clock_is_read_by_faces_and_record_only() -> None:
    def reads(path: Path) -> list[str]:
        return ["timezone.now()"] if "timezone.now()" in text(path) else []

    domain = {"policies.py", "gates.py", "queries.py", "models.py"}
    assert against(reads, [path for path in CODE if path.name in domain or "models" in path.parts]) == []
