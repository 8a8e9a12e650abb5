"""Refusals and errors as RFC 9457 problem documents: one shape for every answer that is not a success."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.template.loader import render_to_string
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from releasemgmt.workflow import errors
from releasemgmt.workflow.commands import refuse, request_id

if TYPE_CHECKING:
    from releasemgmt.accounts.models import User

log = structlog.get_logger()

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = "5"
STATUS: dict[type[errors.Refused], int] = {
    errors.Invalid: 400,
    errors.NotPermitted: 403,
    errors.Absent: 404,
    errors.WrongState: 409,
    errors.Blocked: 409,
    errors.Stale: 412,
    errors.Conflict: 409,
}


AWAY = (OperationalError, InterfaceError)
PLAIN: tuple[tuple[Any, int, str, str], ...] = (
    (Http404, 404, "not_found", "There is no such thing, or you may not see it."),
    (PermissionDenied, 403, "not_permitted", "You may not do this."),
    (AWAY, 503, "unavailable", "The database does not answer. Try again."),
    (IntegrityError, 409, "conflict", "Somebody else wrote at the same moment. Read again, then try again."),
    (DataError, 400, "invalid", "A value is larger than can be stored."),
    (RequestDataTooBig, 413, "too_large", "The body is larger than is read."),
    (UnreadablePostError | SuspiciousOperation, 400, "malformed", "The request can't be read."),
)
SERVER_ERRORS = 500
#: What an operator wants to see; the others are the caller's to mend.
LOGGED = {409, 500, 503}


class PreconditionFailed(exceptions.APIException):
    """If-Match names another revision than the record has (412)."""

    status_code = 412
    default_code = "stale"


class PreconditionRequired(exceptions.APIException):
    """If-Match is missing (428)."""

    status_code = 428
    default_code = "precondition_required"


class KeyReused(exceptions.APIException):
    """An Idempotency-Key came again with another body (422)."""

    status_code = 422
    default_code = "idempotency_key_reused"


class TooLarge(exceptions.APIException):
    """The body is larger than is read (413)."""

    status_code = 413
    default_code = "too_large"


def status_of(refused: errors.Refused) -> int:
    """The HTTP status of a refusal."""
    return next(status for kind, status in STATUS.items() if isinstance(refused, kind))


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's hook: any exception of a view becomes a problem document; audited refusals go on the caller's stream."""
    request = context["request"]
    try:
        answer = _answer(request, error)
        noted = getattr(error, "audited", False) or isinstance(error, exceptions.PermissionDenied)
        if getattr(context["view"], "notes_refusals", False) and not noted:
            _note(request, answer)
        return answer
    except AWAY as away:
        return _answer(request, away)


def _note(request: Request, answer: Response) -> None:
    """Put what is not audited by itself on the caller's stream too: an unreadable body, a record out of sight."""
    if request.method not in SAFE_METHODS and getattr(request.user, "pk", None) and answer.status_code < SERVER_ERRORS:
        said = errors.Refused(str(answer.data["detail"]), code=str(answer.data["code"]), audited=True)
        refuse(cast("User", request.user), said, subject=request.path)


def _answer(request: HttpRequest, error: Exception) -> Response:
    if isinstance(error, errors.Refused):
        if getattr(request.user, "pk", None):
            refuse(cast("User", request.user), error, subject=request.path)
        return _problem(request, status_of(error), error.code, error.detail, **error.extra())
    if isinstance(error, exceptions.ValidationError):
        found = list(_pointers(error.get_full_details()))
        detail = " ".join(dict.fromkeys(str(item["detail"]) for item in found))
        return _problem(request, 400, "invalid", detail, errors=found)
    if isinstance(error, exceptions.APIException):
        return _from_drf(request, error)
    status, code, detail = _plain(error)
    if status in LOGGED:
        log.error(code, path=request.path, exc_info=error)
    answer = _problem(request, status, code, detail)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        answer["Retry-After"] = RETRY_AFTER
    return answer


def _plain(error: BaseException | None) -> tuple[int, str, str]:
    """Status, code and detail of an exception that is neither ours nor DRF's."""
    for kinds, status, code, detail in PLAIN:
        if isinstance(error, kinds):
            return status, code, detail
    return 500, "error", "Something went wrong here; the request's id helps to find it."


def _from_drf(request: HttpRequest, error: exceptions.APIException) -> Response:
    code = getattr(error.detail, "code", None) or error.default_code
    if isinstance(error, exceptions.PermissionDenied) and getattr(request.user, "pk", None):
        refuse(cast("User", request.user), errors.NotPermitted(str(error.detail)), subject=request.path)
    answer = _problem(request, error.status_code, str(code), str(error.detail))
    if isinstance(error, exceptions.AuthenticationFailed | exceptions.NotAuthenticated):
        answer["WWW-Authenticate"] = getattr(error, "auth_header", "Bearer")
    return answer


def _pointers(details: Any, path: str = "") -> list[dict[str, str]]:
    if isinstance(details, Mapping) and set(details) == {"message", "code"}:
        return [{"pointer": path or "/", "code": str(details["code"]), "detail": str(details["message"])}]
    if isinstance(details, Mapping):
        return [item for key, value in details.items() for item in _pointers(value, _join(path, str(key)))]
    found = []
    for index, value in enumerate(details):
        leaf = isinstance(value, Mapping) and set(value) == {"message", "code"}
        found += _pointers(value, path if leaf else _join(path, str(index)))
    return found


def _join(path: str, key: str) -> str:
    return path if key == "non_field_errors" else f"{path}/{key}"


def _body(request: HttpRequest, status: int, code: str, detail: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": f"urn:releasemgmt:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.path,
        "code": code,
        "request_id": request_id.get(),
        **extra,
    }


def _problem(request: HttpRequest, status: int, code: str, detail: str, **extra: Any) -> Response:
    return Response(_body(request, status, code, detail, extra), status=status, content_type=CONTENT_TYPE)


# --- outside of REST views: unknown addresses, and whatever fails in a middleware or a page ---


@csrf_exempt
def no_such_address(request: HttpRequest) -> HttpResponse:
    """Any address under `/api/` that nobody serves; without the slash at its end it is another address."""
    hint = "" if request.path.endswith("/") else " Addresses here end with a slash."
    return _document(request, 404, "not_found", f"There is no such address.{hint}")


def absent(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's hook for 404."""
    return _page(request, *_plain(Http404()))


def failed(request: HttpRequest) -> HttpResponse:
    """Django's hook for an exception that nothing caught; with the database away it is a 503, for pages too."""
    return _page(request, *_plain(sys.exception()))


def _page(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    """A problem for machines, a plain page for people; the page asks the database nothing."""
    status = status if status in (404, 503) else 500
    if request.path.startswith("/api/"):
        response: HttpResponse = _document(request, status, code, detail)
    else:
        response = HttpResponse(render_to_string(f"{status}.html"), status=status)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = RETRY_AFTER
    return response


def _document(request: HttpRequest, status: int, code: str, detail: str) -> JsonResponse:
    return JsonResponse(_body(request, status, code, detail, {}), status=status, content_type=CONTENT_TYPE)
