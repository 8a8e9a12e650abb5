"""Known defects."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Environment, Product
from releasemgmt.portal.admin.forms import OwnProducts, VoidingForm, offer, text, visible_products
from releasemgmt.releases import commands
from releasemgmt.releases.models import KnownDefect
from releasemgmt.web.admin import PersonalForm, RecordAdmin, pill
from releasemgmt.workflow.models import Aggregate


class DefectFields(PersonalForm):
    """What is said of a known defect."""

    title = forms.CharField(max_length=200)
    severity = forms.ChoiceField(choices=KnownDefect.Severity.choices, initial=KnownDefect.Severity.MINOR)
    component = forms.ModelChoiceField(Component.objects.none(), required=False)
    symptom = text(3)
    cause = text(3)
    workaround = text(3)
    detected_in = forms.ModelChoiceField(Environment.objects.all(), required=False)
    external_reference = forms.CharField(max_length=500, required=False)

    def choose(self, user: User, record: KnownDefect | None) -> None:
        rows = Component.objects.filter(product__in=visible_products(user)).select_related("product")
        of_product = rows.filter(product=record.product) if record else rows
        offer(self, "component", of_product, lambda component: f"{component.product}: {component.key}")


class DefectEditForm(DefectFields, VoidingForm):
    """What can be edited of a known defect."""


class DefectForm(DefectFields):
    """A new known defect."""

    product = forms.ModelChoiceField(Product.objects.none())
    field_order = ("product",)

    def choose(self, user: User, record: KnownDefect | None) -> None:
        super().choose(user, record)
        offer(self, "product", visible_products(user))


@admin.register(KnownDefect)
class DefectAdmin(RecordAdmin):
    """Known defects."""

    record_template = "portal/defect.html"
    pipeline = ("open", "workaround_available", "fixed", "verified", "closed")
    list_display = ("number", "product", "title", "shown_severity", "shown_state", "opened_at")
    list_filter = ("state", "severity", ("product", OwnProducts))
    search_fields = ("title", "symptom", "external_reference")
    ordering = ("-created_at", "-id")
    add_form = DefectForm
    edit_form = DefectEditForm

    @admin.display(description="Severity", ordering="severity")
    def shown_severity(self, defect: KnownDefect) -> SafeString:
        return pill(defect.severity, defect.get_severity_display())

    def visible(self, user: User) -> QuerySet[KnownDefect]:
        return KnownDefect.objects.visible_to(user).select_related(
            "product__team", "component", "detected_in", "reported_by"
        )

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        return commands.create_defect(actor=actor, now=timezone.now(), **fields)

    def may_add(self, user: User) -> bool:
        return roles.edit_records.somewhere(user)

    def may_edit(self, user: User, obj: KnownDefect) -> bool:
        return roles.edit_records(user, obj)

    def edit(self, obj: KnownDefect, fields: dict[str, Any], *, actor: User) -> Any:
        void = fields.pop("void_signoffs")
        return commands.edit_defect(obj, changes=fields, actor=actor, now=timezone.now(), void_signoffs=void)

    def initial(self, obj: KnownDefect) -> dict[str, Any]:
        return {name: getattr(obj, name) for name in DefectFields.base_fields}

    def facts(self, obj: KnownDefect) -> list[tuple[str, Any]]:
        return [
            ("Product", obj.product),
            ("Component", obj.component),
            ("Severity", obj.get_severity_display()),
            ("Detected in", obj.detected_in),
            ("Opened", obj.opened_at),
            ("Reported by", obj.reported_by),
            ("Reference", obj.external_reference),
        ]

    def panels(self, request: HttpRequest, obj: KnownDefect) -> dict[str, Any]:
        return {
            "texts": [("Symptom", obj.symptom), ("Cause", obj.cause), ("Workaround", obj.workaround)],
            "links": obj.release_links.select_related("release__product").order_by("-release_id"),
        }
