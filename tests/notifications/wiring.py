"""Who hears of the tests' own events; settings read it, so it knows no model."""

from pathlib import Path

HERE = "tests.notifications.world"
KIND, BROKEN, MISWORDED = "tests.told", "tests.broken", "tests.misworded"
AUDIENCES = {KIND: f"{HERE}.named", BROKEN: f"{HERE}.broken", MISWORDED: f"{HERE}.named"}
FOLDER = Path(__file__).parent / "templates"
