"""Preparation over REST: what a product asks for, and a plan's list with what was found of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from deployments import commands, queries
from deployments.models import PreparationItem, PreparationKind
from deployments.policies.preparation import MOST_ITEMS
from releasemgmt.accounts import roles
from releasemgmt.catalog.models import Product, Tier
from releasemgmt.web.access import check_query
from releasemgmt.web.api import InstantField, StrictSerializer, View, etag

if TYPE_CHECKING:
    from releasemgmt.web.api import StatefulViewSet as Base
else:
    Base = object


class ItemBody(StrictSerializer):
    """What is asked for; only what is `other` has a title."""

    kind = serializers.ChoiceField(PreparationKind.choices)
    title = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class ListBody(StrictSerializer):
    """A whole list, in its order."""

    items = serializers.ListField(child=ItemBody(), max_length=MOST_ITEMS)


class ListAnswer(serializers.Serializer[Any]):
    """What is asked for before a plan into environments of a tier is ready."""

    tier = serializers.CharField()
    items = ItemBody(many=True)


class VerificationBody(StrictSerializer):
    """What was found of an item: with `holds` false it is on record that it does not hold.

    The configuration's `digest` is that of the item as it was read; the artifacts' `digests` are by component.
    """

    kind = serializers.ChoiceField(PreparationKind.choices)
    title = serializers.CharField(max_length=200, required=False, allow_blank=True)
    evidence = serializers.CharField(max_length=20_000)
    holds = serializers.BooleanField(required=False)
    digest = serializers.CharField(max_length=80, required=False, allow_blank=True)
    digests = serializers.DictField(child=serializers.CharField(max_length=80), required=False)


class CheckAnswer(serializers.Serializer[Any]):
    """An item of a plan's list: `verified`, `missing`, `outdated` or `refuted`, and why it is not verified."""

    kind = serializers.CharField()
    title = serializers.CharField()
    name = serializers.CharField()
    state = serializers.CharField()
    reason = serializers.CharField()
    who_can_clear = serializers.ListField(child=serializers.CharField())
    digest = serializers.CharField()
    evidence = serializers.CharField(source="verification.evidence", default="")
    digests = serializers.DictField(source="verification.digests", default=dict)
    by = serializers.CharField(source="verification.by.username", default=None)
    at = InstantField(source="verification.at", default=None)
    test_run = serializers.IntegerField(source="run.pk", default=None)


class FoundAnswer(serializers.Serializer[Any]):
    """What was found of a component's artifact: its digest, or the problem."""

    component = serializers.CharField()
    address = serializers.CharField()
    digest = serializers.CharField()
    problem = serializers.CharField()


class LookupAnswer(serializers.Serializer[Any]):
    """What the service found where the artifacts are kept; until `ended_at` is there, it has not looked yet.

    `verified` and `problems` say what came of it: without any problem the list has the item, verified or refuted.
    """

    asked_by = serializers.CharField(source="asked_by.username")
    asked_at = InstantField()
    ended_at = InstantField(allow_null=True)
    verified = serializers.BooleanField(source="verification.holds", default=None, allow_null=True)
    found = FoundAnswer(many=True)
    problems = serializers.ListField(child=serializers.CharField())


class PreparationView(View):
    """What a product asks for before its plans are ready, tier by tier; for administrators to write."""

    serializer_class = ListAnswer

    @property
    def product(self) -> Product:
        return get_object_or_404(self.get_queryset(), key=self.kwargs["number"])

    def get_queryset(self) -> QuerySet[Product]:
        return roles.visible_to(self.actor, Product.objects.all(), team="team")

    @extend_schema(responses=ListAnswer(many=True))
    def list(self, request: Request, number: str) -> Response:
        check_query(request, ())
        asked = queries.asked_in(self.product)
        return Response([_list(tier, items) for tier, items in asked.items()])

    @extend_schema(request=ListBody, responses=ListAnswer)
    def update(self, request: Request, number: str, tier: str) -> Response:
        product = self.product
        if tier not in Tier.values:
            raise Http404
        items = [(item["kind"], item["title"]) for item in self.body(ListBody)["items"]]
        with self.guarded(product):
            product = commands.ask_for(product, tier=tier, items=items, actor=self.actor)
        answer = _list(tier, queries.asked_in(product).get(tier, []))
        return Response(answer, headers={"ETag": etag(product)})


def _list(tier: str, items: list[PreparationItem]) -> Any:
    return ListAnswer({"tier": tier, "items": items}).data


class PreparationActions(Base):
    """The part of a plan's view set that is about its list."""

    @extend_schema(methods=["get"], responses=CheckAnswer(many=True))
    @extend_schema(methods=["post"], request=VerificationBody, responses={201: CheckAnswer})
    @action(detail=True, methods=["get", "post"], url_path="preparation", pagination_class=None)
    def preparation(self, request: Request, number: str) -> Response:
        """The list as it stands; POST says, with evidence, what was found of an item."""
        plan = self.get_object()
        if request.method != "POST":
            check_query(request, ())
            return Response(CheckAnswer(queries.checklist(plan), many=True).data)
        body = self.body(VerificationBody)
        with self.guarded(plan, required=False):
            said = commands.verify(plan, actor=self.actor, now=timezone.now(), **body)
            check = next(each for each in queries.checklist(plan) if each.verification == said)
        return Response(CheckAnswer(check).data, status=201)

    @extend_schema(methods=["get"], responses=LookupAnswer)
    @extend_schema(methods=["post"], request=None, responses={202: LookupAnswer})
    @action(detail=True, methods=["get", "post"], url_path="preparation/lookup", pagination_class=None)
    def lookup(self, request: Request, number: str) -> Response:
        """What the service found of the artifacts when it looked last; POST asks it to look."""
        plan = self.get_object()
        check_query(request, ())
        if request.method != "POST":
            if (latest := queries.last_lookup(plan)) is None:
                raise Http404
            return Response(LookupAnswer(latest).data)
        self.body(StrictSerializer)
        with self.guarded(plan, required=False):
            asked = commands.ask_to_look_up(plan, actor=self.actor, now=timezone.now())
        return Response(LookupAnswer(asked).data, status=202)
