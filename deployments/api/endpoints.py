"""Endpoints of webhook tasks over REST; their secrets go in and never come out."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from deployments import commands
from deployments.models import WebhookEndpoint
from deployments.models.endpoint import LONGEST_MINUTES
from releasemgmt.releases.api.fields import ProductField
from releasemgmt.web.api import StrictSerializer, View, etag


class SecretBody(StrictSerializer):
    """`whsec_` and the base64 of 24 to 64 random bytes."""

    secret = serializers.CharField(max_length=200, write_only=True)


class EndpointEdit(StrictSerializer):
    """What PATCH takes."""

    url = serializers.CharField(max_length=500, required=False)
    time_limit_minutes = serializers.IntegerField(min_value=1, max_value=LONGEST_MINUTES, required=False)
    is_active = serializers.BooleanField(required=False)


class EndpointCreate(SecretBody):
    """What POST takes."""

    product = ProductField()
    key = serializers.CharField(max_length=40)
    url = serializers.CharField(max_length=500)
    time_limit_minutes = serializers.IntegerField(min_value=1, max_value=LONGEST_MINUTES, required=False)


class EndpointAnswer(serializers.Serializer[Any]):
    """An endpoint; its revision is its product's."""

    id = serializers.IntegerField()
    product = serializers.CharField(source="product.key")
    key = serializers.CharField()
    url = serializers.CharField()
    time_limit_minutes = serializers.IntegerField()
    is_active = serializers.BooleanField()
    revision = serializers.IntegerField(source="product.revision")


class EndpointFilters(django_filters.FilterSet):
    """The filters of `webhook-endpoints/`."""

    product = django_filters.CharFilter(field_name="product__key")
    is_active = django_filters.BooleanFilter()


class EndpointViewSet(View):
    """Endpoints, addressed by id; their ETag is their product's."""

    address = "/api/v1/webhook-endpoints/"
    serializer_class = EndpointAnswer
    filterset_class = EndpointFilters
    lookup_value_regex = "[0-9]{1,18}"
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[WebhookEndpoint]:
        return WebhookEndpoint.objects.visible_to(self.actor).select_related("product")

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(EndpointAnswer(page, many=True).data)

    def retrieve(self, request: Request, pk: str) -> Response:
        return self.answer(self.found(pk))

    @extend_schema(request=EndpointCreate, responses={201: EndpointAnswer})
    def create(self, request: Request) -> Response:
        endpoint = commands.create_endpoint(actor=self.actor, **self.body(EndpointCreate))
        return self.answer(endpoint, status=201, Location=f"{self.address}{endpoint.pk}/")

    @extend_schema(request=EndpointEdit, responses=EndpointAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        endpoint = self.found(pk)
        with self.guarded(endpoint.product):
            commands.edit_endpoint(endpoint, changes=self.body(EndpointEdit), actor=self.actor)
        return self.answer(self.found(pk))

    @extend_schema(request=SecretBody, responses=EndpointAnswer)
    @action(detail=True, methods=["post"], url_path="secret")
    def secret(self, request: Request, pk: str) -> Response:
        endpoint = self.found(pk)
        with self.guarded(endpoint.product, required=False):
            commands.renew_secret(endpoint, actor=self.actor, **self.body(SecretBody))
        return self.answer(self.found(pk))

    def found(self, pk: str) -> WebhookEndpoint:
        """The endpoint, if the caller sees its product."""
        return get_object_or_404(self.get_queryset(), pk=pk)

    def answer(self, endpoint: WebhookEndpoint, status: int = 200, **headers: str) -> Response:
        """The endpoint's JSON with the ETag of its product."""
        body = EndpointAnswer(endpoint).data
        return Response(body, status=status, headers={"ETag": etag(endpoint.product), **headers})
