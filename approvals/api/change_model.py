"""Models of standard changes over REST."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import commands, queries
from approvals.api.round import SubjectRoundView
from approvals.models import ChangeModel
from approvals.queries import Subject
from releasemgmt.catalog.models import Tier
from releasemgmt.releases.api.fields import NamedField, ProductField
from releasemgmt.web.api import RecordSerializer, RecordViewSet, StrictSerializer
from releasemgmt.web.parsing import check_text

TEXT = 20_000


class ChangeModelField(NamedField):
    """A model of changes by number (`disk-swap@1`), or the newest version of a key."""

    what = "change model"

    def find(self, name: str, user: Any) -> ChangeModel | None:
        return queries.get_change_model(name, user)


class ChangeModelBody(StrictSerializer):
    """A new model, or the next version of an existing one."""

    key = serializers.CharField(max_length=40)
    name = serializers.CharField(max_length=100)
    product = ProductField(required=False, allow_null=True)
    tiers = serializers.ListField(child=serializers.ChoiceField(Tier.choices), max_length=5, required=False)
    components = serializers.ListField(child=serializers.CharField(max_length=60), max_length=200, required=False)
    impact = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)
    implementation_plan = serializers.CharField(max_length=TEXT)
    test_plan = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)
    backout_plan = serializers.CharField(max_length=TEXT)
    pre_approval_days = serializers.IntegerField(min_value=1, max_value=366, required=False)
    success_floor = serializers.IntegerField(min_value=1, max_value=100, required=False)


class ChangeModelAnswer(RecordSerializer):
    """A version of a model of standard changes."""

    key = serializers.CharField()
    version = serializers.IntegerField()
    name = serializers.CharField()
    product = serializers.SerializerMethodField()
    tiers = serializers.ListField(child=serializers.CharField())
    components = serializers.ListField(child=serializers.CharField())
    impact = serializers.CharField()
    implementation_plan = serializers.CharField()
    test_plan = serializers.CharField()
    backout_plan = serializers.CharField()
    pre_approval_days = serializers.IntegerField()
    success_floor = serializers.IntegerField()

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_product(self, model: ChangeModel) -> str | None:
        return model.product.key if model.product else None


class ChangeModelDetail(ChangeModelAnswer):
    """The same with how its pre-approval stands now."""

    pre_approval = serializers.SerializerMethodField()

    def get_pre_approval(self, model: ChangeModel) -> dict[str, Any]:
        found = queries.change_pre_approval(model, now=timezone.now())
        return {
            "holds": found.holds,
            "expires_at": found.expires_at,
            "success_rate": found.success_rate,
            "blockers": [blocker.as_json() for blocker in found.blockers],
        }


class ChangeModelViewSet(RecordViewSet):
    """Models of standard changes, each version addressed as `disk-swap@1`; `disk-swap` is the newest."""

    model = ChangeModel
    address = "/api/v1/change-models/"
    serializer_class = ChangeModelAnswer
    search_fields = ("key", "name")

    def get_queryset(self) -> QuerySet[ChangeModel]:
        return ChangeModel.objects.visible_to(self.actor).select_related("product")

    def by_number(self, rows: QuerySet[Any], number: str) -> Any:
        return queries.get_change_model(number, self.actor)

    @extend_schema(responses=ChangeModelDetail)
    def retrieve(self, request: Request, number: str) -> Response:
        self.serializer_class = ChangeModelDetail
        return self.answer(self.get_object())

    @extend_schema(request=ChangeModelBody, responses={201: ChangeModelAnswer})
    def create(self, request: Request) -> Response:
        return self.answer(commands.create_change_model(actor=self.actor, **self.body(ChangeModelBody)), status=201)


class ChangeModelRoundView(SubjectRoundView):
    """The current round on the pre-approval of a change model."""

    def subject(self) -> Subject:
        check_text(self.kwargs["number"])
        model = queries.get_change_model(self.kwargs["number"], self.actor)
        if model is None:
            raise Http404
        return model
