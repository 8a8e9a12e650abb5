"""Change requests."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from approvals import commands
from approvals.commands.changes import EDITABLE, IN_FLIGHT
from approvals.models import ChangeRequest
from approvals.models.change import by_requester_or_manager
from approvals.queries import current_round, standing
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Environment, Product
from releasemgmt.portal.admin.forms import VoidingForm, instant, offer, several, text, visible_products
from releasemgmt.releases.models import Release
from releasemgmt.web.admin import RecordAdmin, pill
from releasemgmt.workflow.models import Aggregate


class ChangeEditForm(VoidingForm):
    """What can be edited of a change; its product stays."""

    title = forms.CharField(max_length=200)
    implementer = forms.ModelChoiceField(User.objects.none(), required=False)
    planned_start = instant(required=False)
    planned_end = instant(required=False)
    environments = several(Environment.objects.all())
    components = several(Component.objects.none())
    releases = several(Release.objects.none(), label="Rides with", help_text="The release's round decides it too.")
    outage_expected = forms.BooleanField(required=False)
    outage_minutes = forms.IntegerField(min_value=1, required=False)
    justification = text()
    impact = text()
    implementation_plan = text()
    test_plan = text()
    backout_plan = text()

    def choose(self, user: User, record: ChangeRequest | None) -> None:
        products = visible_products(user).filter(**({"pk": record.product_id} if record else {}))
        components = Component.objects.filter(product__in=products).select_related("product")
        releases = Release.objects.filter(product__in=products).select_related("product").order_by("-pk")
        going = releases.filter(state__in=IN_FLIGHT)
        riding = releases.filter(changes=record) if record else releases.none()
        offer(self, "components", components, lambda component: f"{component.product}: {component.key}")
        offer(self, "releases", (going | riding).distinct(), lambda release: f"{release} {release.alias}")
        offer(self, "implementer", User.objects.filter(is_active=True, kind=User.Kind.HUMAN))


class ChangeForm(ChangeEditForm):
    """A new change request."""

    product = forms.ModelChoiceField(Product.objects.none())
    field_order = ("product",)

    def choose(self, user: User, record: ChangeRequest | None) -> None:
        super().choose(user, record)
        offer(self, "product", visible_products(user))


@admin.register(ChangeRequest)
class ChangeAdmin(RecordAdmin):
    """Change requests."""

    record_template = "portal/change.html"
    pipeline = ("draft", "assessment", "authorization", "scheduled", "implementation", "review", "closed")
    list_display = ("number", "product", "title", "type", "shown_state", "shown_risk", "planned_start", "created_at")
    list_filter = ("state", "type", "risk", "product")
    search_fields = ("title",)
    ordering = ("-created_at", "-id")
    add_form = ChangeForm
    edit_form = ChangeEditForm
    transition_commands = commands.TRANSITIONS

    @admin.display(description="Risk", ordering="risk")
    def shown_risk(self, change: ChangeRequest) -> SafeString:
        return pill(change.risk, change.get_risk_display())

    def visible(self, user: User) -> QuerySet[ChangeRequest]:
        return ChangeRequest.objects.visible_to(user).select_related(
            "product__team", "created_by", "requested_by", "implementer"
        )

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        return commands.create_change(actor=actor, now=timezone.now(), **_lists(fields))

    def initial(self, obj: ChangeRequest) -> dict[str, Any]:
        names = set(ChangeEditForm.base_fields) - {"void_signoffs"}
        many = {"releases", "environments", "components"}
        return {name: getattr(obj, name).all() if name in many else getattr(obj, name) for name in names}

    def may_add(self, user: User) -> bool:
        return roles.edit_records.somewhere(user)

    def may_edit(self, user: User, obj: ChangeRequest) -> bool:
        allow = roles.edit_records if obj.state == ChangeRequest.State.DRAFT else by_requester_or_manager
        return obj.state in EDITABLE and allow(user, obj)

    def edit(self, obj: ChangeRequest, fields: dict[str, Any], *, actor: User) -> Any:
        void = fields.pop("void_signoffs")
        return commands.edit_change(obj, changes=_lists(fields), actor=actor, now=timezone.now(), void_signoffs=void)

    def facts(self, obj: ChangeRequest) -> list[tuple[str, Any]]:
        return [
            ("Product", obj.product),
            ("Type", obj.get_type_display()),
            ("Risk", obj.get_risk_display()),
            ("Requested by", obj.requested_by),
            ("Implementer", obj.implementer),
            ("Planned start", obj.planned_start),
            ("Planned end", obj.planned_end),
            ("Outage", f"{obj.outage_minutes or '?'} minutes" if obj.outage_expected else "none expected"),
            ("Outcome", obj.get_outcome_display()),
        ]

    def panels(self, request: HttpRequest, obj: ChangeRequest) -> dict[str, Any]:
        round = current_round(obj)
        return {
            "texts": [
                (name.replace("_", " ").capitalize(), getattr(obj, name))
                for name in ("justification", "impact", "implementation_plan", "test_plan", "backout_plan", "review")
            ],
            "releases": obj.releases.select_related("product").order_by("pk"),
            "round": round,
            "standing": standing(round, subject=obj) if round else None,
        }


def _lists(fields: dict[str, Any]) -> dict[str, Any]:
    """Query sets of the form as lists of rows."""
    return {name: list(value) if isinstance(value, QuerySet) else value for name, value in fields.items()}
