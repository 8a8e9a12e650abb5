"""The catalog: products with their components, and environments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path
from django.utils import timezone

from deployments.models import Deployment, Incident, Observation
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Team, User
from releasemgmt.catalog import commands
from releasemgmt.catalog.models import LONGEST_SOAK_MINUTES, DocumentKind, Environment, Product, ReleaseModel, Tier
from releasemgmt.portal.admin.forms import OwnTeams, VoidingForm, offer, span, text, visible_teams
from releasemgmt.portal.admin.preparation import AskingProducts
from releasemgmt.portal.timeline import timeline
from releasemgmt.web.admin import PersonalForm, RecordAdmin, actor_of, attempt
from releasemgmt.workflow.models import Aggregate

RELEASES_SHOWN = 5
#: How much of an environment's history its page shows; lists show the rest.
HISTORY_SHOWN, DIFFERENCES_SHOWN = 20, 10


class EnvironmentEditForm(forms.Form):
    """What can be edited of an environment."""

    name = forms.CharField(max_length=100)
    tier = forms.ChoiceField(choices=Tier.choices)
    rank = forms.IntegerField(min_value=0, max_value=32_767, help_text="Lower ranks come first.")
    time_zone = forms.CharField(max_length=64, initial="UTC")
    change_controlled = forms.BooleanField(required=False, initial=True)


class EnvironmentForm(EnvironmentEditForm):
    """A new environment."""

    key = forms.SlugField(max_length=40)
    field_order = ("key",)


class ProductEditForm(forms.Form):
    """What can be edited of a product."""

    name = forms.CharField(max_length=100)
    time_zone = forms.CharField(max_length=64, initial="UTC")
    repository_url = forms.URLField(max_length=500, required=False, assume_scheme="https")
    default_model = forms.ModelChoiceField(
        ReleaseModel.objects.all(),
        required=False,
        help_text="How its releases are governed.",
    )
    environments = forms.ModelMultipleChoiceField(
        Environment.objects.all(), required=False, help_text="None chosen on a new product means all."
    )
    promotion_required = forms.BooleanField(
        required=False, help_text="What starts in an environment must have run in the one before it."
    )
    soak_minutes = forms.IntegerField(
        min_value=0,
        max_value=LONGEST_SOAK_MINUTES,
        initial=0,
        label="Minutes of soak",
        help_text="How long it must have run there.",
    )


class ProductForm(PersonalForm, ProductEditForm):
    """A new product."""

    key = forms.SlugField(max_length=40)
    team = forms.ModelChoiceField(Team.objects.none())
    field_order = ("key", "name", "team")

    def choose(self, user: User, record: Any) -> None:
        offer(self, "team", visible_teams(user))


class ProductDocumentForm(VoidingForm):
    """A document in Markdown that releases inherit."""

    body = text(18, label="Text (Markdown)")


class ComponentForm(forms.Form):
    """A new component."""

    key = forms.SlugField(max_length=60)
    name = forms.CharField(max_length=100, required=False)


@admin.register(Environment)
class EnvironmentAdmin(RecordAdmin):
    """Environments: what they are, and what was done and seen there."""

    record_template = "portal/environment.html"
    list_display = ("key", "name", "tier", "rank", "time_zone", "change_controlled")
    list_filter = ("tier",)
    search_fields = ("key", "name")
    add_form = EnvironmentForm
    edit_form = EnvironmentEditForm

    def may_add(self, user: User) -> bool:
        return roles.administrate(user, user)

    def may_edit(self, user: User, obj: Any) -> bool:
        return roles.administrate(user, obj)

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        return commands.create_environment(actor=actor, **fields)

    def edit(self, obj: Environment, fields: dict[str, Any], *, actor: User) -> Any:
        return commands.edit_environment(obj, changes=fields, actor=actor)

    def facts(self, obj: Environment) -> list[tuple[str, Any]]:
        controlled = "yes" if obj.change_controlled else "no"
        return [("Key", obj.key), ("Tier", obj.get_tier_display()), ("Change-controlled", controlled)]

    def panels(self, request: HttpRequest, obj: Environment) -> dict[str, Any]:
        user = actor_of(request)
        done = Deployment.objects.visible_to(user).filter(environment=obj).select_related("release", "product")
        seen = Observation.objects.visible_to(user).filter(environment=obj).select_related("component__product")
        return {
            "deployments": done.order_by("-started_at", "-pk")[:HISTORY_SHOWN],
            "differences": seen.differing().order_by("-first_seen_at", "-pk")[:DIFFERENCES_SHOWN],
        }


@admin.register(Product)
class ProductAdmin(AskingProducts, RecordAdmin):
    """Products."""

    record_template = "portal/product.html"
    list_display = ("key", "name", "team", "default_model")
    list_filter = (("team", OwnTeams),)
    search_fields = ("key", "name")
    add_form = ProductForm
    edit_form = ProductEditForm

    def visible(self, user: User) -> QuerySet[Product]:
        return roles.visible_to(user, Product.objects.select_related("team", "default_model"), team="team")

    def may_add(self, user: User) -> bool:
        return roles.administrate.somewhere(user)

    def may_edit(self, user: User, obj: Any) -> bool:
        return roles.administrate(user, obj)

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        fields["environments"] = list(fields["environments"]) or None
        return commands.create_product(actor=actor, **fields)

    def initial(self, obj: Product) -> dict[str, Any]:
        return {**super().initial(obj), "environments": obj.environments.all()}

    def edit(self, obj: Product, fields: dict[str, Any], *, actor: User) -> Any:
        fields["environments"] = list(fields["environments"])
        fields["default_model"] = fields["default_model"] or obj.default_model
        return commands.edit_product(obj, changes=fields, actor=actor)

    def facts(self, obj: Product) -> list[tuple[str, Any]]:
        return [
            ("Key", obj.key),
            ("Team", obj.team),
            ("Default model", obj.default_model),
            ("Repository", obj.repository_url),
            ("Time zone", obj.time_zone),
            ("Promotion", _promotion(obj)),
        ]

    def panels(self, request: HttpRequest, obj: Product) -> dict[str, Any]:
        releases = obj.releases.order_by("-created_at", "-pk")[:RELEASES_SHOWN]
        written = {document.kind: document for document in obj.documents.select_related("updated_by")}
        incidents = Incident.objects.filter(product=obj).going_on()
        inherited, may_write = obj.default_model.inherited, roles.edit_records(actor_of(request), obj)
        return {
            "components": obj.components.all(),
            "environments": obj.environments.all(),
            "incidents": incidents.select_related("environment").order_by("-started_at", "-pk"),
            "releases": releases,
            "asked": self.asked(obj),
            "documents": [
                {"kind": kind, "label": label, "document": written.get(kind)}
                for kind, label in DocumentKind.choices
                if may_write or kind in written or kind in inherited
            ],
            "inherited": inherited,
            "may_write": may_write,
        }

    def extra_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        return [
            path("<int:pk>/change/timeline/", wrap(self.timeline_view), name=f"{name}_timeline"),
            *self.preparation_urls(wrap, name),
            path("<int:pk>/change/components/", wrap(self.component_view), name=f"{name}_component"),
            path("<int:pk>/change/documents/<str:kind>/", wrap(self.document_view), name=f"{name}_document"),
        ]

    def timeline_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Its incidents, production deployments and planned outages on one axis."""
        product = self.found(request, pk)
        shown = timeline(product, request.GET, now=timezone.now())
        may_write = roles.edit_records(actor_of(request), product)
        page = {"title": f"Timeline of {product}", "opts": self.opts, "original": product, "record": product}
        context = {**self.admin_site.each_context(request), **page, **shown, "may_write": may_write}
        return render(request, "portal/timeline.html", context)

    def document_view(self, request: HttpRequest, pk: int, kind: str) -> HttpResponse:
        """Write a document that releases of the product inherit."""
        product = self.found(request, pk)
        if kind not in DocumentKind.values:
            raise Http404
        document = product.documents.filter(kind=kind).first()
        initial = {"body": document.body if document else ""}
        form = self.bound(ProductDocumentForm, request, initial=initial, record=product)
        if request.method == "POST" and form.is_valid():
            write = partial(commands.write_product_document, product, kind=kind, actor=actor_of(request))
            if attempt(request, partial(write, **form.cleaned_data), done="Saved.", form=form):
                return HttpResponseRedirect(self.address(product))
        title = f"{DocumentKind(kind).label} of {product}"
        return self.form_page(request, form, title=title, button="Save", record=product)

    def component_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A new component."""
        product = self.found(request, pk)
        form = self.bound(ComponentForm, request)
        if request.method == "POST" and form.is_valid():
            act = partial(commands.create_component, product, actor=actor_of(request), **form.cleaned_data)
            if attempt(request, act, done="The component is there.", form=form):
                return HttpResponseRedirect(self.address(product))
        title = f"New component of {product}"
        return self.form_page(request, form, title=title, button="Create", record=product)


def _promotion(product: Product) -> str:
    """What the promotion path asks for, in words."""
    if not product.promotion_required:
        return "not asked for"
    return f"after {span(product.soak_minutes)} in the environment before" if product.soak_minutes else "asked for"
