"""What endpoints tell us: how a webhook task ended, signed with the secret that the call was signed with."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from deployments import commands
from deployments.executors.outward import NotSent
from deployments.executors.webhook import secret_of
from deployments.models import WebhookCall, WebhookEndpoint
from releasemgmt.integrations.standard_webhooks import Forged, verify
from releasemgmt.web.api import StrictSerializer
from releasemgmt.web.parsing import StrictJSONParser


class CallbackBody(StrictSerializer):
    """How a task ended; `task` and `fencing_token` are those of the call."""

    task = serializers.IntegerField(min_value=0)
    fencing_token = serializers.IntegerField(min_value=0, max_value=2**31 - 1)
    status = serializers.ChoiceField([(state.value, state.label) for state in WebhookCall.REPORTED])
    evidence = serializers.CharField(max_length=20_000, required=False, allow_blank=True)


class CallbackAnswer(serializers.Serializer[Any]):
    """The task as it is now."""

    task = serializers.IntegerField(source="pk")
    state = serializers.CharField()


class CallbackViewSet(ViewSet):
    """Callbacks of webhook tasks. Nobody signs in: the signature over the raw bytes says who it is."""

    authentication_classes = ()
    permission_classes = ()
    serializer_class = CallbackBody

    def get_authenticate_header(self, request: Request) -> str:
        return "Webhook-Signature"

    @extend_schema(request=CallbackBody, responses=CallbackAnswer, auth=[])
    def create(self, request: Request, pk: str) -> Response:
        raw = request.body
        endpoint = self.verified(request, raw, pk)
        body = CallbackBody(data=StrictJSONParser().parse(BytesIO(raw)))
        body.is_valid(raise_exception=True)
        task = commands.report_call(endpoint, now=timezone.now(), **body.validated_data)
        return Response(CallbackAnswer(task).data)

    def verified(self, request: Request, raw: bytes, pk: str) -> WebhookEndpoint:
        """The endpoint whose secret signed the bytes; one that does not exist signs nothing."""
        endpoint = WebhookEndpoint.objects.active().filter(pk=pk).select_related("product").first()
        try:
            if endpoint is None:
                raise Forged("The signature does not fit.")
            verify(raw, request.headers, secret=secret_of(endpoint), now=timezone.now())
        except (Forged, NotSent) as error:
            raise NotAuthenticated(str(error)) from error
        return endpoint
