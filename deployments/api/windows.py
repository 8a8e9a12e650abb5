"""Windows, freezes and the verdict about a time, over REST."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments import commands, queries
from deployments.api.fields import Asked
from deployments.models import Window
from deployments.models.window import LONGEST_MINUTES
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Tier
from releasemgmt.releases.api.fields import EnvironmentField, NamedField, ProductField, UserField
from releasemgmt.web.api import InstantField, RecordSerializer, StatefulViewSet, StrictSerializer, View

#: How many of the next times a window's own page names.
NEXT = 5
TEXT = 5_000


class WindowField(NamedField):
    """A window by number."""

    what = "window"

    def find(self, name: str, user: User) -> Window | None:
        digits = name.removeprefix(f"{Window.NUMBER_PREFIX}-")
        rows = Window.objects.visible_to(user).select_related("product", "environment")
        is_number = digits.isascii() and digits.isdigit() and len(digits) < 19
        return rows.filter(pk=int(digits)).first() if is_number else None


class WindowEdit(StrictSerializer):
    """What PATCH takes: when it is on, and what is said of it."""

    name = serializers.CharField(max_length=100, required=False)
    reason = serializers.CharField(max_length=TEXT, required=False)
    owner = UserField(required=False)
    first_on = serializers.DateField(required=False)
    start_time = serializers.TimeField(required=False)
    duration_minutes = serializers.IntegerField(min_value=1, max_value=LONGEST_MINUTES, required=False)
    time_zone = serializers.CharField(max_length=64, required=False)
    rule = serializers.CharField(max_length=200, required=False, allow_blank=True)


class WindowCreate(WindowEdit):
    """What POST takes; what the scope leaves out is any, and without a rule it is on once."""

    kind = serializers.ChoiceField(Window.Kind.choices)
    name = serializers.CharField(max_length=100)
    reason = serializers.CharField(max_length=TEXT)
    environment = EnvironmentField(required=False, allow_null=True)
    tier = serializers.ChoiceField(Tier.choices, required=False, allow_blank=True)
    product = ProductField(required=False, allow_null=True)
    first_on = serializers.DateField()
    start_time = serializers.TimeField()
    duration_minutes = serializers.IntegerField(min_value=1, max_value=LONGEST_MINUTES)


class WindowAnswer(RecordSerializer):
    """A window as lists show it."""

    kind = serializers.CharField()
    name = serializers.CharField()
    reason = serializers.CharField()
    environment = serializers.CharField(source="environment.key", default=None)
    tier = serializers.CharField()
    product = serializers.CharField(source="product.key", default=None)
    first_on = serializers.DateField()
    start_time = serializers.TimeField()
    duration_minutes = serializers.IntegerField()
    time_zone = serializers.CharField()
    rule = serializers.CharField()
    owner = serializers.CharField(source="owner.username")
    created_by = serializers.CharField(source="created_by.username")


class TimeAnswer(serializers.Serializer[Any]):
    """One time at which a window is on; its end does not belong to it."""

    starts_at = InstantField()
    ends_at = InstantField()


class WindowDetail(WindowAnswer):
    """A window with its next times."""

    next_times = serializers.SerializerMethodField()

    def get_next_times(self, window: Window) -> list[dict[str, Any]]:
        ahead = queries.times_ahead(window, timezone.now(), NEXT)
        return [dict(TimeAnswer({"starts_at": begin, "ends_at": end}).data) for begin, end in ahead]


class WindowFilters(django_filters.FilterSet):
    """The filters of `windows/`."""

    kind = django_filters.MultipleChoiceFilter(choices=Window.Kind.choices, distinct=False)
    state = django_filters.MultipleChoiceFilter(choices=Window.State.choices, distinct=False)
    product = django_filters.CharFilter(field_name="product__key")
    environment = django_filters.CharFilter(field_name="environment__key")
    tier = django_filters.MultipleChoiceFilter(choices=Tier.choices, distinct=False)


class WindowViewSet(StatefulViewSet):
    """Maintenance windows and freezes."""

    model = Window
    address = "/api/v1/windows/"
    serializer_class = WindowDetail
    filterset_class = WindowFilters
    search_fields = ("name", "reason")
    transition_commands = commands.WINDOW_TRANSITIONS

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return WindowAnswer if self.action == "list" else WindowDetail

    def get_queryset(self) -> QuerySet[Window]:
        rows = Window.objects.visible_to(self.actor)
        return rows.select_related("environment", "product", "owner", "created_by")

    @extend_schema(request=WindowCreate, responses={201: WindowDetail})
    def create(self, request: Request) -> Response:
        window = commands.create_window(actor=self.actor, now=timezone.now(), **self.body(WindowCreate))
        return self.answer(window, status=201)

    @extend_schema(request=WindowEdit, responses=WindowDetail)
    def partial_update(self, request: Request, number: str) -> Response:
        window = self.get_object()
        with self.guarded(window):
            commands.edit_window(window, changes=self.body(WindowEdit), actor=self.actor, now=timezone.now())
        return self.answer(self.get_object())


class StatusAsked(Asked):
    """Where, when (without an instant it is now), and of which product; without one of every."""

    environment = EnvironmentField()
    product = ProductField(required=False)
    at = InstantField(required=False)


class CauseAnswer(serializers.Serializer[Any]):
    """What closes a time."""

    code = serializers.CharField()
    reason = serializers.CharField()


class StatusAnswer(serializers.Serializer[Any]):
    """The verdict; `next_open` and `next_close` are the first instants after it at which that turns.

    They are null where none is known: windows are laid out until `known_until`, where it is null for good.
    """

    environment = serializers.CharField()
    product = serializers.CharField(allow_null=True)
    at = InstantField()
    open = serializers.BooleanField()
    reason = serializers.CharField()
    causes = CauseAnswer(many=True)
    next_open = InstantField(allow_null=True)
    next_close = InstantField(allow_null=True)
    known_until = InstantField(allow_null=True)
    windows = serializers.ListField(child=serializers.CharField())


class StatusView(View):
    """Whether anything may start in an environment at a time, as far as windows and freezes say."""

    pagination_class = None

    @extend_schema(parameters=[StatusAsked], responses=StatusAnswer)
    def status(self, request: Request) -> Response:
        asked = {"at": timezone.now(), "product": None} | StatusAsked.of(self)
        windows = queries.windows_over(asked["environment"], asked["product"])
        verdict = queries.judge(windows, asked["at"])
        causes = [{"code": code, "reason": reason} for code, reason in verdict.closed_by]
        turns = {name: getattr(verdict, name) for name in ("reason", "next_open", "next_close", "known_until")}
        answer = {
            "environment": asked["environment"].key,
            "product": asked["product"] and asked["product"].key,
            "at": asked["at"],
            "open": verdict.is_open,
            "causes": causes,
            "windows": [window.number for window in windows],
            **turns,
        }
        return Response(StatusAnswer(answer).data)
