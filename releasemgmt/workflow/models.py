"""Rows with a history: aggregates, their append-only events, and the outbox that publishes them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar, Self
from zoneinfo import available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

#: Between these instants people plan and remember; what lies outside is some clock's mistake, and no day in some zone.
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def instant_is_near(at: datetime) -> None:
    """Field validator: an instant that people can mean."""
    if not FIRST <= at <= LAST:
        raise ValidationError("Name an instant since the year 1970, and until 2200.")


@cache
def _time_zones() -> frozenset[str]:
    """Those of places and of fixed clocks: what a machine calls its own, or has before it is set up, is none."""
    return frozenset(available_timezones() - {"localtime", "Factory"})


def time_zone_exists(name: str) -> None:
    """Field validator: the name of a zone that this machine knows."""
    if name not in _time_zones():
        raise ValidationError(f"There is no time zone {name}.")


class Aggregate(models.Model):
    """A record with an event stream of its own; the stream's head lives in the row that a command locks anyway."""

    revision = models.PositiveIntegerField(default=1, editable=False)
    event_seq = models.PositiveBigIntegerField(default=0, editable=False)
    event_hash = models.CharField(max_length=64, default="", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    #: Relations that every command needs: read in the statement that locks the row.
    locked_with: ClassVar[tuple[str, ...]] = ()

    class Meta:
        abstract = True

    @property
    def stream(self) -> str:
        """The name of this record's event stream, for instance `release:42`."""
        return f"{self._meta.model_name}:{self.pk}"

    @property
    def number(self) -> str:
        """What people call the record: `REL-12`, or a key."""
        raise NotImplementedError

    @property
    def owning_team_id(self) -> int | None:
        """The team in which roles are asked for; None where only global roles apply."""
        return None


class StatefulModel(Aggregate):
    """An aggregate with a life: `state` moves by transitions only (workflow.fsm), in commands only."""

    NUMBER_PREFIX: ClassVar[str]

    #: The transition that led into the present state, so that a repeated request is answered, not refused.
    entered_by = models.CharField(max_length=40, default="", editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"{self.NUMBER_PREFIX}-{self.pk}"

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Validate all but the state: django-fsm's protected field refuses the assignment that validation makes."""
        super().clean_fields(exclude={*(exclude or ()), "state"})

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: models.QuerySet[Self] | None = None,
    ) -> None:
        """Read the row again beside the protected field: the library's way lifts its protection process-wide."""
        wanted = None if fields is None else set(fields)
        queryset: Any = type(self)._base_manager if from_queryset is None else from_queryset
        fresh = queryset.get(pk=self.pk)
        columns: Iterable[Any] = self._meta.concrete_fields
        for field in columns:
            if wanted is None or not wanted.isdisjoint((field.name, field.attname)):
                self.__dict__[field.attname] = getattr(fresh, field.attname)
                if field.is_relation and field.is_cached(self):
                    field.delete_cached_value(self)
        if wanted is None:
            self._prefetched_objects_cache: dict[str, Any] = {}


class Event(models.Model):
    """What happened: one row a command, never changed, chained by hash in its stream (triggers.py keeps it so)."""

    id = models.BigAutoField(primary_key=True)
    stream = models.CharField(max_length=80)
    seq = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    on_behalf_of = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    team_id = models.BigIntegerField(null=True)
    kind = models.CharField(max_length=80)
    source = models.CharField(max_length=40, blank=True)
    target = models.CharField(max_length=40, blank=True)
    data = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True)
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["stream", "seq"], name="event_once_in_its_stream")]
        indexes = [models.Index(fields=["kind", "at"], name="event_by_kind")]
        ordering = ["stream", "seq"]

    def __str__(self) -> str:
        return f"{self.stream} #{self.seq} {self.kind}"


class Pending(models.Model):
    """An event that the outbox has not published yet."""

    event = models.OneToOneField(Event, on_delete=models.PROTECT, primary_key=True, related_name="+")

    def __str__(self) -> str:
        return str(self.event_id)


class Published(models.Model):
    """An event's place in the published log: positions rise in the order in which events became visible."""

    position = models.PositiveBigIntegerField(primary_key=True)
    event = models.OneToOneField(Event, on_delete=models.PROTECT, related_name="published")

    def __str__(self) -> str:
        return f"{self.position}: {self.event_id}"


class OutboxHead(models.Model):
    """The one row that a drain locks, so that only one runs at a time and positions have no gap."""

    position = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.position)
