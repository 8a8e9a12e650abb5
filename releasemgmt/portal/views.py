"""The start page, the way to the identity provider, and the demo's sign-in without a password."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import record_authentication
from allauth.socialaccount.providers.openid_connect import views as openid_connect
from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST
from requests import RequestException

from releasemgmt.accounts.models import User
from releasemgmt.portal import demo

LOOPBACK = ("127.0.0.1", "::1")
LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")


def start(request: HttpRequest) -> HttpResponse:
    """The root leads to the home page."""
    return redirect("admin:index")


def offers_demo(request: HttpRequest) -> list[User]:
    """The demo's people, if this is its database and the request comes from this machine, under a name of it."""
    host = urlsplit(f"//{request.get_host()}").hostname
    local = request.META.get("REMOTE_ADDR") in LOOPBACK and host in LOCAL_NAMES
    if not local or "HTTP_X_FORWARDED_FOR" in request.META or not demo.is_demo():
        return []
    return list(demo.people().prefetch_related("role_assignments"))


def no_password(request: HttpRequest) -> HttpResponse:
    """Where one who has no password is led who wants to change it."""
    return render(request, "account/no_password.html")


def provider_sign_in(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Lead to the identity provider; where it can't be reached, say so."""
    try:
        answer: HttpResponse = openid_connect.login(request, provider_id)
    except RequestException:
        return render(request, "socialaccount/authentication_error.html", {"is_down": True}, status=503)
    return answer


@require_POST
def demo_sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in as one of the demo's people."""
    person: Any = next((p for p in offers_demo(request) if p.username == request.POST.get("username")), None)
    if person is None:
        raise Http404
    login(request, person, backend="allauth.account.auth_backends.AuthenticationBackend")
    adapter = get_adapter(request)
    record_authentication(request, person, method="demo")
    adapter.note_sign_in(person, by=["demo"])
    there = request.POST.get("next", "")
    return redirect(there if there and adapter.is_safe_url(there) else reverse("admin:index"))
