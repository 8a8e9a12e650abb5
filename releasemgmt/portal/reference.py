"""The reference in docs/reference, generated from the code so that it can't be wrong."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.utils.module_loading import import_string

from releasemgmt import env
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Role, Scope
from releasemgmt.workflow import fsm, gates
from releasemgmt.workflow.checks import stateful_models
from releasemgmt.workflow.models import StatefulModel
from releasemgmt.workflow.queries import aggregates

HEAD = "<!-- Generated from the code by `make docs`; edits here are lost. -->\n"


def pages() -> dict[str, str]:
    """Every page of the reference: file name → Markdown."""
    return {
        "states.md": HEAD + states(),
        "events.md": HEAD + events(),
        "permissions.md": HEAD + permissions(),
        "settings.md": HEAD + environment(),
    }


def states() -> str:
    """Each state machine as a diagram and as a table with who may and what gates it."""
    models = sorted(stateful_models(), key=lambda model: str(model._meta.verbose_name))
    return "\n".join(["# States and transitions", "", *(_machine(model) for model in models)])


def _machine(model: type[StatefulModel]) -> str:
    rows = [
        f"| `{arrow.name}` | {arrow.source} → {', '.join(arrow.targets)} | {arrow.allow.description} "
        f"| {_fields(arrow)} | {_gates(model, arrow.name)} | {arrow.doc.splitlines()[0]} |"
        for arrow in fsm.catalogue(model)
    ]
    arrows = [
        f"    {arrow.source} --> {target}: {arrow.name}" for arrow in fsm.catalogue(model) for target in arrow.targets
    ]
    title = f"## {str(model._meta.verbose_name).capitalize()} (`{model.NUMBER_PREFIX}`)"
    table = ["| transition | from → to | fired by | fields | gates | meaning |", "|---|---|---|---|---|---|", *rows]
    first = f"    [*] --> {fsm.state_column(model).get_default()}"
    return "\n".join([title, "", "```mermaid", "stateDiagram-v2", first, *arrows, "```", "", *table, ""])


def _fields(arrow: fsm.Transition) -> str:
    named = [f"`{name}`" for name in arrow.required] + [f"`{name}` (optional)" for name in arrow.optional]
    return ", ".join(named) or "–"


def _gates(model: type[StatefulModel], transition: str) -> str:
    paths = settings.WORKFLOW_GATES.get(gates.key(model, transition), [])
    return "<br>".join((inspect.getdoc(import_string(path)) or path).splitlines()[0] for path in paths) or "–"


def events() -> str:
    """Every kind of event that the code can append."""
    fired = {f"{m._meta.app_label}.{m._meta.model_name}.{a.name}" for m in stateful_models() for a in fsm.catalogue(m)}
    born = {f"{m._meta.app_label}.{m._meta.model_name}.{verb}" for m in aggregates() for verb in ("create", "edit")}
    said = set(_recorded_kinds())
    sections = [
        ("Transitions", "`source` and `target` are set; `data` holds the transition's fields.", fired),
        ("Records made and edited", "`data.changes` maps each field to its old and new value.", born),
        ("Everything else", "`data` holds the facts.", said - fired - born),
    ]
    lines = ["# Events", "", "Each event stands in the stream of one record, chained by hash to the one before it."]
    for title, meaning, kinds in sections:
        lines += ["", f"## {title}", "", meaning, "", *(f"- `{kind}`" for kind in sorted(kinds))]
    return "\n".join(lines) + "\n"


def _recorded_kinds() -> Iterator[str]:
    for config in apps.get_app_configs():
        root = Path(config.path)
        if root.is_relative_to(env.ROOT) and ".venv" not in root.parts:
            for path in sorted(root.rglob("*.py")):
                yield from _kinds_in(ast.parse(path.read_text()))


def _kinds_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "record" and len(node.args) > 1:
            kind = node.args[1]
            if isinstance(kind, ast.Constant) and isinstance(kind.value, str):
                yield kind.value


def permissions() -> str:
    """The table of roles and actions, and what the record decides."""
    entries = [entry for entry in vars(roles).values() if isinstance(entry, roles.any_of) and entry.action]
    head = ["| action | " + " | ".join(label.lower() for label in Role.labels) + " | system | token scope |"]
    rows = [
        f"| {entry.action} | "
        + " | ".join("✓" if role in entry.roles else "–" for role in Role.values)
        + f" | {'✓' if entry.system else '–'} | `{Scope(entry.scope).value}` |"
        for entry in entries
    ]
    rule = ["|" + "---|" * (len(Role.values) + 3)]
    intro = (
        "Roles are held in a team or globally. A record is visible to those with any role in its product's team or a "
        "global one; to others it does not exist (404). What no row allows is refused (403). A token needs the scope "
        "beside the role; it reads without one."
    )
    return "\n".join(["# Permissions", "", intro, "", *head, *rule, *rows, "", *_decided_by_record()])


def _decided_by_record() -> list[str]:
    """Actions that no role alone allows, and the transitions that ask for more than a role."""
    entries = [entry for entry in vars(roles).values() if isinstance(entry, roles.decided_by_record)]
    rows = [f"| {entry.action} | {entry.who} | `{Scope(entry.scope).value}` |" for entry in entries]
    for model in sorted(stateful_models(), key=lambda each: str(each._meta.verbose_name)):
        named = {(a.name, a.who): None for a in fsm.catalogue(model) if not isinstance(a.allow, roles.any_of)}
        rows += [
            f"| `{name}` of a {model._meta.verbose_name} | {who} | |" for name, who in named if who != "the system"
        ]
    head = ["| action | who | token scope |", "|---|---|---|"]
    return ["## What the record decides", "", *head, *rows, ""]


def environment() -> str:
    """The environment variables."""
    rows = [
        f"| `{variable.name}` | {'required' if variable.required else f'`{variable.default}`'} | {variable.meaning} |"
        for variable in env.VARIABLES
    ]
    intro = "Required ones are so as soon as `DATABASE_URL` is set; without it everything has a default."
    table = ["| variable | default | meaning |", "|---|---|---|", *rows]
    return "\n".join(["# Settings", "", intro, "", *table, ""])
