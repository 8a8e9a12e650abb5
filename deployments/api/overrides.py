"""Overrides of windows, and stopping the line, over REST."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from deployments import commands
from deployments.api.fields import ReleaseFilter
from deployments.api.windows import TEXT, WindowField
from deployments.models import LineStop, WindowOverride
from deployments.models.override import MOST_USES
from deployments.policies import RESUME_QUORUM
from releasemgmt.releases.api.fields import EnvironmentField, ProductField, ReleaseField
from releasemgmt.web.api import InstantField, StrictSerializer, View, etag


class OverrideEdit(StrictSerializer):
    """What PATCH takes, as long as nobody has decided."""

    windows = serializers.ListField(child=WindowField(), max_length=50, required=False)
    skips_promotion = serializers.BooleanField(required=False)
    reason = serializers.CharField(max_length=TEXT, required=False)
    expires_at = InstantField(required=False)
    uses = serializers.IntegerField(min_value=1, max_value=MOST_USES, required=False)


class OverrideCreate(OverrideEdit):
    """What POST takes."""

    release = ReleaseField()
    environment = EnvironmentField()
    windows = serializers.ListField(child=WindowField(), max_length=50, default=list)
    reason = serializers.CharField(max_length=TEXT)
    expires_at = InstantField()


class DecisionBody(StrictSerializer):
    """What is said with a decision; to decline asks for a reason."""

    reason = serializers.CharField(max_length=TEXT)


class Nothing(StrictSerializer):
    """An empty object."""


class OverrideAnswer(serializers.Serializer[Any]):
    """An override; its revision is its release's. `standing` is the state, or `used_up` or `expired`."""

    id = serializers.IntegerField()
    release = serializers.CharField(source="release.number")
    environment = serializers.CharField(source="environment.key")
    windows = serializers.SerializerMethodField()
    skips_promotion = serializers.BooleanField()
    reason = serializers.CharField()
    uses = serializers.IntegerField()
    used = serializers.IntegerField()
    expires_at = InstantField()
    state = serializers.CharField()
    standing = serializers.SerializerMethodField()
    requested_by = serializers.CharField(source="requested_by.username")
    requested_at = InstantField()
    decided_by = serializers.CharField(source="decided_by.username", default=None)
    decided_at = InstantField()
    revision = serializers.IntegerField(source="release.revision")
    url = serializers.SerializerMethodField()

    def get_windows(self, override: WindowOverride) -> list[str]:
        return [window.number for window in override.windows.all()]

    def get_standing(self, override: WindowOverride) -> str:
        return override.standing(timezone.now())

    def get_url(self, override: WindowOverride) -> str:
        return f"{OverrideViewSet.address}{override.pk}/"


class OverrideFilters(django_filters.FilterSet):
    """The filters of `window-overrides/`."""

    release = ReleaseFilter()
    environment = django_filters.CharFilter(field_name="environment__key")
    state = django_filters.MultipleChoiceFilter(choices=WindowOverride.State.choices, distinct=False)


