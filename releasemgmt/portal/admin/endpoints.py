"""Endpoints of webhook tasks: who is called, and the secret, which is shown once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse

from deployments import commands
from deployments.models import WebhookEndpoint
from deployments.models.endpoint import LONGEST_MINUTES
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.integrations.standard_webhooks import new_secret
from releasemgmt.portal.admin.forms import OwnProducts, offer, span, visible_products
from releasemgmt.web.admin import PersonalForm, RecordAdmin, actor_of, attempt

CALLS_SHOWN = 20


class EndpointEditForm(forms.Form):
    """What can be edited of an endpoint."""

    url = forms.CharField(max_length=500, label="URL", widget=forms.URLInput)
    time_limit_minutes = forms.IntegerField(
        min_value=1,
        max_value=LONGEST_MINUTES,
        initial=60,
        label="Minutes to the callback",
        help_text="A task that is not reported by then has failed.",
    )
    is_active = forms.BooleanField(required=False, initial=True, label="Active")


class EndpointForm(PersonalForm):
    """A new endpoint."""

    product = forms.ModelChoiceField(Product.objects.none())
    key = forms.SlugField(max_length=40, help_text="How tasks name it: shop-deployer.")
    url = EndpointEditForm.base_fields["url"]
    time_limit_minutes = EndpointEditForm.base_fields["time_limit_minutes"]

    def choose(self, user: User, record: Any) -> None:
        offer(self, "product", visible_products(user))


@admin.register(WebhookEndpoint)
class EndpointAdmin(RecordAdmin):
    """Endpoints of webhook tasks."""

    record_template = "portal/endpoint.html"
    list_display = ("key", "product", "url", "time_limit_minutes", "is_active")
    list_filter = (("product", OwnProducts), "is_active")
    search_fields = ("key", "url")
    list_select_related = ("product",)
    add_form = EndpointForm
    edit_form = EndpointEditForm

    def visible(self, user: User) -> QuerySet[WebhookEndpoint]:
        return WebhookEndpoint.objects.visible_to(user).select_related("product")

    def may_add(self, user: User) -> bool:
        return roles.administrate.somewhere(user)

    def may_edit(self, user: User, obj: WebhookEndpoint) -> bool:
        return roles.administrate(user, obj.product)

    def edit(self, obj: WebhookEndpoint, fields: dict[str, Any], *, actor: User) -> Any:
        return commands.edit_endpoint(obj, changes=fields, actor=actor)

    def facts(self, obj: WebhookEndpoint) -> list[tuple[str, Any]]:
        return [
            ("Product", obj.product),
            ("URL", obj.url),
            ("Calls back within", span(obj.time_limit_minutes)),
            ("Active", "yes" if obj.is_active else "no"),
        ]

    def panels(self, request: HttpRequest, obj: WebhookEndpoint) -> dict[str, Any]:
        calls = obj.calls.select_related("task__plan").order_by("-pk")
        there = settings.PUBLIC_URL + reverse("webhook-callback", args=[obj.pk])
        return {"calls": calls[:CALLS_SHOWN], "callback_url": there}

    def extra_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        return [path("<int:pk>/change/secret/", wrap(self.secret_view), name=f"{name}_secret")]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A new endpoint; its secret is on the answer's page and nowhere else, ever."""
        if request.method != "POST" and not self.may_add(actor_of(request)):
            raise PermissionDenied
        form = self.bound(EndpointForm, request, initial=self.get_changeform_initial_data(request))
        if request.method == "POST" and form.is_valid():
            fields, secret = dict(form.cleaned_data), new_secret()
            make = partial(commands.create_endpoint, fields.pop("product"), secret=secret, actor=actor_of(request))
            if made := attempt(request, partial(make, **fields), done="", form=form):
                return self.told(request, made, secret)
        return self.form_page(request, form, title="New endpoint", button="Create")

    def secret_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Another secret, once it is confirmed."""
        endpoint = self.found(request, pk)
        if request.method == "POST":
            secret = new_secret()
            renew = partial(commands.renew_secret, endpoint, secret=secret, actor=actor_of(request))
            if attempt(request, renew, done=""):
                return self.told(request, endpoint, secret)
        intro = "Calls are signed with it at once; callbacks signed with the one before are refused."
        page = {"title": f"New secret for {endpoint}", "button": "Make it", "intro": intro, "record": endpoint}
        return self.form_page(request, forms.Form(), **page)

    def told(self, request: HttpRequest, endpoint: WebhookEndpoint, secret: str) -> HttpResponse:
        """The secret, this once."""
        page = {"title": f"Secret of {endpoint}", "secret": secret, "back": self.address(endpoint)}
        answer = render(request, "portal/endpoint_secret.html", {**self.admin_site.each_context(request), **page})
        answer["Cache-Control"] = "no-store"
        return answer
