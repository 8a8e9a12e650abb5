"""The start page, and the demo's sign-in without a password."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import get_adapter
from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

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


@require_POST
def demo_sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in as one of the demo's people."""
    person: Any = next((p for p in offers_demo(request) if p.username == request.POST.get("username")), None)
    if person is None:
        raise Http404
    login(request, person, backend="allauth.account.auth_backends.AuthenticationBackend")
    get_adapter(request).note_sign_in(person)
    return redirect(reverse("admin:index"))
