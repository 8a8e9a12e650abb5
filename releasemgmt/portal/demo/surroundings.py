"""When the demo's product may go out, and what somebody saw of it: a weekly window, a freeze ahead, a drift."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from deployments.commands import create_window, observe
from deployments.models import Window
from deployments.queries import running_in
from releasemgmt.catalog.models import Tier
from releasemgmt.portal.demo.stage import Stage

ZONE = "Europe/Berlin"
DAY = timedelta(days=1)
#: By then the changes of the demo are carried out.
FREEZE_IN = 31 * DAY
TRIED = f"sha256:{sha256(b'somebody tries something in the test environment').hexdigest()}"


def open_windows(stage: Stage, *, now: datetime) -> None:
    """Chiara opens production for four days of each week, the first since yesterday, and closes it at the year's end.

    So the first minute falls into a window, at any time of the day.
    """
    today = now.astimezone(ZoneInfo(ZONE)).date()
    facts: dict[str, Any] = {"tier": Tier.PRODUCTION, "time_zone": ZONE, "actor": stage.people["chiara"], "now": now}
    create_window(
        kind=Window.Kind.ALLOW,
        name="Weekly maintenance",
        product=stage.product,
        first_on=today - DAY,
        start_time=time(0),
        duration_minutes=4 * DAY // timedelta(minutes=1),
        rule="FREQ=WEEKLY",
        reason="In these days somebody is there who can help.",
        **facts,
    )
    create_window(
        kind=Window.Kind.DENY,
        name="Stocktaking",
        first_on=today + FREEZE_IN,
        start_time=time(18),
        duration_minutes=3 * DAY // timedelta(minutes=1),
        reason="The figures of the year are drawn up; nothing may move under them.",
        **facts,
    )


def look_around(stage: Stage, *, now: datetime) -> None:
    """The pipeline looks what runs: in production what was deployed there, in test something that somebody tried."""
    production = stage.environments[Tier.PRODUCTION]
    there = {each.component.key: each.build.digest for each in running_in(production, stage.product)}
    for environment, digests in ((production, there), (stage.environments[Tier.TEST], {stage.component.key: TRIED})):
        observe(stage.product, environment, digests=digests, observed_at=now, actor=stage.ci, now=now)
