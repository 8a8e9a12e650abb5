"""The making of the demo world: from whatever clone there is, and never where somebody lives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from releasemgmt.accounts.models import User
from releasemgmt.portal import demo
from releasemgmt.releases.models import Commit, Release
from tests.factories import ProductFactory, someone
from tests.portal.demo_world import git, make_demo, states, waiting_rounds, with_commits

pytestmark = [pytest.mark.embedded, pytest.mark.django_db]


@pytest.fixture
def clone(tmp_path: Path, settings: Any) -> Path:
    """A repository in the place of this project's own."""
    settings.EMBEDDED = True
    settings.BASE_DIR = tmp_path
    return with_commits(tmp_path)


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
