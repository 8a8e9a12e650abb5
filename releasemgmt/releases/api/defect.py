"""Known defects over REST."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from releasemgmt.catalog.models import Product
from releasemgmt.releases import commands
from releasemgmt.releases.api.fields import EnvironmentField, ProductField, components_of
from releasemgmt.releases.models import KnownDefect
from releasemgmt.web.api import InstantField, RecordSerializer, StatefulViewSet, StrictSerializer


class DefectEdit(StrictSerializer):
    """What POST and PATCH take."""

    component = serializers.CharField(max_length=60, required=False, allow_null=True)
    title = serializers.CharField(max_length=200, required=False)
    symptom = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    cause = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    workaround = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    severity = serializers.ChoiceField(KnownDefect.Severity.choices, required=False)
    detected_in = EnvironmentField(required=False, allow_null=True)
    external_reference = serializers.CharField(max_length=500, required=False, allow_blank=True)
    opened_at = InstantField(required=False)


class DefectPatch(DefectEdit):
    """What PATCH takes; a severity from major up is part of what people sign."""

    void_signoffs = serializers.BooleanField(required=False)


class DefectCreate(DefectEdit):
    """What POST takes."""

    product = ProductField()
    title = serializers.CharField(max_length=200)


class DefectAnswer(RecordSerializer):
    """A known defect."""

    product = serializers.CharField(source="product.key")
    component = serializers.CharField(source="component.key", default=None)
    title = serializers.CharField()
    symptom = serializers.CharField()
    cause = serializers.CharField()
    workaround = serializers.CharField()
    severity = serializers.CharField()
    detected_in = serializers.CharField(source="detected_in.key", default=None)
    external_reference = serializers.CharField()
    opened_at = InstantField(allow_null=True)
    reported_by = serializers.CharField(source="reported_by.username")


class DefectFilters(django_filters.FilterSet):
    """The filters of `known-defects/`."""

    product = django_filters.CharFilter(field_name="product__key")
    state = django_filters.MultipleChoiceFilter(choices=KnownDefect.State.choices, distinct=False)
    severity = django_filters.MultipleChoiceFilter(choices=KnownDefect.Severity.choices, distinct=False)


class DefectViewSet(StatefulViewSet):
    """Known defects."""

    model = KnownDefect
    address = "/api/v1/known-defects/"
    serializer_class = DefectAnswer
    filterset_class = DefectFilters
    search_fields = ("title", "symptom", "external_reference")
    orderings = ("created_at", "updated_at", "opened_at")

    def get_queryset(self) -> QuerySet[KnownDefect]:
        rows = KnownDefect.objects.visible_to(self.actor)
        return rows.select_related("product", "component", "detected_in", "reported_by")

    @extend_schema(request=DefectCreate, responses={201: DefectAnswer})
    def create(self, request: Request) -> Response:
        fields = self.body(DefectCreate)
        _name_component(fields, fields["product"])
        defect = commands.create_defect(actor=self.actor, now=timezone.now(), **fields)
        return self.answer(defect, status=201)

    @extend_schema(request=DefectPatch, responses=DefectAnswer)
    def partial_update(self, request: Request, number: str) -> Response:
        defect = self.get_object()
        changes = self.body(DefectPatch)
        void = changes.pop("void_signoffs", False)
        _name_component(changes, defect.product)
        with self.guarded(defect):
            commands.edit_defect(defect, changes=changes, actor=self.actor, now=timezone.now(), void_signoffs=void)
        return self.answer(self.get_object())


def _name_component(fields: dict[str, Any], product: Product) -> None:
    if fields.get("component"):
        fields["component"] = components_of(product, [fields["component"]], field="component")[0]
