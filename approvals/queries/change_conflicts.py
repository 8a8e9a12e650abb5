"""Which changes get in each other's way: they touch the same at overlapping times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from approvals.models import ChangeConflict, ChangeRequest
from approvals.models.change import LIVE
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import while_reading

Kind = ChangeConflict.Kind
#: Changes that one is held against, for each kind; the earliest first.
MOST = 100


class Clash(NamedTuple):
    """A conflict as a reader may see it: of another team's change only that it is there."""

    kind: str
    label: str
    detail: str
    other: ChangeRequest | None
    found_at: Any

    @property
    def sentence(self) -> str:
        """What it says in words."""
        what = f"{self.label}: {self.detail}" if self.detail else self.label
        return f"{what}; {self.other or 'another team’s change'} is planned for the same time."


def found_conflicts(change: ChangeRequest) -> Iterator[tuple[int, str, str]]:
    """The other changes that it collides with now, with kind and detail. At most four statements.

    Those that ride with the same release are one piece of work and don't collide.
    """
    if change.state not in LIVE or change.planned_start is None or change.planned_end is None:
        return
    together = ChangeRequest.releases.through.objects.filter(release__changes=change)
    rows = ChangeRequest.objects.live().overlapping(change.planned_start, change.planned_end).exclude(pk=change.pk)
    others = rows.exclude(pk__in=together.values("changerequest")).order_by("planned_start", "pk")
    components = ChangeRequest.components.through.objects.filter(component__changes=change)
    yield from _shared(Kind.COMPONENT, others, components, "component__key")
    environments = ChangeRequest.environments.through.objects.filter(environment__changes=change)
    yield from _shared(Kind.ENVIRONMENT, others, environments, "environment__key")
    if change.implementer_id:
        for pk in others.filter(implementer=change.implementer_id).values_list("pk", flat=True)[:MOST]:
            yield pk, Kind.IMPLEMENTER, ""


def _shared(
    kind: str, others: QuerySet[ChangeRequest], links: QuerySet[Any], key: str
) -> Iterator[tuple[int, str, str]]:
    shared: dict[int, list[str]] = defaultdict(list)
    for pk, name in (
        links.filter(changerequest__in=others.values("pk")).order_by("pk").values_list("changerequest", key)
    ):
        if pk in shared or len(shared) < MOST:
            shared[pk].append(name)
    yield from ((pk, kind, ", ".join(sorted(names))[:500]) for pk, names in shared.items())


def conflicts_with(changes: Iterable[ChangeRequest], *, user: User) -> list[Clash]:
    """What stands in the way of these changes, by what it is, as the user may see it. At most two statements."""
    wanted = {change.pk for change in changes}
    if not wanted:
        return []
    rows = ChangeConflict.objects.filter(Q(change__in=wanted) | Q(other__in=wanted)).order_by("pk")
    found = list(rows.values_list("change", "other", "kind", "detail", "found_at"))
    ids = {pk for first, second, *_ in found for pk in (first, second) if pk}
    visible = {
        row.pk: row for row in ChangeRequest.objects.visible_to(user).filter(pk__in=ids).select_related("product")
    }
    clashes = [
        Clash(kind, Kind(kind).label, detail, visible.get(other), at)
        for first, second, kind, detail, at in found
        for own, other in ((first, second), (second, first))
        if own in wanted
    ]
    return sorted(clashes, key=lambda clash: clash.other.pk if clash.other else 0)


def changes_in_the_way(
    release: Release, environment: Environment, *, starts_at: datetime, ends_at: datetime
) -> list[ChangeRequest]:
    """Changes that collide with one of a release's and are being carried out there, by themselves, until that time.

    Intervals are wide, and who approved a change saw what it collides with; so one that has not begun is in nobody's
    way, nor is one that rides with another release: it goes with that one's plan. At most two statements.
    """
    own = Q(change__releases=release) | Q(other__releases=release)
    found = ChangeConflict.objects.filter(own).exclude(kind=Kind.IMPLEMENTER).order_by()
    pairs = while_reading(("clashes", release.pk), lambda: list(found.values_list("change", "other")))
    if not (known := {pk for pair in pairs for pk in pair if pk}):
        return []
    rows = ChangeRequest.objects.filter(pk__in=known, state=ChangeRequest.State.IMPLEMENTATION, releases=None)
    there = rows.filter(Q(environments=environment) | Q(environments=None)).overlapping(starts_at, ends_at)
    return list(there.distinct().order_by("planned_start", "pk"))
