"""The change schedule over REST."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from deployments import queries
from deployments.api.fields import Asked
from deployments.queries.schedule import LAST, Entry, Place
from releasemgmt.releases.api.fields import EnvironmentField
from releasemgmt.web.api import InstantField, View

PAGE = 25
#: How far it looks where nothing is said.
AHEAD = timedelta(days=30)
ADDRESSES = {"change": "changes", "plan": "deployment-plans", "window": "windows", "freeze": "windows"}


class ScheduleAsked(Asked):
    """Of which interval, by default the next thirty days, and of which environment."""

    to = InstantField(required=False)
    environment = EnvironmentField(required=False)
    cursor = serializers.CharField(required=False)
    page_size = serializers.IntegerField(min_value=1, max_value=200, default=PAGE)

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's own."""
        return {"from": InstantField(required=False), **super().get_fields()}


class ScheduledAnswer(serializers.Serializer[Any]):
    """Something that is scheduled; its end does not belong to it. A plan ends at its latest start.

    `product` is null for a window of every product. Tentative is what nobody has agreed to yet.
    """

    kind = serializers.ChoiceField(choices=list(ADDRESSES))
    number = serializers.CharField(source="record.number")
    title = serializers.CharField()
    state = serializers.CharField(source="record.state")
    tentative = serializers.BooleanField()
    product = serializers.CharField(source="product.key", default=None)
    environments = serializers.SerializerMethodField()
    starts_at = InstantField()
    ends_at = InstantField()
    url = serializers.SerializerMethodField()

    def get_environments(self, entry: Entry) -> list[str]:
        return [environment.key for environment in entry.environments]

    def get_url(self, entry: Entry) -> str:
        return f"/api/v1/{ADDRESSES[entry.kind]}/{entry.record.number}/"


def _cursor(text: str) -> tuple[str, Place | None]:
    """In which direction to read, and from which place on; nothing on the first page."""
    way, _, place = text.partition(".")
    return (way, Place.read(place if way in ("f", "b") else "")) if text else ("", None)


class ScheduleAnswer(serializers.Serializer[Any]):
    """A page of the schedule."""

    results = ScheduledAnswer(many=True)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class ScheduleView(View):
    """Approved intervals, plans, windows and freezes in the order in which they begin."""

    pagination_class = None

    @extend_schema(parameters=[ScheduleAsked], responses=ScheduleAnswer)
    def list(self, request: Request) -> Response:
        asked = ScheduleAsked.of(self)
        begin = asked.get("from") or timezone.now()
        end = asked.get("to") or min(begin, LAST) + AHEAD
        way, beyond = _cursor(asked.get("cursor", ""))
        page = queries.schedule(
            self.actor,
            begin=begin,
            end=end,
            size=asked["page_size"],
            environment=asked.get("environment"),
            beyond=beyond,
            backwards=way == "b",
        )
        address = request.build_absolute_uri()
        for name, instant in (("from", begin), ("to", end)):  # the next page is of the same time
            address = replace_query_param(address, name, instant.isoformat())

        def link(way: str, entry: Entry) -> str:
            return replace_query_param(address, "cursor", f"{way}.{entry.place}")

        onwards, back = (bool(way), page.more) if way == "b" else (page.more, bool(way))
        return Response(
            {
                "results": ScheduledAnswer(page.entries, many=True).data,
                "next": link("f", page.entries[-1]) if onwards and page.entries else None,
                "previous": link("b", page.entries[0]) if back and page.entries else None,
            }
        )
