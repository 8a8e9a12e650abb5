"""How the OpenAPI description is made: every operation tells of problems, and transitions look alike."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema as Spectacular
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers


class BlockerBody(serializers.Serializer[Any]):
    """Why a gate is closed."""

    code = serializers.CharField()
    reason = serializers.CharField()
    who_can_clear = serializers.ListField(child=serializers.CharField())
    next_open = serializers.DateTimeField(required=False, allow_null=True)


class ErrorBody(serializers.Serializer[Any]):
    """What is wrong with one field."""

    pointer = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class Problem(serializers.Serializer[Any]):
    """RFC 9457, with what this service adds."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    code = serializers.CharField()
    request_id = serializers.CharField()
    errors = ErrorBody(many=True, required=False)  # type: ignore[assignment]
    blockers = BlockerBody(many=True, required=False)
    next_open = serializers.DateTimeField(required=False)
    allowed_transitions = serializers.ListField(child=serializers.CharField(), required=False)


class TransitionBody(serializers.Serializer[Any]):
    """A transition that leaves the present state; it will succeed iff allowed and there are no blockers."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    source = serializers.CharField()  # type: ignore[assignment]
    target = serializers.CharField()
    allowed = serializers.BooleanField()
    blockers = BlockerBody(many=True)


class EventBody(serializers.Serializer[Any]):
    """One thing that happened to a record."""

    seq = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = serializers.CharField(source="actor.username")
    on_behalf_of = serializers.CharField(source="on_behalf_of.username", default=None)
    kind = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    target = serializers.CharField()
    data = serializers.JSONField()  # type: ignore[assignment]
    request_id = serializers.CharField()
    hash = serializers.CharField()


class BearerToken(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # it registers itself
    """How the description names tokens."""

    target_class = "releasemgmt.accounts.authentication.TokenAuthentication"
    name = "bearerToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer"}


class BrowserSession(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # it registers itself
    """How the description names sessions."""

    target_class = "releasemgmt.accounts.authentication.SessionAuthentication"
    name = "browserSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


IF_MATCH = "The ETag that you read, or `*`. Without it 428; where the record has changed since, 412."
IDEMPOTENCY_KEY = (
    "A text of your choice, kept for 24 hours with the answer: the same POST again is answered from there, with "
    "`Idempotency-Replayed: true`; another body under the same key is a 422."
)


SUMMARIES = {
    "GET list": "List",
    "POST create": "Create",
    "GET retrieve": "Read",
    "PATCH partial_update": "Edit",
    "GET transitions": "What can happen next, and what stands in its way",
    "POST transition": "Make it happen",
    "GET events": "What happened",
    "GET comments": "What people said",
    "POST comments": "Say something",
}


class AutoSchema(Spectacular):
    """Adds a summary, the problem document and the headers of our conventions to every operation."""

    def get_summary(self) -> str:
        view: Any = self.view
        action: str = view.action
        return SUMMARIES.get(f"{self.method} {action}", action.replace("_", " ").capitalize())

    def get_override_parameters(self) -> list[Any]:
        if self.method == "POST":
            return [OpenApiParameter("Idempotency-Key", str, "header", description=IDEMPOTENCY_KEY)]
        if self.method in ("PUT", "PATCH", "DELETE"):
            return [OpenApiParameter("If-Match", str, "header", required=True, description=IF_MATCH)]
        return []

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        problem = self._get_response_for_code(  # type: ignore[no-untyped-call]
            OpenApiResponse(Problem), "default", media_types=["application/problem+json"], direction=direction
        )
        return {**bodies, "default": {**problem, "description": "A problem (RFC 9457)"}}
