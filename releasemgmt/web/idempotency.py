"""Idempotency-Key: the answer to a POST is kept in the transaction that made it, and replayed to whoever asks again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from django.db import IntegrityError, transaction
from django.http import Http404
from django.utils import timezone
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from releasemgmt.web.errors import KeyReused
from releasemgmt.web.models import IdempotentRequest
from releasemgmt.workflow.commands import command

if TYPE_CHECKING:
    from releasemgmt.accounts.models import User

KEPT = timedelta(hours=24)
REPLAYED = "Idempotency-Replayed"
KEPT_HEADERS = ("ETag", "Location")
LONGEST_PATH = 500


def replayable(handler: Callable[..., Response], request: Request, *args: Any, **kwargs: Any) -> Response:
    """Run a POST under its Idempotency-Key. A refusal rolls the row back and so frees the key.

    Two that arrive at once with one key wait for each other at the unique row: the second replays.
    """
    key = request.headers["Idempotency-Key"]
    if not 1 <= len(key) <= 255 or not key.isprintable():
        raise ValidationError({"Idempotency-Key": ["Use 1 to 255 printable characters."]})
    if len(request.path) > LONGEST_PATH:
        raise Http404
    row = {"user": request.user, "path": request.path, "key": key}
    digest = _digest(request)
    try:
        with command():
            with transaction.atomic():
                mine = IdempotentRequest.objects.create(**row, body_digest=digest, created_at=timezone.now())
            response = handler(request, *args, **kwargs)
            mine.status = response.status_code
            mine.answer = json.dumps(response.data, cls=JSONEncoder)
            mine.headers = {name: response[name] for name in KEPT_HEADERS if name in response}
            mine.save(update_fields=["status", "answer", "headers"])
            return response
    except IntegrityError:
        kept = IdempotentRequest.objects.filter(**row).first()
        if kept is None:
            raise
    if kept.body_digest != digest:
        raise KeyReused("This Idempotency-Key was used with another body, or when you saw other teams.")
    return Response(json.loads(kept.answer), status=kept.status, headers={**kept.headers, REPLAYED: "true"})


def forget(*, now: datetime) -> int:
    """Delete what is older than a day; answers how many."""
    return IdempotentRequest.objects.filter(created_at__lt=now - KEPT).delete()[0]


def _digest(request: Request) -> str:
    """SHA-256 of the teams that the caller sees, whose answer is kept, and of the body as it was understood.

    A file counts with its content.
    """
    teams = cast("User", request.user).visible_team_ids()
    sight = "all" if teams is None else sorted(teams)
    if not request.FILES:
        return sha256(json.dumps([sight, request.data], cls=JSONEncoder, sort_keys=True).encode()).hexdigest()
    form: Any = request.data
    parts = [("", sight), *((name, form.getlist(name)) for name in sorted(form) if name not in request.FILES)]
    for name, file in sorted(request.FILES.items()):
        parts.append((name, [sha256(file.read()).hexdigest()]))
        file.seek(0)
    return sha256(json.dumps(parts).encode()).hexdigest()
