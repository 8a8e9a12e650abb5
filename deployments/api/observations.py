"""Observations over REST: what is reported to run, and what was seen when."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import F, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from deployments import commands
from deployments.models import Observation
from releasemgmt.accounts.models import Scope
from releasemgmt.catalog.models import Environment
from releasemgmt.releases.api.fields import ProductField
from releasemgmt.releases.models.build import DIGEST
from releasemgmt.web.api import InstantField, StrictSerializer, View


class ObservationReport(StrictSerializer):
    """Which digest of each component runs, by its key; components that are left out were not looked at."""

    product = ProductField()
    observed_at = InstantField()
    digests = serializers.DictField(
        child=serializers.CharField(max_length=80, trim_whitespace=False, validators=[DIGEST]), allow_empty=False
    )


class ObservationAnswer(serializers.Serializer[Any]):
    """What was seen of a component, from when until when; `expected` is null where nothing was deployed there."""

    product = serializers.CharField(source="component.product.key")
    component = serializers.CharField(source="component.key")
    digest = serializers.CharField()
    expected = serializers.SerializerMethodField()
    differs = serializers.BooleanField()
    first_seen_at = InstantField()
    last_seen_at = InstantField()

    def get_expected(self, observation: Observation) -> str | None:
        return observation.expected or None


class ObservationsAnswer(serializers.Serializer[Any]):
    """What is known now of the components that the report names."""

    environment = serializers.CharField()
    results = ObservationAnswer(many=True)


class ObservationFilters(django_filters.FilterSet):
    """The filters of what was seen in an environment."""

    product = django_filters.CharFilter(field_name="component__product__key")
    component = django_filters.CharFilter(field_name="component__key")
    differs = django_filters.BooleanFilter(method="differing")

    def differing(self, rows: Any, _name: str, value: bool) -> Any:
        """Those where something else was seen than ought to run; or the others."""
        return rows.differing() if value else rows.filter(digest=F("expected"))


class ObservationView(View):
    """What really runs in an environment, as somebody saw it."""

    serializer_class = ObservationAnswer
    filterset_class = ObservationFilters
    scopes = (Scope.DEPLOY,)
    ordering = ("-first_seen_at", "-id")

    @property
    def environment(self) -> Environment:
        return get_object_or_404(Environment, key=self.kwargs["number"])

    def get_queryset(self) -> QuerySet[Observation]:
        rows = Observation.objects.visible_to(self.actor).filter(environment=self.environment)
        return rows.select_related("component__product")

    def list(self, request: Request, number: str) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(ObservationAnswer(page, many=True).data)

    @extend_schema(request=ObservationReport, responses=ObservationsAnswer)
    def create(self, request: Request, number: str) -> Response:
        environment, body = self.environment, self.body(ObservationReport)
        product = body.pop("product")
        known = commands.observe(product, environment, actor=self.actor, now=timezone.now(), **body)
        return Response(ObservationsAnswer({"environment": environment.key, "results": known}).data)
