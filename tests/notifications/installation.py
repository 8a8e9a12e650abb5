"""Settings of an installation in which the tests' own events are heard."""

from releasemgmt.settings import *  # noqa: F403
from releasemgmt.settings import TEMPLATES
from tests.notifications.wiring import AUDIENCES, FOLDER, KIND

NOTIFICATION_AUDIENCES = {KIND: AUDIENCES[KIND]}
TEMPLATES = [{**TEMPLATES[0], "DIRS": [FOLDER]}]
