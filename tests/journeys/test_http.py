"""The main job over HTTP, on real input: from a repository's commits to a release that is deployed."""

from __future__ import annotations

import csv
import gzip
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from releasemgmt.accounts.commands import create_token
from releasemgmt.accounts.models import Scope
from releasemgmt.catalog.models import Product
from releasemgmt.releases.commands.importing import PastRelease, import_past
from releasemgmt.workflow import queries
from tests.factories import ProductFactory, TeamFactory, someone
from tests.journeys.client import Client

SHARED = Path(__file__).resolve().parents[3] / "shared"
COMMITS = SHARED / "data" / "healthchecks.commits.csv.gz"
RELEASES = SHARED / "data" / "healthchecks.releases.ndjson.gz"
DIGEST = "sha256:" + "ab" * 32
REPORTS = SHARED / "payloads" / "test-reports" / "junit"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not COMMITS.exists(), reason="the shared data set is not here"),
]


def commits() -> list[dict[str, Any]]:
    """The commits of the data set as `commits/bulk/` takes them."""
    with gzip.open(COMMITS, "rt") as file:
        rows = list(csv.DictReader(file))
    shas = [row["sha"] for row in rows]
    return [
        {
            "sha": row["sha"],
            "parents": [shas[int(parent)] for parent in row["parents"].split()],
            "authored_at": row["author_date"],
            "committed_at": row["commit_date"],
            "author": f"{row['author']}@example.org",
            "subject": f"Commit {row['i']}",
            "is_bot": row["is_bot"] == "1",
        }
        for row in rows
    ]


def past_releases() -> list[PastRelease]:
    with gzip.open(RELEASES, "rt") as file:
        tags = [json.loads(line) for line in file]
    production = [tag for tag in tags if tag["kind"] == "production"]
    return [
        {"version": tag["tag"], "released_at": datetime.fromisoformat(tag["released_at"]), "sha": tag["sha"]}
        for tag in production
    ]


@pytest.fixture
def product() -> Product:
    product: Product = ProductFactory(key="healthchecks", team=TeamFactory(key="monitoring"), components=["web"])
    return product


@pytest.fixture
def caller(product: Product, live_server: Any) -> Callable[[str, str], Client]:
    """Makes a person (or a service) with a role in the product's team, and a client that shows their token."""

    def make(role: str, name: str) -> Client:
        user = someone(role, team=product.team, username=name)
        now = timezone.now()
        _token, secret = create_token(
            user,
            name="journey",
            scopes=Scope.values,
            expires_at=now + timedelta(hours=1),
            actor=user if user.kind == "human" else someone("administrator"),
            now=now,
        )
        return Client(live_server.url, secret)

    return make


