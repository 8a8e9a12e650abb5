"""Change requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from approvals import commands
from approvals.commands.changes import IN_FLIGHT, WAY, is_editable
from approvals.models import ChangeModel, ChangeRequest, Questionnaire
from approvals.models.change import LIVE, by_requester_or_manager
from approvals.queries import (
    conflicts_with,
    current_round,
    last_assessment,
    needs_retrospective,
    questionnaire,
    rules_about,
    takes_votes,
)
from deployments.models import Deployment
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Environment, Product
from releasemgmt.portal.admin.forms import (
    OwnProducts,
    VoidingForm,
    colleagues,
    instant,
    offer,
    several,
    text,
    visible_products,
)
from releasemgmt.portal.sign_offs import sign_off
from releasemgmt.releases.models import Release, Risk
from releasemgmt.web.admin import RecordAdmin, actor_of, attempt, pill
from releasemgmt.workflow.models import Aggregate

#: States that a type does not pass through.
LEFT_OUT = {
    ChangeRequest.Type.STANDARD: (ChangeRequest.State.ASSESSMENT.label, ChangeRequest.State.AUTHORIZATION.label),
    ChangeRequest.Type.EMERGENCY: (ChangeRequest.State.ASSESSMENT.label,),
}
#: Fields that one type asks for, as they are with the others.
NOT_ASKED: dict[str, Any] = {"model": None, "incident_reference": ""}


def only_for(kind: str, field: forms.Field) -> Any:
    """The field, shown with one type of change only."""
    field.only_for = kind  # type: ignore[attr-defined]  # the template reads it
    return field


class ChangeEditForm(VoidingForm):
    """What can be edited of a change; its product stays, and once it is handed in its type too."""

    title = forms.CharField(max_length=200)
    type = forms.ChoiceField(
        choices=ChangeRequest.Type.choices,
        initial=ChangeRequest.Type.NORMAL,
        help_text="A normal one is assessed and approved, a standard one follows an approved model, an emergency is "
        "asked for at once and looked back at.",
    )
    model = only_for(
        "standard",
        forms.ModelChoiceField(
            ChangeModel.objects.none(),
            required=False,
            label="Change model",
            help_text="Texts that you leave out are the model’s.",
        ),
    )
    incident_reference = only_for(
        "emergency",
        forms.CharField(max_length=500, required=False, label="Incident", help_text="Its number or address."),
    )
    risk = forms.ChoiceField(required=False, help_text="People raise it, nobody lowers it; the questions may too.")
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
        offer(self, "implementer", colleagues(user))
        self._choose_way(user, record)

    def _choose_way(self, user: User, record: ChangeRequest | None) -> None:
        levels: Any = self.fields["risk"]
        levels.choices = Risk.choices[Risk.values.index(record.risk) if record else 0 :]
        if record is None or record.state == ChangeRequest.State.DRAFT:
            models = ChangeModel.objects.visible_to(user).newest().select_related("product")
            mine = models.filter(Q(product=None) | Q(product=record.product_id)) if record else models
            offer(self, "model", mine, lambda model: f"{model} for {model.product or 'every product'}")
            return
        gone = {"type", "model"} if record.type == ChangeRequest.Type.EMERGENCY else {*WAY, "incident_reference"}
        for name in gone:
            del self.fields[name]

    def clean(self) -> dict[str, Any]:
        """What the chosen type does not ask for is not sent."""
        fields: dict[str, Any] = super().clean() or self.cleaned_data
        asked = {"standard": {"model"}, "emergency": {"incident_reference"}}.get(fields.get("type", ""), set())
        if "type" in fields:
            fields |= {name: empty for name, empty in NOT_ASKED.items() if name not in asked}
        fields["risk"] = fields.get("risk") or self.initial.get("risk") or Risk.LOW
        return fields


class ChangeForm(ChangeEditForm):
    """A new change request."""

    product = forms.ModelChoiceField(Product.objects.none())
    field_order = ("product", "type")

    def choose(self, user: User, record: ChangeRequest | None) -> None:
        super().choose(user, record)
        offer(self, "product", visible_products(user))


@admin.register(ChangeRequest)
class ChangeAdmin(RecordAdmin):
    """Change requests."""

    record_template = "portal/change.html"
    pipeline = ("draft", "assessment", "authorization", "scheduled", "implementation", "review", "closed")
    list_display = ("number", "product", "title", "type", "shown_state", "shown_risk", "planned_start", "created_at")
    list_filter = ("state", "type", "risk", ("product", OwnProducts))
    search_fields = ("title",)
    ordering = ("-created_at", "-id")
    add_form = ChangeForm
    edit_form = ChangeEditForm
    transition_commands = commands.TRANSITIONS
    cures: ClassVar[Mapping[str, str]] = {"condition_open": "#sign-off"}

    @admin.display(description="Risk", ordering="risk")
    def shown_risk(self, change: ChangeRequest) -> SafeString:
        return pill(change.risk, change.get_risk_display())

    def visible(self, user: User) -> QuerySet[ChangeRequest]:
        return ChangeRequest.objects.visible_to(user).select_related(
            "product__team", "model", "created_by", "requested_by", "implementer"
        )

    def extra_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        return [
            path("<int:pk>/change/risk/", wrap(self.risk_view), name=f"{name}_risk"),
            path("<int:pk>/change/round/", wrap(require_POST(self.round_view)), name=f"{name}_round"),
        ]

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        return commands.create_change(actor=actor, now=timezone.now(), **_lists(fields))

    def initial(self, obj: ChangeRequest) -> dict[str, Any]:
        names = set(ChangeEditForm.base_fields) - {"void_signoffs"}
        many = {"releases", "environments", "components"}
        return {name: getattr(obj, name).all() if name in many else getattr(obj, name) for name in names}

    def steps(self, obj: Any) -> list[dict[str, str]]:
        """The states on the way of its type."""
        left_out = LEFT_OUT.get(ChangeRequest.Type(obj.type), ())
        return [step for step in super().steps(obj) if step["label"] not in left_out]

    def may_add(self, user: User) -> bool:
        return roles.edit_records.somewhere(user)

    def may_edit(self, user: User, obj: ChangeRequest) -> bool:
        allow = roles.edit_records if obj.state == ChangeRequest.State.DRAFT else by_requester_or_manager
        return is_editable(obj) and allow(user, obj)

    def edit(self, obj: ChangeRequest, fields: dict[str, Any], *, actor: User) -> Any:
        void = fields.pop("void_signoffs")
        return commands.edit_change(obj, changes=_lists(fields), actor=actor, now=timezone.now(), void_signoffs=void)

    def facts(self, obj: ChangeRequest) -> list[tuple[str, Any]]:
        return [
            ("Product", obj.product),
            ("Type", obj.get_type_display()),
            *([("Change model", obj.model)] if obj.model else []),
            *([("Incident", obj.incident_reference)] if obj.incident_reference else []),
            ("Risk", obj.get_risk_display()),
            ("Requested by", obj.requested_by),
            ("Implementer", obj.implementer),
            ("Planned start", obj.planned_start),
            ("Planned end", obj.planned_end),
            ("Outage", f"{obj.outage_minutes or '?'} minutes" if obj.outage_expected else "none expected"),
            ("Outcome", obj.get_outcome_display()),
            *([("Retrospective due", obj.retrospective_due_at)] if obj.retrospective_due_at else []),
        ]

    def panels(self, request: HttpRequest, obj: ChangeRequest) -> dict[str, Any]:
        user = actor_of(request)
        told = sign_off(obj, current_round(obj), user, now=timezone.now())
        stands = told["standing"]
        releases = obj.releases.select_related("product").order_by("pk")
        asks = takes_votes(obj) and (obj.state == ChangeRequest.State.REVIEW or not releases)
        return {
            "texts": [
                (name.replace("_", " ").capitalize(), getattr(obj, name))
                for name in ("justification", "impact", "implementation_plan", "test_plan", "backout_plan", "review")
            ],
            "releases": releases,
            **told,
            "may_open_round": asks
            and roles.manage_releases(user, obj)
            and not (stands and (stands.is_open or stands.holds)),
            "deployment": _put_on_record(obj) if obj.unauthorised else None,
            "owes_retrospective": needs_retrospective(obj) and obj.state == ChangeRequest.State.REVIEW,
            "assessment": last_assessment(obj),
            "rules": rules_about(obj),
            "is_live": obj.state in LIVE,
            "conflicts": conflicts_with([obj], user=user),
        }

    def risk_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Answer the questions about the change's risk."""
        change = self.found(request, pk)
        if request.method != "POST" and not self.may_edit(actor_of(request), change):
            raise PermissionDenied
        asked, last = questionnaire(), last_assessment(change)
        form = self.bound(risk_form(asked), request, initial=last.answers if last else {}, record=change)
        if request.method == "POST" and form.is_valid():
            answers = {name: value for name, value in form.cleaned_data.items() if name != "void_signoffs"}
            void = form.cleaned_data["void_signoffs"]
            now = timezone.now()
            act = partial(
                commands.answer_risk, change, answers=answers, actor=actor_of(request), now=now, void_signoffs=void
            )
            if attempt(request, act, done="", form=form):
                return HttpResponseRedirect(self.address(change))
        intro = "The risk rises to what the answers come to. It routes whom the round asks."
        return self.form_page(request, form, title=f"Risk of {change}", button="Save", record=change, intro=intro)

    def round_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Open the next round where the last no longer holds."""
        change = self.found(request, pk)
        act = partial(commands.open_round, change, actor=actor_of(request), now=timezone.now())
        attempt(request, act, done="The reviewers are asked.")
        return HttpResponseRedirect(self.address(change))


def _put_on_record(change: ChangeRequest) -> Deployment | None:
    """The deployment that it puts on record."""
    return Deployment.objects.filter(change=change).select_related("environment", "release").first()


def risk_form(asked: Questionnaire) -> type[VoidingForm]:
    """A form with the questions."""
    fields: dict[str, Any] = {
        question["key"]: forms.ChoiceField(
            choices=[(choice["key"], choice["label"]) for choice in question["choices"]],
            widget=forms.RadioSelect,
            label=question["text"],
        )
        for question in asked.questions
    }
    return type("RiskForm", (VoidingForm,), fields)


def _lists(fields: dict[str, Any]) -> dict[str, Any]:
    """Query sets of the form as lists of rows."""
    return {name: list(value) if isinstance(value, QuerySet) else value for name, value in fields.items()}
