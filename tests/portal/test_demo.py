"""The demo world: everything stands somewhere in it, and its first minute goes as the README says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from approvals.commands import vote
from approvals.models import ChangeRequest, Meeting
from approvals.queries import model_approval
from deployments.commands import call_webhooks, finish_plans, finish_task, start_due_plans
from deployments.models import DeploymentPlan, Incident, WebhookCall, Window
from deployments.queries import checklist, planned_outages, what_is_where, window_verdict
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment, Product
from releasemgmt.notifications.models import Channel, Delivery
from releasemgmt.portal import demo
from releasemgmt.portal.demo.stage import PEOPLE
from releasemgmt.releases.models import Build, Commit, KnownDefect, Release, TestRun
from releasemgmt.workflow import queries
from releasemgmt.workflow.models import Event, Pending
from tests.portal.demo_world import git, make_demo, states, waiting_rounds, with_commits

pytestmark = [pytest.mark.embedded, pytest.mark.django_db]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_commits(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def said(repository: Path, django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """What is said while the demo world is made; it is made once, each test rolls back what it did."""
    with django_db_blocker.unblock(), transaction.atomic():
        with override_settings(EMBEDDED=True, BASE_DIR=repository):
            out = make_demo()
        yield out
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def made(said: str, repository: Path, settings: Any) -> None:
    settings.EMBEDDED = True
    settings.BASE_DIR = repository


def test_every_state_is_there_and_the_audit_trail_is_whole() -> None:
    assert states(Release) == set(Release.State.values)
    assert states(ChangeRequest) == set(ChangeRequest.State.values)
    assert states(KnownDefect) == set(KnownDefect.State.values)
    assert [incident.state for incident in Incident.objects.order_by("pk")] == ["restored", "restored", "open"]
    assert list(queries.breaks()) == []
    assert not Release.objects.filter(event_seq=0).exists()


def test_the_first_minute_goes_as_the_readme_says(said: str) -> None:
    [round] = waiting_rounds()
    assert f"Sign in as Carla Conti and vote on {round.subject}" in said
    now = timezone.now()
    assert (start_due_plans(now), Release.objects.get(rounds=round).state) == (0, "accepted")
    vote(round, decision="approve", digest=round.digest, actor=User.objects.get(username="carla"), now=now)
    assert start_due_plans(now) == 1
    plan = DeploymentPlan.objects.get(state="in_progress")
    for task in plan.tasks.filter(is_backout=False):
        finish_task(task, actor=User.objects.get(username="dario"), now=now)
    assert finish_plans(now) == 1
    release = Release.objects.get(pk=round.subject.pk)
    assert (release.state, release.changes.get().state) == ("deployed", "review")
    assert "releases.release.deploy" in queries.timeline(release).values_list("kind", flat=True)
    assert list(queries.breaks()) == []


def test_a_pipeline_ships_the_handbook_under_one_approval() -> None:
    handbook = Product.objects.get(key="handbook")
    assert model_approval(handbook.default_model, now=timezone.now()).holds
    assert set(handbook.documents.values_list("kind", flat=True)) == set(handbook.default_model.inherited)


def test_builds_are_the_archives_of_the_commits_and_reports_are_real(repository: Path) -> None:
    newest = Build.objects.latest("pk")
    archive = git(repository, "archive", "--format=tar", f"--prefix={newest.artifact_uri[8:-4]}/", "HEAD")
    assert newest.digest == f"sha256:{sha256(archive).hexdigest()}"
    assert newest.commit_sha == git(repository, "rev-parse", "HEAD").decode().strip()
    assert Commit.objects.count() == 8
    assert Release.objects.get(state="deployed").commits.exists()
    report = (ROOT / "releasemgmt" / "portal" / "demo" / "junit.xml").read_bytes()
    assert set(TestRun.objects.values_list("report_digest", flat=True)) == {f"sha256:{sha256(report).hexdigest()}"}
    assert not TestRun.objects.filter(passed=0).exists()


def test_history_is_in_the_inbox_sends_no_mail_and_nothing_is_left_to_say() -> None:
    assert Delivery.objects.filter(recipient__username="carla", channel=Channel.INBOX).exists()
    assert not Delivery.objects.filter(channel=Channel.EMAIL).exists()
    assert not Pending.objects.exclude(event__kind="accounts.user.edit").exists()
    before = Event.objects.count()
    start_due_plans(timezone.now())
    assert Event.objects.count() == before


def test_it_is_made_once() -> None:
    before = Event.objects.count()
    with pytest.raises(CommandError, match="in use already"):
        make_demo()
    assert Event.objects.count() == before


def test_it_has_a_window_that_is_open_all_day_a_freeze_ahead_and_a_drift() -> None:
    product, production = Product.objects.get(key="releasemgmt"), Environment.objects.get(key="production")
    now = timezone.now()
    assert all(window_verdict(production, product, at=now + n * timedelta(hours=3)).is_open for n in range(16))
    assert not window_verdict(production, product, at=now + timedelta(days=3)).is_open
    assert [window.kind for window in Window.objects.order_by("pk")] == ["allow", "deny"]
    places = {place.environment.key: place for place in what_is_where() if place.product == product}
    assert (places["test"].differs, places["production"].differs) == (True, False)
    assert places["production"].seen


def test_a_plan_is_half_prepared_one_is_on_its_way_back_and_an_outage_is_announced() -> None:
    prepared = DeploymentPlan.objects.get(environment__key="staging")
    assert [(check.name, check.state) for check in checklist(prepared)] == [
        ("Functionality verified", "verified"),
        ("Artifacts verified", "verified"),
        ("Tell the testers", "missing"),
    ]
    assert prepared.tasks.filter(endpoint__key="deployer").exists()
    assert not WebhookCall.objects.exists() and call_webhooks(now=timezone.now()) == 0
    back = DeploymentPlan.objects.get(state="backing_out")
    assert (
        back.environment.key == "development" and back.tasks.filter(is_backout=True, state="in_progress").count() == 1
    )
    now = timezone.now()
    (change,) = planned_outages(Product.objects.all(), begin=now, end=now + timedelta(days=10))
    assert change.outage_minutes == 30


def test_the_cab_meets_about_what_waits_and_about_a_change() -> None:
    meeting = Meeting.objects.get(extra=True)
    [waiting] = waiting_rounds()
    about = [item.round.record for item in meeting.items.select_related("round__release", "round__change")]
    assert waiting.subject in about
    assert "Move the archive to cheaper disks" in [getattr(subject, "title", "") for subject in about]
    assert Meeting.objects.planned().filter(extra=False).count() > 6


def test_its_people_can_be_told_from_others() -> None:
    assert demo.is_demo()
    assert [person.get_full_name() for person in demo.people()] == [person.name for person in PEOPLE]
    assert not any(person.has_usable_password() for person in demo.people())