def waited_for(condition: Callable[[], Any], *, seconds: float = 30) -> Any:
    """Poll until the condition holds; the worker acts in its own time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


@pytest.fixture
def history(product: Product, caller: Any) -> Iterator[Client]:
    """The pipeline has sent every commit, and past releases are imported."""
    ci = caller("service", "ci")
    rows = commits()
    for begin in range(0, len(rows), 2_000):
        ci.post("commits/bulk/", {"product": "healthchecks", "commits": rows[begin : begin + 2_000]})
    import_past(product, releases=past_releases(), actor=someone("administrator"), now=timezone.now())
    yield ci


def build(ci: Client, *, record: str) -> None:
    """The pipeline registers what it built; the same artifact with another digest is refused."""
    body = {"product": "healthchecks", "component": "web", "commit": commits()[-1]["sha"], "digest": DIGEST}
    body |= {"artifact_uri": "oci://example.org/web:v4.4", "built_at": "2026-08-21T20:00:00+03:00"}
    ci.post("builds/", body, expect=201)
    ci.post("builds/", body | {"digest": "sha256:" + "cd" * 32}, expect=409)
    ci.put(f"{record}/builds/", {"builds": [DIGEST]}, parent=f"{record}/")
    ci.transition(record, "build")


def report_tests(ci: Client, *, record: str) -> None:
    """Real JUnit reports open the gate, suite by suite."""
    refused = ci.transition(record, "pass_integration", expect=409)
    assert [blocker["code"] for blocker in refused["blockers"]] == ["suite_not_passed"] * 3
    times = {"started_at": "2026-08-21T20:05:00Z", "finished_at": "2026-08-21T20:15:00Z"}
    for suite, environment, report in (
        ("smoke", "test", "jest/jest-junit.xml"),
        ("integration", "test", "mocha/latex-utensils.xml"),
        ("regression", "test", "testsuite-in-testsuite.xml"),
        ("acceptance", "staging", "jest/jest-junit.xml"),
    ):
        fields = {"builds": DIGEST, "environment": environment, "suite": suite, **times}
        ci.upload("test-runs/", fields, report=(REPORTS / report).read_bytes())
    ci.transition(record, "pass_integration")


def sign_off(manager: Client, voters: list[Client], *, record: str) -> None:
    """Documents, a round, a vote on what is no longer there, then enough votes on what is."""
    for kind in ("deployment_procedure", "workflow_monitoring", "impact", "release_notes"):
        manager.put(f"{record}/documents/{kind}/", {"body": f"# {kind}\n\nAs usual."}, parent=f"{record}/")
    blocked = manager.transition(record, "accept", expect=409)
    assert "no_sign_off" in [blocker["code"] for blocker in blocked["blockers"]]
    old = manager.post(f"{record}/approval/", expect=201)
    manager.put(f"{record}/documents/impact/", {"body": "Two minutes of downtime."}, parent=f"{record}/")
    vote = {"decision": "approve", "comment": "Read it."}
    stale = voters[0].post(f"approvals/{old['id']}/votes/", vote | {"digest": old["digest"]}, expect=412)
    assert stale["code"] == "stale"
    fresh = manager.post(f"{record}/approval/", expect=201)
    voters[0].post(f"approvals/{fresh['id']}/votes/", vote, expect=400)
    for voter in voters:
        assert manager.get(f"{record}/approval/")["state"] == "open"
        voter.post(f"approvals/{fresh['id']}/votes/", vote | {"digest": fresh["digest"]}, expect=201)
    assert manager.get(f"{record}/approval/")["state"] == "approved"
    assert manager.transition(record, "accept")["state"] == "accepted"


def deploy(deployer: Client, *, release: str) -> None:
    """A plan falls due, the worker starts it, its tasks are ticked, the worker ends it."""
    start = timezone.now() + timedelta(seconds=1)
    body = {"release": release, "environment": "production", "planned_start": start.isoformat(), "autostart": True}
    swap = [{"title": "Back the database up", "purpose": "backup"}, {"title": "Swap the image", "depends_on": [0]}]
    body |= {"tasks": [*swap, {"title": "Look at the graphs", "depends_on": [1]}]}
    body |= {"backout_tasks": [{"title": "Swap it back"}, {"title": "Load the backup", "purpose": "restore"}]}
    body |= {"latest_start": (start + timedelta(hours=1)).isoformat()}
    plan = deployer.post("deployment-plans/", body, expect=201)["number"]
    deployer.transition(f"deployment-plans/{plan}", "prepare")
    deployer.transition(f"deployment-plans/{plan}", "schedule")
    running = waited_for(lambda: _in(deployer, plan, "in_progress"))
    for task in running["tasks"]:
        deployer.post(f"deployment-plans/{plan}/tasks/{task['id']}/transitions/done/", {"evidence": "seen"})
    waited_for(lambda: _in(deployer, plan, "succeeded"))


def test_a_release_walks_from_its_commits_to_production(history: Client, caller: Any, background: Any) -> None:
    ci = history
    manager, deployer = caller("release_manager", "manager"), caller("deployer", "deployer")
    voters = [caller("cab_member", "cab-1"), caller("cab_member", "cab-2"), caller("cab_chair", "chair")]
    body = {"product": "healthchecks", "version": "v4.4", "title": "Summer", "components": ["web"]}
    body |= {"database_change": "irreversible"}
    release = ci.post("releases/", body, expect=201, key="release-v4.4")["number"]
    assert ci.post("releases/", body)["number"] == release
    record = f"releases/{release}"
    build(ci, record=record)
    report_tests(ci, record=record)
    sign_off(manager, voters, record=record)
    deploy(deployer, release=release)
    assert manager.get("releases/healthchecks@v4.4/")["state"] == "deployed"
    assert DIGEST in json.dumps(manager.get("environments/matrix/"))
    kinds = [event["kind"] for event in manager.get(f"{record}/events/?page_size=200")["results"]]
    assert "releases.release.deploy" in kinds
    assert list(queries.breaks()) == []


def _in(client: Client, plan: str, state: str) -> Any:
    record = client.get(f"deployment-plans/{plan}/")
    return record if record["state"] == state else None
