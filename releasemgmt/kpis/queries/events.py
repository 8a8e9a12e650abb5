"""The event log, as figures read it: what happened to which record, and when."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import QuerySet

from releasemgmt.kpis.queries.scope import Scope
from releasemgmt.workflow.models import Event
from releasemgmt.workflow.queries import streams


class Happened(NamedTuple):
    """Something that happened to a record; `what` is the last word of its kind."""

    pk: int
    what: str
    at: datetime


def happened(
    scope: Scope, rows: QuerySet[Any], *, kinds: Collection[str], one_of: Collection[str], later: bool = False
) -> Iterator[Happened]:
    """What of these kinds had happened by then, in the order of each, to the records that saw one of some in the time;
    with `later` also what came after that, to those that saw one since the begin.

    What happened in the time is found by its kind, so that the rest of the log is not looked through.
    """
    before = f"{rows.model._meta.app_label}.{rows.model._meta.model_name}."
    begin, end = scope.observed
    seen = Event.objects.filter(kind__in=[before + each for each in one_of], at__gte=begin)
    events = Event.objects.filter(kind__in=[before + each for each in kinds])
    if not later:
        seen, events = seen.filter(at__lt=end), events.filter(at__lte=scope.as_of)
    events = events.filter(stream__in=seen.values("stream")).filter(stream__in=streams(rows))
    for stream, kind, at in events.order_by("stream", "seq").values_list("stream", "kind", "at"):
        yield Happened(int(stream.rpartition(":")[2]), kind.rpartition(".")[2], at)
