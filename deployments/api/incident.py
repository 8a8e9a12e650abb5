"""Incidents over REST."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from deployments import commands, queries
from deployments.api.fields import DeploymentField
from deployments.models import Incident
from releasemgmt.accounts import roles
from releasemgmt.catalog.models import Product
from releasemgmt.releases.api.fields import EnvironmentField, ProductField, components_of
from releasemgmt.web.api import IF_MATCH, InstantField, RecordSerializer, RecordViewSet, StrictSerializer, by_prefix

#: What people and monitors report; only a history from elsewhere has notices.
KINDS = [choice for choice in Incident.Kind.choices if choice[0] != Incident.Kind.NOTICE]


class IncidentEdit(StrictSerializer):
    """What PATCH takes: `restored_at` ends it, who names `caused_by` or `fixed_by` confirms it."""

    environment = EnvironmentField(required=False)
    components = serializers.ListField(child=serializers.CharField(max_length=60), max_length=200, required=False)
    title = serializers.CharField(max_length=200, required=False)
    severity = serializers.ChoiceField(Incident.Severity.choices, required=False)
    kind = serializers.ChoiceField(KINDS, required=False)
    started_at = InstantField(required=False)
    detected_at = InstantField(required=False, allow_null=True)
    restored_at = InstantField(required=False, allow_null=True)
    caused_by = DeploymentField(required=False, allow_null=True)
    fixed_by = DeploymentField(required=False, allow_null=True)


class IncidentCreate(IncidentEdit):
    """What POST takes."""

    product = ProductField()
    environment = EnvironmentField()
    title = serializers.CharField(max_length=200)
    kind = serializers.ChoiceField(KINDS)
    started_at = InstantField()


class WithdrawBody(StrictSerializer):
    """Why it was recorded in error."""

    reason = serializers.CharField(max_length=5_000)


class InferredAnswer(serializers.Serializer[Any]):
    """The deployments that the service suspects, where a person has confirmed none."""

    caused_by = serializers.IntegerField(allow_null=True)
    fixed_by = serializers.IntegerField(allow_null=True)


class IncidentAnswer(RecordSerializer):
    """An incident as lists show it; its state follows from what is known of it."""

    product = serializers.CharField(source="product.key")
    environment = serializers.CharField(source="environment.key", default=None)
    components = serializers.SerializerMethodField()
    title = serializers.CharField()
    severity = serializers.CharField()
    kind = serializers.CharField()
    started_at = InstantField()
    detected_at = InstantField()
    restored_at = InstantField()
    caused_by = serializers.IntegerField(source="caused_by_id")
    cause_confirmed_by = serializers.CharField(source="cause_confirmed_by.username", default=None)
    fixed_by = serializers.IntegerField(source="fixed_by_id")
    fix_confirmed_by = serializers.CharField(source="fix_confirmed_by.username", default=None)
    planned = serializers.BooleanField()
    external_id = serializers.CharField()
    reported_by = serializers.CharField(source="reported_by.username", default=None)
    recorded_at = InstantField()

    def get_state(self, obj: Any) -> str:
        return str(obj.state)

    def get_permissions(self, obj: Any) -> list[str]:
        may = not obj.withdrawn and roles.edit_records(self.context["request"].user, obj)
        return ["edit", "withdraw"] if may else []

    def get_components(self, incident: Incident) -> list[str]:
        return sorted(component.key for component in incident.components.all())


class IncidentDetail(IncidentAnswer):
    """An incident with what the service suspects."""

    inferred = serializers.SerializerMethodField()

    @extend_schema(responses=InferredAnswer)
    def get_inferred(self, incident: Incident) -> dict[str, int | None]:
        found = queries.suspects(incident)
        return {name: each.pk if each else None for name, each in (("caused_by", found.cause), ("fixed_by", found.fix))}


class IncidentFilters(django_filters.FilterSet):
    """The filters of `incidents/`."""

    product = django_filters.CharFilter(field_name="product__key")
    environment = django_filters.CharFilter(field_name="environment__key")
    state = django_filters.MultipleChoiceFilter(choices=Incident.State.choices, method="in_state")
    kind = django_filters.MultipleChoiceFilter(choices=Incident.Kind.choices, distinct=False)
    severity = django_filters.MultipleChoiceFilter(choices=Incident.Severity.choices, distinct=False)
    planned = django_filters.BooleanFilter()
    caused_by = django_filters.NumberFilter(field_name="caused_by_id", min_value=0, max_value=2**63 - 1)

    def in_state(self, rows: QuerySet[Incident], _name: str, states: list[str]) -> QuerySet[Incident]:
        found = Q()
        for state in states:
            found |= Incident.STATES[state]
        return rows.filter(found)


class IncidentViewSet(RecordViewSet):
    """Incidents: when a product was down or degraded."""

    model = Incident
    address = "/api/v1/incidents/"
    serializer_class = IncidentDetail
    filterset_class = IncidentFilters
    search_fields = ("title", "external_id")
    orderings = ("started_at", "restored_at", "created_at", "updated_at")
    ordering = ("-started_at", "-id")

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return IncidentAnswer if self.action == "list" else IncidentDetail

    def get_queryset(self) -> QuerySet[Incident]:
        rows = Incident.objects.visible_to(self.actor).prefetch_related("components")
        return rows.select_related("product", "environment", "reported_by", "cause_confirmed_by", "fix_confirmed_by")

    def by_number(self, rows: QuerySet[Any], number: str) -> Any:
        return by_prefix(rows, Incident.NUMBER_PREFIX, number)

    @extend_schema(request=IncidentCreate, responses={201: IncidentDetail})
    def create(self, request: Request) -> Response:
        fields = self.body(IncidentCreate)
        _name_components(fields, fields["product"])
        incident = commands.report_incident(actor=self.actor, now=timezone.now(), **fields)
        return self.answer(incident, status=201)

    @extend_schema(request=IncidentEdit, responses=IncidentDetail)
    def partial_update(self, request: Request, number: str) -> Response:
        incident = self.get_object()
        changes = self.body(IncidentEdit)
        _name_components(changes, incident.product)
        with self.guarded(incident):
            commands.correct_incident(incident, changes=changes, actor=self.actor, now=timezone.now())
        return self.answer(self.get_object())

    @extend_schema(parameters=[IF_MATCH], request=WithdrawBody, responses=IncidentDetail)
    @action(detail=True, methods=["post"], url_path="withdraw")
    def withdraw(self, request: Request, number: str) -> Response:
        incident, said = self.get_object(), self.body(WithdrawBody)
        with self.guarded(incident, required=False):
            commands.withdraw_incident(incident, actor=self.actor, now=timezone.now(), **said)
        return self.answer(self.get_object())


def _name_components(fields: dict[str, Any], product: Product) -> None:
    if "components" in fields:
        fields["components"] = components_of(product, fields["components"])
