"""Every address of the API × method × caller: what is not declared fails, another team's records are not there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from releasemgmt.releases.models import Release
from releasemgmt.workflow import fsm, gates
from releasemgmt.workflow.models import StatefulModel
from tests.access import declared
from tests.access.callers import Knocker, Writing, one_of_each_kind, with_tokens, written
from tests.access.declared import Write
from tests.access.world import Side, World
from tests.test_permissions import WHO
from tests.web.test_routes import API
from tests.web.world import Caller

pytestmark = pytest.mark.django_db

DECLARED = [(path, *method.partition(" ")[::2]) for path, methods in API.items() for method in methods.split(", ")]
#: What a person has given or was given; tests/approvals/test_delegations.py knocks there.
PERSONAL = "delegations/"
READS = [path for path, method, _scopes in DECLARED if method == "GET" and not path.startswith(PERSONAL)]
WRITES = [
    (path, method, scopes) for path, method, scopes in DECLARED if method != "GET" and not path.startswith(PERSONAL)
]
STATEFUL = {"releases": "release", "known-defects": "defect", "changes": "change", "deployment-plans": "plan"}
STATEFUL["windows"] = "window"
#: What some reads ask for.
ASKED = {
    "releases/<number>/comparison/": "?environment=production",
    "releases/<number>/readiness/": "?environment=production",
    "windows/status/": "?environment=production",
    "population/": "?from=2020-01-01T00:00:00Z&to=2030-01-01T00:00:00Z",
}
#: Methods that an address may not know: nobody gets anywhere with them.
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@pytest.fixture(scope="package")
def callers(world: World) -> list[Knocker]:
    return with_tokens(world)


def address(path: str, side: Side, *, transition: str = "cancel") -> str:
    """The address of a side's own record."""
    first = path.split("/")[0]
    parts = {
        "<number>": side.key_of(first),
        "<pk>": side.key_of(first),
        "<kind>": "impact",
        "<tier>": "production",
        "<vote>": str(side.vote.pk),
        "<round>": str(side.round.pk),
        "<condition>": str(side.condition.pk),
        "<task>": str(side.tasks[1].pk),
        "<step>": "done",
        "<end>": "fail",
        "<figure>": "downtimes",
        "<name>": transition,
    }
    return "/api/v1/" + re.sub("<[a-z]+>", lambda found: parts[found[0]], path)


def knock(caller: Knocker, method: str, where: str, body: Any = None) -> tuple[int, Writing]:
    """The status, and what was written, which is rolled back."""
    sent = json.dumps(body) if body is not None else ""
    with written() as writing:
        answer = caller.client.generic(method, where, sent, "application/json", headers={"If-Match": "*"})
    return answer.status_code, writing


def wrong(caller: Knocker, got: int, wanted: set[int], writing: Writing) -> str:
    """What is wrong with an answer, in words; nothing where it is as declared."""
    if writing.past_commands:
        return f"{caller.name}: past commands it wrote to {sorted(writing.past_commands)}"
    if got not in wanted:
        return f"{caller.name}: {got}, not {sorted(wanted)}"
    if got in REFUSED and (writing.beyond_a_refusal or (got == 403 and not writing.refused)):
        return f"{caller.name}: {got}, and it wrote to {sorted(writing.tables)}"
    return ""


REFUSED = (400, 401, 403, 404, 405, 428)


def is_of_a_team(path: str) -> bool:
    return not path.startswith(declared.OF_NO_TEAM)


def sees(caller: Knocker, path: str) -> bool:
    """Whether what the address names is there for the caller."""
    return caller.is_known and ("<" not in path or not is_of_a_team(path) or caller.sees)


@pytest.mark.parametrize("path", READS)
def test_a_read(path: str, world: World, callers: list[Knocker]) -> None:
    where = address(path, world.ours) + ASKED.get(path, "")
    found = []
    for caller in callers:
        wanted = 401 if not caller.is_known else 200 if sees(caller, path) else 404
        for method in ("GET", "HEAD") if caller in one_of_each_kind(callers) else ("GET",):
            got, writing = knock(caller, method, where)
            found.append(wrong(caller, got, {wanted}, writing))
            assert not writing.tables
    assert "\n".join(filter(None, found)) == ""


@pytest.mark.parametrize(("path", "method", "scopes"), [each for each in WRITES if "<name>" not in each[0]])
def test_a_write(path: str, method: str, scopes: str, world: World, callers: list[Knocker]) -> None:
    write = declared.API[f"{method} {path}"]
    where, body = address(path, world.ours), write.body(world.ours)
    found = []
    for caller in callers:
        got, writing = knock(caller, method, where, body)
        found.append(wrong(caller, got, outcome(caller, path, scopes.split("|"), write), writing))
    assert "\n".join(filter(None, found)) == ""


