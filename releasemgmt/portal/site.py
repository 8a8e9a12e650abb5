"""The admin site: for every person with a role, signed in by allauth, with a home page that says what waits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any

from allauth.account.decorators import secure_admin_login
from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import SimpleTemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from unfold.sites import UnfoldAdminSite

from releasemgmt.portal import home, reports, schedule
from releasemgmt.portal.figures import pages as figures
from releasemgmt.web.admin import actor_of
from releasemgmt.workflow.commands import reading

#: What unfold's own scripts and styles need; only under the admin.
RELAXED = {"script-src": [SELF, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]}

#: Registered by libraries; people, roles and addresses are kept by accounts here.
FOREIGN = {
    "auth.Group", "account.EmailAddress", "account.EmailConfirmation",
    "socialaccount.SocialAccount", "socialaccount.SocialApp", "socialaccount.SocialToken", "mfa.Authenticator",
}  # fmt: skip


class PortalSite(UnfoldAdminSite):  # type: ignore[misc]  # the theme carries no types
    """The people's side of the service."""

    index_title = "Home"

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.login: Callable[..., Any] = secure_admin_login(super().login)

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Our own models only: libraries' tables are no record of this service."""
        models = model_or_iterable if isinstance(model_or_iterable, Iterable) else [model_or_iterable]
        ours = [model for model in models if model._meta.label not in FOREIGN]
        super().register(ours, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        """Any active person; what they see and may do there is asked page by page."""
        user: Any = request.user
        return bool(user.is_active and user.is_authenticated and user.kind == "human")

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """The list of models, which each page's context holds; it is made when a page shows it, and few do."""
        return SimpleLazyObject(partial(super().get_app_list, request, app_label))

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def relaxed(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if request.method not in ("GET", "HEAD"):
                response = inner(request, *args, **kwargs)
            else:
                with reading():  # the person's roles are looked up once for a page
                    response = inner(request, *args, **kwargs)
                    if isinstance(response, SimpleTemplateResponse):
                        response.render()
            response._csp_update = RELAXED
            return response

        return relaxed

    def get_urls(self) -> list[Any]:
        report = self.admin_view(lambda request: reports.population_page(request, self.each_context(request)))
        planned = self.admin_view(lambda request: schedule.schedule_page(request, self.each_context(request)))
        overview = self.admin_view(lambda request: figures.overview_page(request, self.each_context(request)))
        figure = self.admin_view(
            lambda request, figure: figures.figure_page(request, figure, self.each_context(request))
        )
        return [
            path("figures/", overview, name="figures"),
            path("figures/<str:figure>/", figure, name="figure"),
            path("schedule/", planned, name="schedule"),
            path("population/", report, name="population"),
            path("population/table.csv", self.admin_view(reports.population_table), name="population_csv"),
            *super().get_urls(),
        ]

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """One way to change a password: the one that is throttled and recorded."""
        return redirect("account_change_password")

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {**self.each_context(request), **home.waiting(actor_of(request), now=timezone.now())}
        return render(request, "portal/home.html", {**context, "title": self.index_title, **(extra_context or {})})
