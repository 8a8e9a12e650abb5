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
from releasemgmt.releases.commands.importing import import_past

from releasemgmt.accounts.commands import create_token
from releasemgmt.accounts.models import Scope, User
from releasemgmt.catalog.models import Product
from releasemgmt.workflow import queries
from tests.factories import ProductFactory, TeamFactory, someone
from tests.journeys.client import Client

SHARED = Path(__file__).resolve().parents[3] / "shared"
COMMITS = SHARED / "data" / "healthchecks.commits.csv.gz"
RELEASES = SHARED / "data" / "healthchecks.releases.ndjson.gz"
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


def past_releases() -> list[dict[str, Any]]:
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
def caller(product: Product, live_server: Any) -> Callable[..., tuple[User, Client]]:
    """Makes a person (or a service) with a role in the product's team, and a client that shows their token."""

    def make(role: str, name: str) -> tuple[User, Client]:
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
        return user, Client(live_server.url, secret)

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
    _user, ci = caller("service", "ci")
    rows = commits()
    for begin in range(0, len(rows), 2_000):
        ci.post("commits/bulk/", {"product": "healthchecks", "commits": rows[begin : begin + 2_000]})
    import_past(product, releases=past_releases(), actor=someone("administrator"), now=timezone.now())
    yield ci


def test_a_release_walks_from_its_commits_to_production(history: Client, caller: Any, background: Any) -> None:
    ci = history
    _manager, manager = caller("release_manager", "manager")
    _other, other = caller("release_manager", "other-manager")
    _deployer, deployer = caller("deployer", "deployer")
    head, digest = commits()[-1]["sha"], "sha256:" + "ab" * 32

    body = {"product": "healthchecks", "version": "v4.4", "title": "Summer", "components": ["web"]}
    release = ci.post("releases/", body, expect=201, key="release-v4.4")["number"]
    assert ci.post("releases/", body)["number"] == release
    record = f"releases/{release}"
    build = {"product": "healthchecks", "component": "web", "commit": head, "digest": digest}
    build |= {"artifact_uri": "oci://example.org/web:v4.4", "built_at": "2026-08-21T20:00:00+03:00"}
    ci.post("builds/", build, expect=201)
    ci.post("builds/", build | {"digest": "sha256:" + "cd" * 32}, expect=409)
    ci.put(f"{record}/builds/", {"builds": [digest]}, parent=f"{record}/")
    ci.transition(record, "build")

    refused = ci.transition(record, "pass_integration", expect=409)
    assert {blocker["code"] for blocker in refused["blockers"]}
    run = {"builds": digest, "environment": "test", "started_at": "2026-08-21T20:05:00Z"}
    run |= {"finished_at": "2026-08-21T20:15:00Z"}
    for suite, report in (
        ("smoke", "jest/jest-junit.xml"),
        ("integration", "mocha/latex-utensils.xml"),
        ("regression", "testsuite-in-testsuite.xml"),
    ):
        ci.upload("test-runs/", run | {"suite": suite}, report=(REPORTS / report).read_bytes())
    ci.transition(record, "pass_integration")
    accepted = run | {"suite": "acceptance", "environment": "staging"}
    ci.upload("test-runs/", accepted, report=(REPORTS / "jest/jest-junit.xml").read_bytes())

    for kind in ("deployment_procedure", "workflow_monitoring", "impact", "release_notes"):
        manager.put(f"{record}/documents/{kind}/", {"body": f"# {kind}\n\nAs usual."}, parent=f"{record}/")
    blocked = manager.transition(record, "accept", expect=409)
    assert [blocker["code"] for blocker in blocked["blockers"]] != []
    stale = manager.post(f"{record}/approval/", expect=201)
    manager.put(f"{record}/documents/impact/", {"body": "Two minutes of downtime."}, parent=f"{record}/")

    vote = {"decision": "approve", "comment": "Read it."}
    answer = other.post(f"approvals/{stale['id']}/votes/", vote | {"digest": stale["digest"]}, expect=412)
    assert answer["code"] == "stale"
    fresh = manager.post(f"{record}/approval/", expect=201)
    other.post(f"approvals/{fresh['id']}/votes/", vote, expect=400)
    other.post(f"approvals/{fresh['id']}/votes/", vote | {"digest": fresh["digest"]}, expect=201)
    assert other.get(f"{record}/approval/")["state"] == "approved"
    assert manager.transition(record, "accept")["state"] == "accepted"

    start = timezone.now() + timedelta(seconds=1)
    plan = deployer.post(
        "deployment-plans/",
        {
            "release": release,
            "environment": "production",
            "planned_start": start.isoformat(),
            "latest_start": (start + timedelta(hours=1)).isoformat(),
            "autostart": True,
            "tasks": [{"title": "Swap the image"}, {"title": "Look at the graphs", "depends_on": [0]}],
            "backout_tasks": [{"title": "Swap it back"}],
        },
        expect=201,
    )["number"]
    deployer.transition(f"deployment-plans/{plan}", "prepare")
    deployer.transition(f"deployment-plans/{plan}", "schedule")
    running = waited_for(lambda: _in(deployer, plan, "in_progress"))
    for task in [task for task in running["tasks"] if not task.get("is_backout")]:
        deployer.post(f"deployment-plans/{plan}/tasks/{task['id']}/transitions/done/", {"evidence": "seen"})
    waited_for(lambda: _in(deployer, plan, "succeeded"))
    assert manager.get(f"{record}/")["state"] == "deployed"

    matrix = json.dumps(manager.get("environments/matrix/"))
    assert digest in matrix
    kinds = [event["kind"] for event in manager.get(f"{record}/events/?page_size=200")["results"]]
    assert kinds[0].startswith("releases.release.") and "releases.release.deploy" in kinds
    assert list(queries.breaks()) == []


def _in(client: Client, plan: str, state: str) -> Any:
    record = client.get(f"deployment-plans/{plan}/")
    return record if record["state"] == state else None
