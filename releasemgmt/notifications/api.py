"""The inbox of whoever asks, and the published log of events by position, over REST."""

from __future__ import annotations

from typing import Any

import django_filters
from django.conf import settings
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from releasemgmt.notifications import queries
from releasemgmt.notifications.commands import mark_read
from releasemgmt.notifications.models import Delivery
from releasemgmt.web.api import InstantField, View
from releasemgmt.web.pagination import CursorPagination
from releasemgmt.web.schema import EventBody
from releasemgmt.workflow.models import Event

LARGEST = 2**63 - 1


class NotificationBody(serializers.Serializer[Any]):
    """Something that you were told; `url` is the page where it is answered."""

    id = serializers.IntegerField()
    kind = serializers.CharField(source="event.kind")
    subject = serializers.CharField()
    body = serializers.CharField()
    url = serializers.SerializerMethodField()
    created_at = InstantField()
    read_at = InstantField(allow_null=True)

    def get_url(self, entry: Delivery) -> str:
        return f"{settings.PUBLIC_URL}{entry.url}"


class NotificationFilters(django_filters.FilterSet):
    """The filters of `notifications/`."""

    unread = django_filters.BooleanFilter(field_name="read_at", lookup_expr="isnull")


class NotificationViewSet(View):
    """My inbox, the newest first."""

    serializer_class = NotificationBody
    filterset_class = NotificationFilters
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[Delivery]:
        return Delivery.objects.inbox_of(self.actor).select_related("event")

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(NotificationBody(page, many=True).data)

    @extend_schema(request=None, responses=NotificationBody)
    def read(self, request: Request, pk: int) -> Response:
        entry = self.get_queryset().filter(pk=pk).first()
        if entry is None:
            raise Http404
        return Response(NotificationBody(mark_read(entry, actor=self.actor, now=timezone.now())).data)


class LogEntryBody(EventBody):
    """An event with its place in the published log, and in the chain of its stream."""

    position = serializers.IntegerField(source="published.position")
    stream = serializers.CharField()
    prev_hash = serializers.CharField()


class LogPagination(CursorPagination):
    """Pages by position. `position` says how far this page looked: read on from there, now or later.

    A page looks at so many positions at most, however few of them its reader may see.
    """

    page_size = 100
    span = 10_000

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        after, size, end = self._position(request), self.get_page_size(request), queries.last_position()
        reach = max(after, min(after + self.span, end))
        page = list(queryset.filter(published__position__gt=after, published__position__lte=reach)[:size])
        self.position = page[-1].published.position if len(page) == size else reach
        address = replace_query_param(request.build_absolute_uri(), "after", self.position)
        self.next = address if self.position < end else None
        return page

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self.next, "previous": None, "position": self.position})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = super().get_paginated_response_schema(schema)
        answer["properties"]["position"] = {"type": "integer", "description": "How far this page looked."}
        return answer

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        of_page_size = super().get_schema_operation_parameters(view)[1:]
        after = {"name": "after", "required": False, "in": "query", "schema": {"type": "integer", "minimum": 0}}
        return [{**after, "description": "The position that was read last."}, *of_page_size]

    def _position(self, request: Request) -> int:
        given = request.query_params.get("after", "0")
        if not given.isascii() or not given.isdigit() or len(given) > 19 or int(given) > LARGEST - self.span:
            raise ValidationError({"after": ["Give a position: a number from 0."]})
        return int(given)


class EventViewSet(View):
    """Everything that happened in the caller's teams, in the order in which it was published."""

    serializer_class = LogEntryBody
    pagination_class = LogPagination
    query_parameters = ("after",)

    def get_queryset(self) -> QuerySet[Event]:
        return queries.log_for(self.actor)

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(LogEntryBody(page, many=True).data)