class OverrideViewSet(View):
    """Overrides of windows, addressed by id; their ETag is their release's."""

    address = "/api/v1/window-overrides/"
    serializer_class = OverrideAnswer
    filterset_class = OverrideFilters
    lookup_value_regex = "[0-9]{1,18}"
    ordering = ("-requested_at", "-id")

    def get_queryset(self) -> QuerySet[WindowOverride]:
        rows = WindowOverride.objects.visible_to(self.actor)
        rows = rows.select_related("release__product", "environment", "requested_by", "decided_by")
        return rows.prefetch_related("windows")

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(OverrideAnswer(page, many=True).data)

    def retrieve(self, request: Request, pk: str) -> Response:
        return self.answer(self.found(pk))

    @extend_schema(request=OverrideCreate, responses={201: OverrideAnswer})
    def create(self, request: Request) -> Response:
        override = commands.request_override(actor=self.actor, now=timezone.now(), **self.body(OverrideCreate))
        return self.answer(override, status=201)

    @extend_schema(request=OverrideEdit, responses=OverrideAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        override = self.found(pk)
        with self.guarded(override.release):
            changes = self.body(OverrideEdit)
            commands.edit_override(override, changes=changes, actor=self.actor, now=timezone.now())
        return self.answer(self.found(pk))

    @extend_schema(request=Nothing, responses=OverrideAnswer)
    @action(detail=True, methods=["post"], url_path="transitions/approve")
    def approve(self, request: Request, pk: str) -> Response:
        override = self.found(pk)
        with self.guarded(override.release, required=False):
            commands.approve_override(override, actor=self.actor, now=timezone.now(), **self.body(Nothing))
        return self.answer(self.found(pk))

    @extend_schema(request=DecisionBody, responses=OverrideAnswer)
    @action(detail=True, methods=["post"], url_path="transitions/decline")
    def decline(self, request: Request, pk: str) -> Response:
        override = self.found(pk)
        with self.guarded(override.release, required=False):
            commands.decline_override(override, actor=self.actor, now=timezone.now(), **self.body(DecisionBody))
        return self.answer(self.found(pk))

    @extend_schema(request=Nothing, responses=OverrideAnswer)
    @action(detail=True, methods=["post"], url_path="transitions/withdraw")
    def withdraw(self, request: Request, pk: str) -> Response:
        override = self.found(pk)
        with self.guarded(override.release, required=False):
            commands.withdraw_override(override, actor=self.actor, now=timezone.now(), **self.body(Nothing))
        return self.answer(self.found(pk))

    def found(self, pk: str) -> WindowOverride:
        """The override, if the caller sees its release."""
        return get_object_or_404(self.get_queryset(), pk=pk)

    def answer(self, override: WindowOverride, status: int = 200) -> Response:
        """The override's JSON with the ETag of its release."""
        return _answer(OverrideAnswer(override).data, status, {"ETag": etag(override.release)})


class StopBody(StrictSerializer):
    """What POST takes; one of product and environment is named, the other is any."""

    product = ProductField(required=False, allow_null=True)
    environment = EnvironmentField(required=False, allow_null=True)
    reason = serializers.CharField(max_length=TEXT)


class StopAnswer(serializers.Serializer[Any]):
    """A stop: who has agreed to go on, and how many have to."""

    id = serializers.IntegerField()
    product = serializers.CharField(source="product.key", default=None)
    environment = serializers.CharField(source="environment.key", default=None)
    reason = serializers.CharField()
    stopped_by = serializers.CharField(source="stopped_by.username")
    stopped_at = InstantField()
    agreed = serializers.SerializerMethodField()
    needed = serializers.SerializerMethodField()
    resumed_at = InstantField()
    url = serializers.SerializerMethodField()

    def get_agreed(self, stop: LineStop) -> list[str]:
        return [each.by.username for each in stop.resumptions.all()]

    def get_needed(self, stop: LineStop) -> int:
        return RESUME_QUORUM

    def get_url(self, stop: LineStop) -> str:
        return f"{StopViewSet.address}{stop.pk}/"


class StopFilters(django_filters.FilterSet):
    """The filters of `line-stops/`."""

    product = django_filters.CharFilter(field_name="product__key")
    environment = django_filters.CharFilter(field_name="environment__key")
    standing = django_filters.BooleanFilter(field_name="resumed_at", lookup_expr="isnull")


class StopViewSet(View):
    """Stopping the line: one person does, and others agree to go on."""

    address = "/api/v1/line-stops/"
    serializer_class = StopAnswer
    filterset_class = StopFilters
    lookup_value_regex = "[0-9]{1,18}"
    ordering = ("-stopped_at", "-id")

    def get_queryset(self) -> QuerySet[LineStop]:
        rows = LineStop.objects.visible_to(self.actor).select_related("product", "environment", "stopped_by")
        return rows.prefetch_related("resumptions__by")

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(StopAnswer(page, many=True).data)

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(StopAnswer(get_object_or_404(self.get_queryset(), pk=pk)).data)

    @extend_schema(request=StopBody, responses={200: StopAnswer, 201: StopAnswer})
    def create(self, request: Request) -> Response:
        scope = {"product": None, "environment": None} | self.body(StopBody)
        stop, is_new = commands.stop_line(actor=self.actor, now=timezone.now(), **scope)
        return _answer(StopAnswer(stop).data, 201 if is_new else 200)

    @extend_schema(request=Nothing, responses=StopAnswer)
    @action(detail=True, methods=["post"], url_path="transitions/resume")
    def resume(self, request: Request, pk: str) -> Response:
        stop = get_object_or_404(self.get_queryset(), pk=pk)
        commands.agree_to_resume(stop, actor=self.actor, now=timezone.now(), **self.body(Nothing))
        return self.retrieve(request, pk)


def _answer(body: Any, status: int, headers: dict[str, str] | None = None) -> Response:
    """The JSON of a row, and where it is new its address."""
    place = {"Location": body["url"]} if status == 201 else {}
    return Response(body, status=status, headers={**(headers or {}), **place})
