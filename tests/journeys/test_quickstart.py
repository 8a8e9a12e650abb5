"""The quickstart's commands, pasted into a shell against a running `serve`, as its reader does."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A reader's shell: nothing of the test run's settings."""
    own = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS"}
    kept = {name: value for name, value in os.environ.items() if name not in own}
    return {**kept, "RELEASEMGMT_VAR": str(tmp_path / "var")}


@pytest.fixture
def address(environment: dict[str, str]) -> Iterator[str]:
    """A service with its demo world."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "manage.py", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert any("http://127.0.0.1:" in line for line in process.stdout)
    yield f"http://127.0.0.1:{port}/api/v1"
    process.terminate()
    process.communicate(timeout=30)


def test_the_quickstart_works_when_pasted(address: str, environment: dict[str, str]) -> None:
    blocks = BLOCKS.findall((ROOT / "docs" / "quickstart.md").read_text())
    script = "\n".join(["set -e", *blocks])
    shell = {**environment, "API": address}
    ran = subprocess.run(["bash", "-c", script], cwd=ROOT, env=shell, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, f"{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    assert '"code":"stale"' in ran.stdout and '"code":"suite_not_passed"' in ran.stdout
    assert ran.stdout.splitlines()[-1].endswith("events are as they were written.")
