"""Change requests over REST."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import commands, queries
from approvals.api.change_model import ChangeModelField
from approvals.models import ChangeRequest
from approvals.queries import Clash
from releasemgmt.catalog.models import Product
from releasemgmt.releases.api.fields import EnvironmentField, ProductField, ReleaseField, UserField, components_of
from releasemgmt.releases.models import Risk
from releasemgmt.web.api import InstantField, RecordSerializer, StatefulViewSet, StrictSerializer

TEXT = 20_000


class ChangeEdit(StrictSerializer):
    """What PATCH takes."""

    type = serializers.ChoiceField(ChangeRequest.Type.choices, required=False)
    model = ChangeModelField(required=False, allow_null=True)
    title = serializers.CharField(max_length=200, required=False)
    justification = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)
    impact = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)
    risk = serializers.ChoiceField(Risk.choices, required=False)
    implementation_plan = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)
    test_plan = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)
    backout_plan = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)
    environments = serializers.ListField(child=EnvironmentField(), max_length=100, required=False)
    components = serializers.ListField(child=serializers.CharField(max_length=60), max_length=200, required=False)
    planned_start = InstantField(required=False, allow_null=True)
    planned_end = InstantField(required=False, allow_null=True)
    outage_expected = serializers.BooleanField(required=False)
    outage_minutes = serializers.IntegerField(min_value=1, max_value=1_000_000, required=False, allow_null=True)
    incident_reference = serializers.CharField(max_length=500, required=False, allow_blank=True)
    requested_by = UserField(required=False)
    implementer = UserField(required=False, allow_null=True)
    releases = serializers.ListField(child=ReleaseField(), max_length=100, required=False)
    void_signoffs = serializers.BooleanField(required=False)


class ChangeCreate(ChangeEdit):
    """What POST takes."""

    product = ProductField()
    title = serializers.CharField(max_length=200)


class ChangeAnswer(RecordSerializer):
    """A change request."""

    product = serializers.CharField(source="product.key")
    type = serializers.CharField()
    model = serializers.CharField(source="model.number", default=None)
    title = serializers.CharField()
    justification = serializers.CharField()
    impact = serializers.CharField()
    risk = serializers.CharField()
    implementation_plan = serializers.CharField()
    test_plan = serializers.CharField()
    backout_plan = serializers.CharField()
    environments = serializers.SerializerMethodField()
    components = serializers.SerializerMethodField()
    planned_start = InstantField()
    planned_end = InstantField()
    outage_expected = serializers.BooleanField()
    outage_minutes = serializers.IntegerField()
    incident_reference = serializers.CharField()
    requested_by = serializers.CharField(source="requested_by.username")
    implementer = serializers.CharField(source="implementer.username", default=None)
    releases = serializers.SerializerMethodField()
    outcome = serializers.CharField()
    review = serializers.CharField()
    unauthorised = serializers.BooleanField()
    retrospective_due_at = InstantField()

    def get_environments(self, change: ChangeRequest) -> list[str]:
        return [environment.key for environment in change.environments.all()]

    def get_components(self, change: ChangeRequest) -> list[str]:
        return [component.key for component in change.components.all()]

    def get_releases(self, change: ChangeRequest) -> list[str]:
        return [release.number for release in change.releases.all()]


class RiskBody(StrictSerializer):
    """Answers to the questionnaire: question → choice, by their keys."""

    answers = serializers.DictField(child=serializers.CharField(max_length=40))
    void_signoffs = serializers.BooleanField(required=False)


class RuleAnswer(serializers.Serializer[Any]):
    """A rule that fires, whatever people answered."""

    code = serializers.CharField()
    reason = serializers.CharField()
    level = serializers.CharField()


class RiskAnswer(serializers.Serializer[Any]):
    """The risk of a change and where it comes from: the highest of the answers, the rules and what people said."""

    risk = serializers.CharField()
    questionnaire = serializers.IntegerField()
    questions = serializers.JSONField()
    thresholds = serializers.JSONField()
    answers = serializers.JSONField()
    score = serializers.IntegerField(allow_null=True)
    level = serializers.CharField(allow_null=True)
    by = serializers.CharField(allow_null=True)
    at = InstantField(allow_null=True)
    rules = RuleAnswer(many=True)


class ConflictAnswer(serializers.Serializer[Any]):
    """What stands in the way; a change of another team is there, and that is all that is said of it."""

    kind = serializers.CharField()
    detail = serializers.CharField()
    other = serializers.SerializerMethodField()
    planned_start = InstantField(source="other.planned_start", default=None)
    planned_end = InstantField(source="other.planned_end", default=None)
    found_at = InstantField()

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_other(self, clash: Clash) -> str | None:
        return clash.other.number if clash.other else None


class ChangeFilters(django_filters.FilterSet):
    """The filters of `changes/`."""

    product = django_filters.CharFilter(field_name="product__key")
    state = django_filters.MultipleChoiceFilter(choices=ChangeRequest.State.choices, distinct=False)
    type = django_filters.MultipleChoiceFilter(choices=ChangeRequest.Type.choices, distinct=False)
    risk = django_filters.MultipleChoiceFilter(choices=Risk.choices, distinct=False)


class ChangeViewSet(StatefulViewSet):
    """Change requests."""

    model = ChangeRequest
    address = "/api/v1/changes/"
    serializer_class = ChangeAnswer
    filterset_class = ChangeFilters
    search_fields = ("title", "justification")
    orderings = ("created_at", "updated_at", "planned_start")
    transition_commands = commands.TRANSITIONS

    def get_queryset(self) -> QuerySet[ChangeRequest]:
        rows = ChangeRequest.objects.visible_to(self.actor)
        rows = rows.select_related("product", "model", "requested_by", "implementer")
        return rows.prefetch_related("environments", "components", "releases")

    @extend_schema(request=ChangeCreate, responses={201: ChangeAnswer})
    def create(self, request: Request) -> Response:
        fields = self.body(ChangeCreate)
        _name_components(fields, fields["product"])
        change = commands.create_change(actor=self.actor, now=timezone.now(), **fields)
        return self.answer(change, status=201)

    @extend_schema(request=ChangeEdit, responses=ChangeAnswer)
    def partial_update(self, request: Request, number: str) -> Response:
        change = self.get_object()
        changes = self.body(ChangeEdit)
        void_signoffs = changes.pop("void_signoffs", False)
        _name_components(changes, change.product)
        with self.guarded(change):
            commands.edit_change(
                change, changes=changes, actor=self.actor, now=timezone.now(), void_signoffs=void_signoffs
            )
        return self.answer(self.get_object())

    @extend_schema(methods=["get"], responses=RiskAnswer)
    @extend_schema(methods=["post"], request=RiskBody, responses={201: RiskAnswer})
    @action(detail=True, methods=["get", "post"], url_path="risk", pagination_class=None)
    def risk(self, request: Request, number: str) -> Response:
        change = self.get_object()
        if request.method != "POST":
            return Response(RiskAnswer(_risk(change)).data)
        commands.answer_risk(change, actor=self.actor, now=timezone.now(), **self.body(RiskBody))
        return Response(RiskAnswer(_risk(self.get_object())).data, status=201)

    @extend_schema(responses=ConflictAnswer(many=True))
    @action(detail=True, methods=["get"], url_path="conflicts", pagination_class=None)
    def conflicts(self, request: Request, number: str) -> Response:
        change = self.get_object()
        found = queries.conflicts_with([change], user=self.actor)
        return Response(ConflictAnswer(found, many=True).data)


def _risk(change: ChangeRequest) -> dict[str, Any]:
    asked, last = queries.questionnaire(), queries.last_assessment(change)
    facts = {name: getattr(last, name, None) for name in ("answers", "score", "level", "at")}
    return {
        **facts,
        "risk": change.risk,
        "questionnaire": asked.version,
        "questions": asked.questions,
        "thresholds": asked.thresholds,
        "by": last.by.username if last else None,
        "rules": queries.rules_about(change),
    }


def _name_components(fields: dict[str, Any], product: Product) -> None:
    if "components" in fields:
        fields["components"] = components_of(product, fields["components"])
