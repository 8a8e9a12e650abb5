"""`.ci/setup` says plainly what a machine lacks, and the two lock files fit together."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).parent.parent
TOO_OLD = '[ "$1" = --version ] && echo "Python 3.9.2" && exit 0; exit 1'
WITHOUT_VENV = 'case "$2" in *ensurepip*) exit 1;; esac; exec python3 "$@"'
WITHOUT_PACKAGES = 'case "$2" in pip) echo "no route to host" >&2; exit 1;; esac; exec python3 "$@"'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `.ci/setup` reads, in a folder without an environment."""
    for name in (".ci/setup", "requirements.lock", "requirements-dev.lock"):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, target)
    return tmp_path


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def set_up(clone: Path, *, python: str = "python3") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [".ci/setup", "requirements.lock"],
        cwd=clone,
        env=os.environ | {"PYTHON": python},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("python", "said"),
    [(TOO_OLD, "Python 3.11 or newer is missing"), (WITHOUT_VENV, "apt install python3-venv")],
    ids=["too old", "without venv"],
)
def test_an_unfit_python_is_named_before_anything_is_made(clone: Path, python: str, said: str) -> None:
    done = set_up(clone, python=str(program(clone / "python", python)))
    assert done.returncode == 1
    assert said in done.stderr
    assert not (clone / ".venv").exists()


def test_without_a_package_index_it_says_so_and_tries_again_the_next_time(clone: Path) -> None:
    program(clone / ".venv/bin/python", WITHOUT_PACKAGES)
    for _ in range(2):
        done = set_up(clone)
        assert done.returncode == 1
        assert "no route to host" in done.stderr
        assert "The packages of requirements.lock could not be installed" in done.stderr


def test_an_environment_of_the_same_lock_is_left_alone(clone: Path) -> None:
    program(clone / ".venv/bin/python", WITHOUT_PACKAGES)
    shutil.copy(clone / "requirements.lock", clone / ".venv")
    done = set_up(clone)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_development_lock_contains_the_run_time_one() -> None:
    run_time, development = (
        set(re.findall(r"^\S+==\S+", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-dev.lock")
    )
    assert run_time < development
    assert not any(pin.startswith("django-fsm==") for pin in development), "it overwrites django-fsm-2"
