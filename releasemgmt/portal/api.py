"""What only the roof can answer by API: evidence over every domain."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from deployments.api.fields import Asked
from releasemgmt.portal import evidence, population
from releasemgmt.portal.population import Period
from releasemgmt.releases.api.fields import ProductField
from releasemgmt.releases.queries import get_release
from releasemgmt.web.access import check_query
from releasemgmt.web.api import InstantField, View


class EvidenceViewSet(View):
    """The evidence pack of a release; `manage.py verify_evidence` says whether one is unchanged."""

    @extend_schema(responses={200: {"type": "object"}})
    def retrieve(self, request: Request, number: str) -> Response:
        check_query(request, ())
        release = get_release(number, self.actor)
        if release is None:
            raise Http404
        name = f'attachment; filename="evidence-{release.number}.json"'
        pack = evidence.pack(release, now=timezone.now())
        return Response(pack, headers={"Content-Disposition": name})


class PopulationAsked(Asked):
    """Of which period, and from which place on."""

    to = InstantField()
    product = ProductField(required=False)
    after = serializers.CharField(required=False)
    page_size = serializers.IntegerField(min_value=1, max_value=200, default=population.PAGE)

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python's own."""
        return {"from": InstantField(), **super().get_fields()}


class LineAnswer(serializers.Serializer[Any]):
    """A record of the period, or a gap in the numbers."""

    kind = serializers.ChoiceField(choices=[*population.KINDS, "gap"])
    number = serializers.CharField()
    product = serializers.CharField()
    title = serializers.CharField()
    type = serializers.CharField()
    state = serializers.CharField()
    at = InstantField()
    environment = serializers.CharField()
    release = serializers.CharField()
    unauthorised = serializers.BooleanField()
    covered_by = serializers.DictField()


class PopulationAnswer(serializers.Serializer[Any]):
    """A page of the report."""

    results = LineAnswer(many=True)
    next = serializers.URLField(allow_null=True)


class PopulationViewSet(View):
    """Every release, change and production deployment of a period, in number order, and what covered each."""

    @extend_schema(parameters=[PopulationAsked], responses=PopulationAnswer)
    def list(self, request: Request) -> Response:
        asked = PopulationAsked.of(self)
        period = Period(asked["from"], asked["to"], asked.get("product"))
        size, after = asked["page_size"], asked.get("after", "")
        found, place = population.page(self.actor, period, after=after, size=size)
        following = replace_query_param(request.build_absolute_uri(), "after", place) if place else None
        return Response({"results": LineAnswer(found, many=True).data, "next": following})
