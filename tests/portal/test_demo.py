"""The demo world: everything stands somewhere in it, and its first minute goes as the README says."""

from __future__ import annotations

import subprocess
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from approvals.commands import vote
from approvals.models import ApprovalRound, ChangeRequest, Meeting
from approvals.queries import model_approval, standing
from deployments.commands import finish_plans, finish_task, start_due_plans
from deployments.models import DeploymentPlan
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.notifications.models import Channel, Delivery
from releasemgmt.portal import demo
from releasemgmt.portal.demo.stage import PEOPLE
from releasemgmt.releases.models import Build, Commit, KnownDefect, Release, TestRun
from releasemgmt.workflow import queries
from releasemgmt.workflow.models import Event, Pending
from tests.factories import ProductFactory, someone

pytestmark = [pytest.mark.embedded, pytest.mark.django_db]

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = ["-c", "user.name=A", "-c", "user.email=a@example.org"]


@pytest.fixture
def clone(tmp_path: Path, settings: Any) -> Path:
    """A repository with eight commits, in the place of this project's own."""
    settings.EMBEDDED = True
    settings.BASE_DIR = tmp_path
    git(tmp_path, "init", "-q")
    for n in range(8):
        (tmp_path / "file").write_text(str(n))
        git(tmp_path, "add", "file")
        git(tmp_path, *IDENTITY, "commit", "-q", "-m", f"Commit {n}")
    return tmp_path


def git(where: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=where, check=True, capture_output=True).stdout


def make_demo() -> str:
    out = StringIO()
    call_command("demo", stdout=out, stderr=out)
    return out.getvalue()


def states(model: Any) -> set[str]:
    return set(model.objects.values_list("state", flat=True))


def waiting_rounds() -> list[ApprovalRound]:
    """The open rounds of releases that lack exactly one approval."""
    rounds = ApprovalRound.objects.open().filter(change=None).with_subject()
    return [each for each in rounds if sum(standing(each, subject=each.subject).missing.values()) == 1]


def test_every_state_is_there_and_the_audit_trail_is_whole(clone: Path) -> None:
    make_demo()
    assert states(Release) == set(Release.State.values)
    assert states(ChangeRequest) == set(ChangeRequest.State.values)
    assert states(KnownDefect) == set(KnownDefect.State.values)
    assert list(queries.breaks()) == []
    assert not Release.objects.filter(event_seq=0).exists()


def test_the_first_minute_goes_as_the_readme_says(clone: Path) -> None:
    out = make_demo()
    [round] = waiting_rounds()
    assert f"Sign in as Carla Conti and vote on {round.subject}" in out
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


def test_a_pipeline_ships_the_handbook_under_one_approval(clone: Path) -> None:
    make_demo()
    handbook = Product.objects.get(key="handbook")
    assert model_approval(handbook.default_model, now=timezone.now()).holds
    assert set(handbook.documents.values_list("kind", flat=True)) == set(handbook.default_model.inherited)


def test_builds_are_the_archives_of_the_commits_and_reports_are_real(clone: Path) -> None:
    make_demo()
    newest = Build.objects.latest("pk")
    archive = git(clone, "archive", "--format=tar", f"--prefix={newest.artifact_uri[8:-4]}/", "HEAD")
    assert newest.digest == f"sha256:{sha256(archive).hexdigest()}"
    assert newest.commit_sha == git(clone, "rev-parse", "HEAD").decode().strip()
    assert Commit.objects.count() == 8
    assert Release.objects.get(state="deployed").commits.exists()
    report = (ROOT / "releasemgmt" / "portal" / "demo" / "junit.xml").read_bytes()
    assert set(TestRun.objects.values_list("report_digest", flat=True)) == {f"sha256:{sha256(report).hexdigest()}"}
    assert not TestRun.objects.filter(passed=0).exists()


def test_its_people_can_be_told_from_others(clone: Path) -> None:
    assert not demo.is_demo()
    make_demo()
    assert demo.is_demo()
    assert [person.get_full_name() for person in demo.people()] == [person.name for person in PEOPLE]
    assert not any(person.has_usable_password() for person in demo.people())


def test_history_is_in_the_inbox_sends_no_mail_and_nothing_is_left_to_say(clone: Path) -> None:
    make_demo()
    assert Delivery.objects.filter(recipient__username="carla", channel=Channel.INBOX).exists()
    assert not Delivery.objects.filter(channel=Channel.EMAIL).exists()
    assert not Pending.objects.exclude(event__kind="accounts.user.edit").exists()
    before = Event.objects.count()
    start_due_plans(timezone.now())
    assert Event.objects.count() == before


def test_past_versions_of_the_repository_come_before_its_own(clone: Path) -> None:
    git(clone, "tag", "v2.3.1", "HEAD~6")
    make_demo()
    past = Release.objects.get(imported=True)
    assert (past.version, past.commits.count()) == ("2.3.1", 2)
    assert Release.objects.filter(imported=False).order_by("pk")[0].version == "2.4.0"


def test_a_copy_without_history_says_so_and_goes_on(tmp_path: Path, settings: Any) -> None:
    settings.EMBEDDED = True
    settings.BASE_DIR = tmp_path
    assert "no git history" in make_demo()
    assert not Commit.objects.exists()
    assert states(Release) == set(Release.State.values)
    assert len(waiting_rounds()) == 1


def test_a_clone_of_one_commit_is_enough(clone: Path, tmp_path_factory: pytest.TempPathFactory, settings: Any) -> None:
    shallow = tmp_path_factory.mktemp("shallow")
    git(shallow, "clone", "-q", "--depth=1", f"file://{clone}", ".")
    settings.BASE_DIR = shallow
    assert "This clone is shallow" in make_demo()
    assert Commit.objects.count() == 1
    assert len(waiting_rounds()) == 1


def test_it_is_made_once(clone: Path) -> None:
    make_demo()
    before = Event.objects.count()
    with pytest.raises(CommandError, match="in use already"):
        make_demo()
    assert Event.objects.count() == before


@pytest.mark.parametrize("there", [lambda: someone(), lambda: ProductFactory()])
def test_a_database_in_which_somebody_lives_is_refused(clone: Path, there: Any) -> None:
    there()
    with pytest.raises(CommandError, match="in use already"):
        make_demo()
    assert not Release.objects.exists()


def test_a_production_database_is_refused(clone: Path, settings: Any) -> None:
    settings.EMBEDDED = False
    with pytest.raises(CommandError, match="DATABASE_URL"):
        make_demo()
    assert not User.objects.filter(kind=User.Kind.HUMAN).exists()
    assert not demo.is_demo()


def test_the_cab_meets_about_what_waits_and_about_a_change(clone: Path) -> None:
    make_demo()
    meeting = Meeting.objects.get(extra=True)
    [waiting] = waiting_rounds()
    about = [item.round.record for item in meeting.items.select_related("round__release", "round__change")]
    assert waiting.subject in about
    assert "Move the archive to cheaper disks" in [getattr(subject, "title", "") for subject in about]
    assert Meeting.objects.planned().filter(extra=False).count() > 6
