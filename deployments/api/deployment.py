"""Deployments over REST: what was done, and what pipelines report."""

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
from deployments.api.fields import DeploymentField, ReleaseFilter
from deployments.models import Deployment
from releasemgmt.accounts.models import Scope
from releasemgmt.releases.api.fields import EnvironmentField, ProductField, ReleaseField
from releasemgmt.releases.models.build import DIGEST
from releasemgmt.releases.queries import registered
from releasemgmt.web.api import InstantField, StrictSerializer, View


class DeploymentReport(StrictSerializer):
    """A deployment that is over, or that is to begin (`running`); `builds` are by default those of the release.

    `product` is needed only where neither a release nor a registered build says which it is.
    """

    product = ProductField(required=False)
    release = ReleaseField(required=False)
    environment = EnvironmentField()
    builds = serializers.ListField(
        child=serializers.CharField(max_length=80, trim_whitespace=False, validators=[DIGEST]),
        max_length=200,
        required=False,
    )
    kind = serializers.ChoiceField(Deployment.Kind.choices, required=False)
    status = serializers.ChoiceField(Deployment.Status.choices)
    started_at = InstantField()
    finished_at = InstantField(required=False, allow_null=True)
    external_id = serializers.CharField(max_length=200, required=False, allow_blank=True)
    remediates = DeploymentField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The digests as builds, and those that nobody registered."""
        digests = attrs.pop("builds", [])
        product = attrs["release"].product if attrs.get("release") else attrs.get("product")
        found = registered(digests, user=self.context["request"].user, product=product)
        unregistered = list(dict.fromkeys(digest for digest in digests if digest not in found))
        return {**attrs, "builds": [found[each] for each in digests if each in found], "unregistered": unregistered}


class DeploymentAnswer(serializers.Serializer[Any]):
    """One attempt; `unregistered` are digests that nobody had registered, `change` is what puts it on record."""

    id = serializers.IntegerField()
    plan = serializers.CharField(source="plan.number", default=None)
    product = serializers.CharField(source="product.key")
    release = serializers.CharField(source="release.number", default=None)
    environment = serializers.CharField(source="environment.key")
    builds = serializers.SerializerMethodField()
    unregistered = serializers.SerializerMethodField()
    kind = serializers.CharField()
    origin = serializers.CharField()
    status = serializers.CharField()
    started_at = InstantField()
    finished_at = InstantField()
    external_id = serializers.CharField()
    remediates = serializers.IntegerField(source="remediates_id")
    unauthorised = serializers.BooleanField()
    change = serializers.CharField(source="change.number", default=None)
    reported_by = serializers.CharField(source="reported_by.username", default=None)

    def get_builds(self, deployment: Deployment) -> list[str]:
        return [build.digest for build in deployment.builds.all()]

    def get_unregistered(self, deployment: Deployment) -> list[str]:
        return [each.digest for each in deployment.unregistered.all()]


class DeploymentFilters(django_filters.FilterSet):
    """The filters of `deployments/`."""

    product = django_filters.CharFilter(field_name="product__key")
    release = ReleaseFilter()
    environment = django_filters.CharFilter(field_name="environment__key")
    status = django_filters.MultipleChoiceFilter(choices=Deployment.Status.choices, distinct=False)
    kind = django_filters.MultipleChoiceFilter(choices=Deployment.Kind.choices, distinct=False)
    origin = django_filters.ChoiceFilter(choices=Deployment.Origin.choices)
    unauthorised = django_filters.BooleanFilter()
    external_id = django_filters.CharFilter()
    change = django_filters.CharFilter(method="recorded_as")

    def recorded_as(self, rows: Any, _name: str, value: str) -> Any:
        """The one that this change puts on record."""
        digits = value.removeprefix("CHG-")
        is_number = digits.isascii() and digits.isdigit() and len(digits) < 19
        return rows.filter(change=int(digits)) if is_number else rows.none()


class OutcomeBody(StrictSerializer):
    """Why it ended so, if there is something to say."""

    reason = serializers.CharField(max_length=5_000, required=False, allow_blank=True)


class DeploymentViewSet(View):
    """Deployments: by plans, and by pipelines, begun where the gates let them or reported when they are finished."""

    serializer_class = DeploymentAnswer
    filterset_class = DeploymentFilters
    scopes = (Scope.DEPLOY,)
    lookup_value_regex = "[0-9]{1,18}"
    ordering = ("-started_at", "-id")

    def get_queryset(self) -> QuerySet[Deployment]:
        rows = Deployment.objects.visible_to(self.actor)
        named = ("plan", "product", "release", "environment", "reported_by", "change")
        return rows.select_related(*named).prefetch_related("builds", "unregistered")

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(DeploymentAnswer(page, many=True).data)

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(DeploymentAnswer(get_object_or_404(self.get_queryset(), pk=pk)).data)

    @extend_schema(request=DeploymentReport, responses={200: DeploymentAnswer, 201: DeploymentAnswer})
    def create(self, request: Request) -> Response:
        report = {"finished_at": None} | self.body(DeploymentReport)
        deployment, new = commands.report_deployment(actor=self.actor, now=timezone.now(), **report)
        return Response(DeploymentAnswer(deployment).data, status=201 if new else 200)

    @extend_schema(request=OutcomeBody, responses=DeploymentAnswer)
    @action(detail=True, methods=["post"], url_path="transitions/(?P<end>succeed|fail|cancel)")
    def end(self, request: Request, pk: str, end: str) -> Response:
        found = get_object_or_404(self.get_queryset(), pk=pk)
        said = self.body(OutcomeBody)
        commands.end_deployment(found, status=commands.ENDS[end], actor=self.actor, now=timezone.now(), **said)
        return self.retrieve(request, pk)
