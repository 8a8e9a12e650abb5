"""The admin site: for every person with a role, signed in by allauth, with a home page that says what waits."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.decorators import secure_admin_login
from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from unfold.sites import UnfoldAdminSite

from releasemgmt.portal import home
from releasemgmt.web.admin import actor_of

#: What unfold's own scripts and styles need; only under the admin.
RELAXED = {"script-src": [SELF, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]}


class PortalSite(UnfoldAdminSite):  # type: ignore[misc]  # the theme carries no types
    """The people's side of the service."""

    index_title = "What waits for me?"

    def has_permission(self, request: HttpRequest) -> bool:
        """Any active person; what they see and may do there is asked page by page."""
        user: Any = request.user
        return bool(user.is_active and user.is_authenticated and user.kind == "human")

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def relaxed(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            response = inner(request, *args, **kwargs)
            response._csp_update = RELAXED
            return response

        return relaxed

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {**self.each_context(request), **home.waiting(actor_of(request), now=timezone.now())}
        return render(request, "portal/home.html", {**context, "title": self.index_title, **(extra_context or {})})

    login = secure_admin_login(UnfoldAdminSite.login)
