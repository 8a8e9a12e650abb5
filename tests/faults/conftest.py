"""A web server as in production."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.background import Background
from tests.faults.servers import Web


@pytest.fixture
def web(transactional_db: None, tmp_path: Path) -> Iterator[Web]:
    """Serves the test's database."""
    process = Web(Background(tmp_path).environment, tmp_path)
    process.start()
    yield process
    process.stop()
