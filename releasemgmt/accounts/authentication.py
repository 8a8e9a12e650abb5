"""How callers say who they are: a bearer token, or the browser's session, and when that last proved it."""

from __future__ import annotations

from datetime import UTC, datetime

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows import reauthentication
from allauth.account.internal.flows.login import get_authentication_records
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.authentication import SessionAuthentication as DjangoSession
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from releasemgmt.accounts.commands import token_digest
from releasemgmt.accounts.models import ApiToken, User
from releasemgmt.workflow.prepared import prepared

#: In the session: when the provider last asked who this is, in seconds since 1970.
PROVED_AT = "accounts.proved_at"


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`; the user carries the token's scopes for this request."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = _token(token_digest(secret.strip())).first()
        if token is None or token.revoked_at or token.expires_at <= timezone.now() or not token.user.is_active:
            raise AuthenticationFailed("This token is unknown, expired or revoked.")
        token.user.scopes = frozenset(token.scopes)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


@prepared
def _token(digest: str) -> QuerySet[ApiToken]:
    return ApiToken.objects.select_related("user").filter(digest=digest)


class SessionAuthentication(DjangoSession):
    """The browser's session; unsafe methods need the CSRF token."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        answer = super().authenticate(request)
        return answer if answer and answer[0].kind == User.Kind.HUMAN else None


def signed_in_at(request: HttpRequest | Request) -> datetime | None:
    """When this session last proved who it is, by password, second factor or provider; None for a token.

    A provider that asked for nothing, since the person was signed in there, says when it last did (`auth_time`).
    """
    proofs = get_authentication_records(request, request.user) if hasattr(request, "session") else []
    if not proofs:
        return None
    last = proofs[-1]
    at = (
        min(last["at"], request.session.get(PROVED_AT, last["at"])) if last["method"] == "socialaccount" else last["at"]
    )
    return datetime.fromtimestamp(at, UTC)


def is_fresh(request: HttpRequest | Request, *, now: datetime) -> bool:
    """Whether what weighs much may be done without asking for the password again.

    A token may: what it can do was decided, with the password, when it was made.
    """
    if isinstance(getattr(request, "auth", None), ApiToken):
        return True
    at = signed_in_at(request)
    return at is not None and now - at < settings.STEP_UP_AFTER


def sign_in_again(request: HttpRequest) -> HttpResponse:
    """Ask for the password, or the second factor, and then go on with what was asked for, a POST included.

    Who has neither signs in anew, by the provider or as before, and comes back to where they were.
    """
    if methods := get_adapter(request).get_reauthentication_methods(request.user):
        asked: HttpResponse = reauthentication.suspend_request(request, methods[0]["url"])
        return asked
    here = request.get_full_path() if request.method == "GET" else request.META.get("HTTP_REFERER", "")
    logout(request)
    messages.info(request, "Your sign-in is a while ago; for this, please sign in again.")
    way = QueryDict(mutable=True)
    way.update({"next": here, "again": "1"})
    return HttpResponseRedirect(f"{reverse('account_login')}?{way.urlencode()}")
