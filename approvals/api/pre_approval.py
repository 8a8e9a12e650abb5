"""The pre-approval of a release model over REST: how it stands, and its end."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import commands, queries
from approvals.queries import PreApproval
from releasemgmt.catalog.models import ReleaseModel
from releasemgmt.catalog.queries import get_model
from releasemgmt.web.api import InstantField, StrictSerializer, View
from releasemgmt.web.parsing import check_text


class EndBody(StrictSerializer):
    """Why it ends."""

    reason = serializers.CharField(max_length=5_000)


class PreApprovalAnswer(serializers.Serializer[Any]):
    """Whether releases under the model need no round of their own, and if they do, why.

    `known` is how many of the last 20 production deployments there are, `wrong` how many of these went wrong; null
    where that can't be told.
    """

    model = serializers.CharField(source="model.number")
    holds = serializers.BooleanField()
    reasons = serializers.ListField(child=serializers.CharField())
    round = serializers.IntegerField(source="round.pk", default=None)
    until = InstantField()
    known = serializers.SerializerMethodField()
    wrong = serializers.SerializerMethodField()
    fail_rate_ceiling = serializers.IntegerField(source="model.fail_rate_ceiling")

    def get_known(self, found: PreApproval) -> int | None:
        return found.record[0] if found.record else None

    def get_wrong(self, found: PreApproval) -> int | None:
        return found.record[1] if found.record else None


class PreApprovalView(View):
    """The pre-approval of a release model."""

    @extend_schema(responses=PreApprovalAnswer)
    def show(self, request: Request, number: str) -> Response:
        return self._answer(self._model(number))

    @extend_schema(request=EndBody, responses=PreApprovalAnswer)
    def end(self, request: Request, number: str) -> Response:
        model = self._model(number)
        commands.end_pre_approval(model, actor=self.actor, now=timezone.now(), **self.body(EndBody))
        return self._answer(model)

    def _answer(self, model: ReleaseModel) -> Response:
        return Response(PreApprovalAnswer(queries.model_approval(model, now=timezone.now())).data)

    def _model(self, number: str) -> ReleaseModel:
        check_text(number)
        model = get_model(number)
        if model is None:
            raise Http404
        return model
