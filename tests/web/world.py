"""Callers of the REST API: somebody with a token of their own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from rest_framework.test import APIClient

from releasemgmt.accounts.commands import create_token, system
from releasemgmt.accounts.models import Scope, User
from releasemgmt.workflow.models import Aggregate, Event

API = "/api/v1"


def token_for(user: User, *, scopes: Sequence[str] = tuple(Scope.values), now: datetime | None = None) -> str:
    """The secret of a new token that is valid for an hour from `now`."""
    now = now or timezone.now()
    _token, secret = create_token(
        user, name="test", scopes=scopes, expires_at=now + timedelta(hours=1), actor=system(), now=now
    )
    return secret


class Caller(APIClient):
    """An HTTP client that shows a user's token; an exception of the service is an answer, as for anybody outside."""

    def __init__(self, user: User, *, scopes: Sequence[str] = tuple(Scope.values)) -> None:
        super().__init__(raise_request_exception=False)
        self.user = user
        self.credentials(HTTP_AUTHORIZATION=f"Bearer {token_for(user, scopes=scopes)}")

    def refused(self, method: str, path: str, body: Any = None, *, status: int, **headers: str) -> Any:
        """A request that must end with this status; answers the problem document after a look at its shape."""
        send = getattr(self, method)
        answer = send(path, body, headers=headers) if body is not None else send(path, headers=headers)
        assert answer.status_code == status, answer.content
        return problem(answer)


def problem(answer: Any) -> Any:
    """The problem document of an answer, which has every member of RFC 9457 that we promise."""
    assert answer["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["request_id"] == answer["X-Request-ID"]
    assert {"type", "title", "detail", "instance", "code"} <= set(document)
    return document


def picture(record: Aggregate) -> tuple[Any, ...]:
    """State, revision and stream of a record as the database has them: what a refusal leaves unchanged."""
    fresh = type(record)._base_manager.get(pk=record.pk)
    events = Event.objects.filter(stream=record.stream).count()
    return getattr(fresh, "state", None), fresh.revision, fresh.event_seq, fresh.event_hash, events
