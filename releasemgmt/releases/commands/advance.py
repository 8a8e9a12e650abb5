"""The one-second tick: what a release's model lets go by itself fires as soon as its gates open."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import transaction

from releasemgmt.accounts.commands import system
from releasemgmt.releases import queries
from releasemgmt.releases.commands.release import TRANSITIONS
from releasemgmt.releases.models import Release
from releasemgmt.workflow import fsm
from releasemgmt.workflow.commands import command, fire, hold
from releasemgmt.workflow.errors import Blocked

log = structlog.get_logger()


def advance(now: datetime) -> int:
    """Move the releases on that may go by themselves, one transition each; answers how many moved.

    One transaction for each release that nobody else works on; one that breaks does not keep the others waiting. What
    is held up is looked at again when something has happened to it, its product or its model, or after a minute.
    """
    waiting = Release.objects.going_by_themselves(now).select_related("product", "model")
    moved = 0
    for pk in waiting.values_list("pk", flat=True).order_by("pk"):
        try:
            with command():
                claimed = waiting.select_for_update(of=("self",), skip_locked=True, no_key=True).filter(pk=pk).first()
                moved += claimed is not None and _advance(claimed, now)
        except Exception:
            log.exception("release_not_moved", release=f"{Release.NUMBER_PREFIX}-{pk}")
    return moved


def _advance(release: Release, now: datetime) -> bool:
    hold(release)
    name = next(arrow.name for arrow in fsm.leaving(release) if release.model.lets(arrow.name))
    person = queries.moved_last_by(release)
    try:
        with transaction.atomic():
            if command_of := TRANSITIONS.get(name):
                command_of(release, actor=system(), on_behalf_of=person, now=now)
            else:
                fire(release, name, actor=system(), on_behalf_of=person, now=now)
    except Blocked:
        Release.objects.filter(pk=release.pk).update(held_up_at=now, held_up_heads=release.heads)
        return False
    return True
