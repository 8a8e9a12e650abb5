"""Events that name whom they concern, so that a test says who should hear of what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from releasemgmt.accounts.models import Team, User
from releasemgmt.workflow.commands import command, lock, record
from releasemgmt.workflow.models import Event
from tests.notifications.wiring import AUDIENCES, FOLDER, KIND


def named(event: Event) -> Iterable[User]:
    """Those whom the event names."""
    return User.objects.filter(pk__in=event.data["to"])


def broken(event: Event) -> Iterable[User]:
    """An audience that fails in the database, which on PostgreSQL spoils the transaction around it."""
    return User.objects.extra(where=["no_such_column = 1"])


def tell(team: Team, *people: User, actor: User, news: str = "something happened", kind: str = KIND) -> Event:
    """One event on the team's stream that concerns these people."""
    with command():
        return record(lock(team), kind, actor=actor, data={"to": [person.pk for person in people], "news": news})


def positions() -> list[tuple[int, int]]:
    """The published log as (position, event id)."""
    return list(
        Event.objects.filter(published__isnull=False)
        .order_by("published__position")
        .values_list("published__position", "pk")
    )


def use(settings: Any) -> None:
    """Settings under which these events are heard."""
    settings.NOTIFICATION_AUDIENCES = AUDIENCES
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [FOLDER]}]
