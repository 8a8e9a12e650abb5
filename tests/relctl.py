"""The client as a pipeline calls it: its exit status, what it prints to stdout, and what it says beside that."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "releasemgmt" / "portal" / "static" / "portal" / "relctl.py"


def loaded() -> Any:
    """The file as a module; it is in no package."""
    spec = importlib.util.spec_from_file_location("relctl", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["relctl"] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Ran:
    """How a call ended."""

    status: int
    out: str
    said: str


@dataclass
class Pipeline:
    """Calls relctl with the settings of its environment."""

    capsys: pytest.CaptureFixture[str]
    module: Any

    def __call__(self, *arguments: str) -> Ran:
        self.capsys.readouterr()
        try:
            status = self.module.main(arguments)
        except SystemExit as ended:  # as argparse ends
            status = int(ended.code or 0)
        captured = self.capsys.readouterr()
        return Ran(status, captured.out.strip(), captured.err)

    def does(self, *arguments: str) -> str:
        """What a call prints that goes well."""
        ran = self(*arguments)
        assert ran.status == 0, ran
        return ran.out
