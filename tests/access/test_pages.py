"""Every page × method × person: what is not declared fails, another team's records are not there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from releasemgmt.workflow import fsm, gates
from tests.access.callers import Knocker, Writing, with_sessions, written
from tests.access.pages import ABOUT_NOBODY, PAGES, TRANSITIONS, Page
from tests.access.test_api import named
from tests.access.world import Side, World
from tests.test_permissions import WHO
from tests.web import test_routes

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="package")
def people(world: World) -> list[Knocker]:
    return with_sessions(world)


def address(path: str, side: Side, **parts: Any) -> str:
    """The address of a side's own record."""
    app, _, rest = path.partition("/")
    model = rest.split("/")[0]
    known = {
        "<app_label>": "releases",
        "<kind>": "impact",
        "<tier>": "production",
        "<figure>": "downtimes",
        "<task>": side.tasks[1].pk,
        "<step>": "done",
        "<answer>": "accept",
        "<what>": "fix",
        "<condition>": side.condition.pk,
        "<role>": side.signer.role_assignments.get().pk,
        "<token>": side.token.pk,
        "<round>": side.round.pk,
        **{f"<{name}>": value for name, value in parts.items()},
    }
    if "<object_id>" in path or "<pk>" in path:
        known |= dict.fromkeys(("<object_id>", "<pk>"), side.pk_of(model))
    return "/admin/" + re.sub("<[a-z_]+>", lambda found: str(known[found[0]]), path)


def knock(caller: Knocker, method: str, where: str, fields: Mapping[str, Any] | None = None) -> tuple[str, Writing]:
    """What came of it in a word, and what was written, which is rolled back."""
    with written() as writing:
        answer = caller.client.get(where) if method == "GET" else caller.client.post(where, fields or {})
    if answer.status_code == 302 and "/login" in answer["Location"]:
        return "sign in", writing
    if answer.status_code == 403 or writing.refused:
        return "refused", writing
    if answer.status_code in (200, 302):
        return "done" if writing.beyond_a_refusal or "workflow_event" in writing.tables else "shown", writing
    return str(answer.status_code), writing


def wrong(caller: Knocker, got: str, wanted: str, writing: Writing) -> str:
    """What is wrong with an answer, in words; nothing where it is as declared."""
    if writing.past_commands:
        return f"{caller.name}: past commands it wrote to {sorted(writing.past_commands)}"
    if got != wanted:
        return f"{caller.name}: {got}, not {wanted}"
    if got != "done" and writing.beyond_a_refusal:
        return f"{caller.name}: {got}, and it wrote to {sorted(writing.tables)}"
    return ""


def to_read(caller: Knocker, page: Page) -> str:
    if not caller.is_known:
        return "sign in"
    if not page.shown:
        return "405"
    if page.is_ours and not caller.sees:
        return "404"
    return "shown" if set(page.shown) >= {""} or shown_to(caller, page) else "refused"


def shown_to(caller: Knocker, page: Page) -> bool:
    """A form for a new record of a team is shown to whoever holds such a role in any team."""
    somewhere = not page.is_ours and page.of_a_team and caller.role in page.shown
    return somewhere or caller.holds(page.shown, of_a_team=page.of_a_team) or caller.is_named(page.named)


def to_send(caller: Knocker, page: Page) -> str:
    if not caller.is_known:
        return "sign in"
    if page.is_ours and not caller.sees:
        return "404"
    if page.may is not None and not page.is_ours and page.of_a_team and not page.anywhere and not caller.sees:
        return "400"  # the form offers nothing of ours
    may = caller.holds(page.may or (), of_a_team=page.of_a_team) or caller.is_named(page.named)
    return page.ok if may or (page.anywhere and caller.role in (page.may or ())) else "refused"


@pytest.mark.parametrize("path", PAGES)
def test_opening(path: str, world: World, people: list[Knocker]) -> None:
    where, found = address(path, world.ours), []
    for caller in people:
        got, writing = knock(caller, "GET", where)
        found.append(wrong(caller, got, to_read(caller, PAGES[path]), writing))
    assert "\n".join(filter(None, found)) == ""


@pytest.mark.parametrize("path", [path for path, page in PAGES.items() if page.may is not None])
def test_sending(path: str, world: World, people: list[Knocker]) -> None:
    page, where, found = PAGES[path], address(path, world.ours), []
    fields = page.fields(world.ours)
    for caller in people:
        got, writing = knock(caller, "POST", where, fields)
        found.append(wrong(caller, got, to_send(caller, page), writing))
    assert "\n".join(filter(None, found)) == ""


@pytest.mark.parametrize("path", TRANSITIONS)
def test_a_transition(path: str, world: World, people: list[Knocker]) -> None:
    """Its form is shown to whoever sees the record; it moves for those whom the domain names, or says why not."""
    record = getattr(world.ours, TRANSITIONS[path])
    found = []
    for arrow in fsm.leaving(record):
        key = gates.key(type(record), arrow.name)
        may = WHO.get(f"{key} from {arrow.source}") or WHO[key]
        where = address(path, world.ours, transition=arrow.name)
        fields = {name: "successful" if name == "outcome" else "Because." for name in arrow.required}
        for caller in people:
            seen = "shown" if caller.sees else "404" if caller.is_known else "sign in"
            got, writing = knock(caller, "GET", where)
            found.append(wrong(caller, got, seen, writing))
            may_fire = caller.holds(may, of_a_team=True) or caller.is_named(named(may))
            sent, writing = knock(caller, "POST", where, fields)
            wanted = seen if not caller.sees else "refused" if not may_fire else "done"
            blocked = may_fire and sent == "shown"  # a gate is closed: the page says which
            found.append(blocked * "" or wrong(caller, sent, "shown" if blocked else wanted, writing))
    assert "\n".join(filter(None, found)) == ""


@pytest.mark.parametrize("path", [path for path in sorted(ABOUT_NOBODY) if "<" not in path])
def test_an_address_about_nobody(path: str, people: list[Knocker]) -> None:
    for caller in people:
        for method in ("GET", "POST"):
            answer = getattr(caller.client, method.lower())(f"/admin/{path}")
            assert answer.status_code in (200, 302, 400, 403, 405), (
                f"{method} {path}: {caller.name} {answer.status_code}"
            )


def test_every_page_is_declared() -> None:
    found = {path.removeprefix("/admin/") for path in test_routes.PAGES if path.startswith("/admin/")}
    assert set(PAGES) | set(TRANSITIONS) | ABOUT_NOBODY == found
