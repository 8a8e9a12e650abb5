"""A pipeline with relctl against a service that runs: from its commits to production and back."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from deployments.models import Deployment
from releasemgmt.accounts.commands import create_token
from releasemgmt.releases.models import Build, Commit, Release, TestRun
from releasemgmt.workflow import queries
from releasemgmt.workflow.commands import fire
from tests.deployments.conftest import shop as shop
from tests.deployments.world import Shop
from tests.factories import someone
from tests.relctl import FILE, Pipeline, loaded

pytestmark = pytest.mark.django_db(transaction=True)

API, WEB, OLD, STRANGE = (f"sha256:{sha256(name.encode()).hexdigest()}" for name in ("api", "web", "old", "strange"))
REPORT = b'<testsuite><testcase name="a"/><testcase name="b"><skipped/></testcase></testsuite>'


@pytest.fixture
def pipeline(
    shop: Shop, live_server: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Pipeline:
    """A job of the pipeline, with the token of its service account."""
    now, administrator = timezone.now(), someone("administrator")
    until = now + timedelta(hours=1)
    scopes = ["write", "deploy"]
    _token, secret = create_token(shop.ci, name="ci", scopes=scopes, expires_at=until, actor=administrator, now=now)
    monkeypatch.setenv("RELCTL_TOKEN", secret)
    monkeypatch.setenv("RELCTL_URL", live_server.url)
    return Pipeline(capsys, loaded())


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """A clone with two commits, the second by a bot."""
    for author in ("dev@example.org", "9+helper[bot]@example.org"):
        identity = ["-c", "user.name=A", "-c", f"user.email={author}"]
        git = ["git", "-C", str(tmp_path), *identity]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "SHOP-1 größer"], check=True)
    return str(tmp_path)


def built(pipeline: Pipeline, repository: str) -> str:
    """Commits, builds, a release of them: what the build stage tells; answers the release's number."""
    pipeline.does("commits", "shop", "--repo", repository)
    for component, digest in (("api", API), ("web", WEB)):
        made = ["build", "shop", component, "--digest", digest, "--uri", f"oci://{component}", "--repo", repository]
        pipeline.does(*made)
    return pipeline.does("release", "shop", "4.2.0", "--digest", API, "--digest", WEB)


def accept(shop: Shop, release: Release) -> None:
    fire(release, "accept", actor=shop.manager, now=timezone.now())


def test_from_the_commits_to_integration_tested_and_each_call_twice(
    shop: Shop, pipeline: Pipeline, repository: str, tmp_path: Path
) -> None:
    number = built(pipeline, repository)
    assert pipeline("release", "shop", "4.2.0", "--title", "Else").out == number
    assert built(pipeline, repository) == number
    assert (Commit.objects.count(), Build.objects.count(), Release.objects.count()) == (2, 2, 1)
    first, second = Commit.objects.order_by("committed_at", "is_bot")
    assert (first.author, first.subject, first.work_items) == ("dev@example.org", "SHOP-1 größer", ["SHOP-1"])
    assert (second.parents, second.is_bot) == ([first.sha], True)
    (tmp_path / "report.xml").write_bytes(REPORT)
    assert "It is built." in pipeline("move", number, "build").said
    assert "1 passed" in pipeline("tests", number, "smoke", "test", str(tmp_path / "report.xml")).said
    run = TestRun.objects.get()
    assert ({build.digest for build in run.builds.all()}, run.skipped, run.suite) == ({API, WEB}, 1, "smoke")
    assert pipeline.does("move", "shop@4.2.0", "pass_integration") == pipeline.does("move", number, "pass_integration")
    refused = pipeline("move", number, "accept")
    assert (refused.status, refused.out) == (1, "")
    assert "release manager" in refused.said
    assert pipeline("build", "shop", "moon", "--failed", "--uri", "x", "--repo", repository).status == 1


def test_a_shallow_clone_is_not_sent(pipeline: Pipeline, repository: str, tmp_path: Path) -> None:
    clone = ["git", "clone", "-q", "--depth=1", f"file://{repository}", str(tmp_path / "shallow")]
    subprocess.run(clone, check=True)
    ran = pipeline("commits", "shop", "--repo", str(tmp_path / "shallow"))
    assert (ran.status, Commit.objects.count()) == (2, 0)


def test_the_gate_says_go_or_why_not_and_waits(shop: Shop, pipeline: Pipeline) -> None:
    release = shop.release("1.0", to="integration_tested")
    closed = pipeline("gate", release.number, "production")
    assert (closed.status, closed.out) == (1, "")
    assert "accept it first. (up to: release manager)" in closed.said
    late = pipeline("start", release.number, "production", "--wait", "0.3", "--every", "0.1")
    assert (late.status, late.out, late.said.count("No go")) == (3, "", 1)
    assert not Deployment.objects.exists()
    assert pipeline("gate", "REL-99999", "production").status == 1
    command = [sys.executable, str(FILE), "start", release.number, "production", "--wait", "60", "--every", "0.1"]
    waiting = subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert waiting.stderr and "No go" in waiting.stderr.readline()
    accept(shop, release)
    out, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, out.strip()) == (0, str(Deployment.objects.get(status="running").pk))
    busy = pipeline("start", release.number, "production")
    assert (busy.status, "is being deployed" in busy.said) == (1, True)


def test_a_deployment_is_begun_once_ended_once_and_rolled_back(shop: Shop, pipeline: Pipeline) -> None:
    old, new = shop.release("1.0"), shop.release("2.0")
    first = pipeline.does("report", "production", "succeeded", "--release", old.number, "--external-id", "run-1")
    begin = ["start", new.number, "production", "--external-id", "run-2"]
    second = pipeline.does(*begin)
    assert pipeline.does(*begin) == second != first
    pipeline.does("end", second, "succeed")
    pipeline.does("end", second, "succeed")
    late = pipeline("end", second, "fail", "--reason", "Too slow.")
    assert (late.status, "succeeded already" in late.said) == (1, True)
    back = pipeline.does("start", old.number, "production", "--kind", "rollback", "--remediates", second)
    pipeline.does("end", back, "succeed")
    done = Deployment.objects.get(pk=back)
    assert (done.kind, done.remediates_id, done.release) == ("rollback", int(second), old)
    assert Release.objects.get(pk=new.pk).state == "rolled_back"
    assert list(queries.breaks()) == []


def test_what_nobody_registered_is_refused_or_put_on_record(shop: Shop, pipeline: Pipeline) -> None:
    release = shop.release("1.0")
    refused = pipeline("start", release.number, "production", "--digest", STRANGE)
    assert (refused.status, STRANGE in refused.said) == (1, True)
    ran = pipeline("report", "production", "succeeded", "--product", "shop", "--digest", STRANGE)
    deployment = Deployment.objects.get()
    assert (ran.status, ran.out) == (0, str(deployment.pk))
    assert f"on record as {deployment.change}" in ran.said


def test_a_token_that_is_not_known_is_1(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELCTL_TOKEN", "unknown-token")
    ran = pipeline("gate", "REL-1", "production")
    assert (ran.status, "unknown-token" in ran.said) == (1, False)
