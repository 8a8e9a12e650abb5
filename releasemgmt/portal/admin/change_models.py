"""Change models: what standard changes follow, their pre-approval, and a form for the next version of one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_POST

from approvals import commands
from approvals.models import ChangeModel
from approvals.queries import change_pre_approval
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Product, Tier
from releasemgmt.portal.admin.forms import offer, several, text, visible_products
from releasemgmt.portal.model_rules import TEXTS, change_model_rules, tiers_in_words
from releasemgmt.portal.sign_offs import sign_off
from releasemgmt.web.admin import PersonalForm, RecordAdmin, actor_of, attempt
from releasemgmt.workflow.models import Aggregate

PLAIN = ("key", "name", "product", "tiers", "pre_approval_days", "success_floor", *TEXTS)


class ChangeModelForm(PersonalForm):
    """A new model, or the next version of one: the key says which."""

    key = forms.SlugField(max_length=40, help_text="A key that exists already gets its next version.")
    name = forms.CharField(max_length=100)
    product = forms.ModelChoiceField(Product.objects.none(), required=False, empty_label="every product")
    tiers = forms.MultipleChoiceField(
        choices=Tier.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Environments it may touch",
        help_text="None ticked: any.",
    )
    components = several(Component.objects.none(), label="Components it may touch", help_text="None ticked: any.")
    pre_approval_days = forms.IntegerField(
        min_value=1, max_value=366, initial=180, label="Approved for", help_text="Days; then it is asked for again."
    )
    success_floor = forms.IntegerField(
        min_value=1,
        max_value=100,
        initial=90,
        label="Success floor",
        help_text="Percent of its last 20 changes; below that it is approved no more.",
    )
    impact = text()
    implementation_plan = text()
    test_plan = text()
    backout_plan = text()

    def choose(self, user: User, record: Any) -> None:
        products = visible_products(user)
        components = Component.objects.filter(product__in=products).select_related("product")
        offer(self, "product", products)
        offer(self, "components", components, lambda component: f"{component.product}: {component.key}")


@admin.register(ChangeModel)
class ChangeModelAdmin(RecordAdmin):
    """Models of standard changes; a version is never edited, the next one takes its place."""

    record_template = "portal/change_model.html"
    list_display = ("key", "version", "name", "product", "pre_approval_days", "success_floor")
    search_fields = ("key", "name")
    ordering = ("key", "-version")
    add_form = ChangeModelForm

    def visible(self, user: User) -> QuerySet[ChangeModel]:
        return ChangeModel.objects.visible_to(user).select_related("product__team")

    def may_add(self, user: User) -> bool:
        return roles.administrate.somewhere(user)

    def extra_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        return [path("<int:pk>/change/round/", wrap(require_POST(self.round_view)), name=f"{name}_round")]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The form starts with the model that `?like=` names."""
        like = request.GET.get("like", "")
        models = self.visible(actor_of(request))
        model = models.filter(pk=like).first() if like.isdecimal() and len(like) < 10 else None
        if model is None:
            return {}
        components = Component.objects.filter(product=model.product, key__in=model.components)
        return {**{name: getattr(model, name) for name in PLAIN}, "components": components}

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        chosen = [component.key for component in fields.pop("components")]
        return commands.create_change_model(actor=actor, components=chosen, **fields)

    def facts(self, obj: ChangeModel) -> list[tuple[str, Any]]:
        return [
            ("Key", obj.key),
            ("Version", obj.version),
            ("Product", obj.product or "every product"),
            ("Environments", tiers_in_words(obj)),
            ("Components", ", ".join(obj.components) or "any"),
            ("Approved for", f"{obj.pre_approval_days} days"),
            ("Success floor", f"{obj.success_floor} %"),
        ]

    def panels(self, request: HttpRequest, obj: ChangeModel) -> dict[str, Any]:
        user, now = actor_of(request), timezone.now()
        found = change_pre_approval(obj, now=now)
        told = sign_off(obj, found.round, user, now=now)
        stands = told["standing"]
        return {
            **change_model_rules(obj, user),
            "pre_approval": found,
            **told,
            "may_ask": roles.ask_pre_approval(user, obj) and not found.holds and not (stands and stands.is_open),
            "may_make_version": self.may_add(user),
        }

    def round_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for the pre-approval."""
        model = self.found(request, pk)
        act = partial(commands.open_round, model, actor=actor_of(request), now=timezone.now())
        attempt(request, act, done="The reviewers are asked.")
        return HttpResponseRedirect(self.address(model))