def outcome(caller: Knocker, path: str, scopes: list[str], write: Write) -> set[int]:
    """What the caller is to be answered."""
    if not caller.is_known:
        return {401}
    if caller.scopes.isdisjoint(scopes):
        return {403}
    if path.startswith(declared.OWN):
        mine = caller.place == "ours" and caller.role in write.may
        return set(write.ok) if mine else {404}
    if not sees(caller, path) or (write.stranger != 404 and not caller.sees):
        return {write.stranger}
    if path.endswith(("comments/", "approval/", "approval/end/")) and not is_of_a_team(path):
        return set(write.ok) if caller.role in write.may else {403}
    of_a_team = path in declared.OF_THE_BODY or (is_of_a_team(path) and path != "teams/")
    may = caller.holds(write.may, of_a_team=of_a_team) or caller.is_named(write.named)
    return set(write.ok) if may and not caller.scopes.isdisjoint(write.scopes or scopes) else {403}


@pytest.mark.parametrize("records", STATEFUL)
def test_a_transition(records: str, world: World, callers: list[Knocker]) -> None:
    """Each that leaves the record's state is allowed to those whom the domain names, and to nobody else."""
    record = getattr(world.ours, STATEFUL[records])
    scopes = {"write", "deploy"} if records == "deployment-plans" else {"write"}
    found = []
    for arrow in fsm.leaving(record):
        key = gates.key(type(record), arrow.name)
        may = WHO.get(f"{key} from {arrow.source}") or WHO[key]
        where = address(f"{records}/<number>/transitions/<name>/", world.ours, transition=arrow.name)
        body = {name: "successful" if name == "outcome" else "Because." for name in arrow.required}
        for caller in callers:
            got, writing = knock(caller, "POST", where, body)
            wanted = {401} if not caller.is_known else {403} if caller.scopes.isdisjoint(scopes) else {404}
            if caller.sees and wanted == {404}:
                needs = getattr(arrow.allow, "scope", "write")
                may_fire = (caller.holds(may, of_a_team=True) or caller.is_named(named(may))) and needs in caller.scopes
                wanted = {200, 409} if may_fire else {403}
            found.append(wrong(caller, got, wanted, writing) and f"{arrow.name}: {wrong(caller, got, wanted, writing)}")
    assert "\n".join(filter(None, found)) == ""


def named(who: set[str]) -> set[str]:
    """The roles of those of ours whom the change names: who asked for it, and who carries it out."""
    people = {"requester": "contributor", "implementer": "deployer"}
    return {role for name, role in people.items() if name in who}


def catalogue(record: StatefulModel) -> tuple[fsm.Transition, ...]:
    return fsm.catalogue(type(record))


@pytest.mark.parametrize("records", STATEFUL)
def test_a_transition_that_does_not_leave_the_state(records: str, world: World, callers: list[Knocker]) -> None:
    record = getattr(world.ours, STATEFUL[records])
    leaving = {arrow.name for arrow in fsm.leaving(record)} | {record.entered_by}
    name = next(arrow.name for arrow in catalogue(record) if arrow.name not in leaving)
    where = address(f"{records}/<number>/transitions/<name>/", world.ours, transition=name)
    for caller in callers:
        got, writing = knock(caller, "POST", where, {})
        wanted = {404} if caller.is_known and not caller.sees else {401, 403, 409}
        assert wrong(caller, got, wanted, writing) == ""


@pytest.mark.parametrize("path", [path for path in API if not path.startswith(PERSONAL)])
def test_a_method_that_is_not_declared(path: str, world: World, callers: list[Knocker]) -> None:
    """It is 405 to whoever is in, whatever they may see; OPTIONS says nothing about the record."""
    declared_here = {method.split(" ")[0] for method in API[path].split(", ")}
    where = address(path, world.ours)
    found = []
    for method in set(METHODS) - declared_here:
        for caller in one_of_each_kind(callers):
            got, writing = knock(caller, method, where, {})
            found.append(wrong(caller, got, {405, 403} if caller.is_known else {401}, writing))
    assert "\n".join(filter(None, found)) == ""


def test_every_write_is_declared() -> None:
    walked = {f"{method} {path}" for path, method, _scopes in WRITES if "<name>" not in path}
    assert set(declared.API) == walked


def test_a_release_of_ours_names_none_of_theirs(world: World) -> None:
    caller = Caller(world.insider)
    waits = Release.objects.get(pk=world.ours.release.pk)
    assert list(waits.depends_on.all()) == [world.theirs.shipped]
    where = f"/api/v1/releases/{waits.number}/"
    assert caller.get(where).json()["depends_on"] == []
    with written():
        caller.patch(where, {"depends_on": []}, headers={"If-Match": "*"})
        assert list(waits.depends_on.all()) == [world.theirs.shipped]
