"""Release models: how releases of a kind are governed, and a form for the next version of one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from approvals import commands as approvals
from approvals.queries import PreApproval, model_approval
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog import commands
from releasemgmt.catalog.models import ReleaseModel, Tier
from releasemgmt.catalog.policies import DOCUMENTS, ORIGINS, SUITES, gates_of
from releasemgmt.portal.model_rules import BY_ITSELF, DUE, GATES, release_model_rules
from releasemgmt.web.admin import RecordAdmin, actor_of, attempt
from releasemgmt.workflow.models import Aggregate

DOCUMENT_CHOICES = [
    ("", "not asked for"),
    *((f"{origin} {gate}", f"{origin}, {when}") for origin in ORIGINS for gate, when in DUE.items()),
]
SUITE_CHOICES = [
    ("", "not asked for"),
    *(
        (f"{tier} {gate}", f"in {label.lower()}, {before}")
        for tier, label in Tier.choices
        for gate, before in GATES.items()
    ),
]
PLAIN = (
    "key",
    "name",
    "review",
    "exposure",
    "sign_off",
    "by_itself",
    "pre_approval_days",
    "fail_rate_ceiling",
)


class ModelForm(forms.Form):
    """A new model, or the next version of one: the key says which."""

    key = forms.SlugField(max_length=40, help_text="A key that exists already gets its next version.")
    name = forms.CharField(max_length=100)
    smoke = forms.ChoiceField(choices=SUITE_CHOICES, required=False, label="Smoke suite")
    integration = forms.ChoiceField(choices=SUITE_CHOICES, required=False, label="Integration suite")
    regression = forms.ChoiceField(choices=SUITE_CHOICES, required=False, label="Regression suite")
    acceptance = forms.ChoiceField(choices=SUITE_CHOICES, required=False, label="Acceptance suite")
    performance = forms.ChoiceField(choices=SUITE_CHOICES, required=False, label="Performance suite")
    security = forms.ChoiceField(choices=SUITE_CHOICES, required=False, label="Security suite")
    deployment_procedure = forms.ChoiceField(choices=DOCUMENT_CHOICES, required=False)
    workflow_monitoring = forms.ChoiceField(choices=DOCUMENT_CHOICES, required=False)
    impact = forms.ChoiceField(choices=DOCUMENT_CHOICES, required=False)
    release_notes = forms.ChoiceField(choices=DOCUMENT_CHOICES, required=False)
    by_itself = forms.MultipleChoiceField(
        choices=list(BY_ITSELF.items()),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="What happens by itself",
    )
    sign_off = forms.ChoiceField(choices=ReleaseModel.SignOff.choices)
    pre_approval_days = forms.IntegerField(
        min_value=1, max_value=366, initial=90, label="Days that a pre-approval is good for"
    )
    fail_rate_ceiling = forms.IntegerField(
        min_value=1,
        max_value=100,
        initial=15,
        label="Fail rate that ends a pre-approval, in percent",
        help_text="Of the last 20 production deployments under the model.",
    )
    review = forms.ChoiceField(choices=ReleaseModel.Review.choices)
    exposure = forms.ChoiceField(choices=ReleaseModel.ExposureMode.choices)


class EndForm(forms.Form):
    """Why a pre-approval ends."""

    reason = forms.CharField(max_length=5_000, widget=forms.Textarea(attrs={"rows": 3}))


@admin.register(ReleaseModel)
class ReleaseModelAdmin(RecordAdmin):
    """Release models; a version is never edited, the next one takes its place."""

    record_template = "portal/release_model.html"
    list_display = ("key", "version", "name", "sign_off", "review")
    search_fields = ("key", "name")
    add_form = ModelForm

    def may_add(self, user: User) -> bool:
        return roles.administrate(user, user)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The form starts with the model that `?like=` names."""
        like = request.GET.get("like", "")
        model = ReleaseModel.objects.filter(pk=like).first() if like.isdecimal() and len(like) < 10 else None
        if model is None:
            return {}
        suites = {entry["suite"]: f"{entry['tier']} {entry['gates']}" for entry in model.suites}
        documents = {entry["kind"]: f"{entry['origin']} {gates_of(entry)}" for entry in model.documents}
        return {**{name: getattr(model, name) for name in PLAIN}, **suites, **documents}

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        chosen = {suite: fields.pop(suite).split() for suite in SUITES}
        fields["suites"] = [
            {"suite": suite, "tier": where[0], "gates": where[1]} for suite, where in chosen.items() if where
        ]
        asked = {kind: fields.pop(kind).split() for kind in DOCUMENTS}
        fields["documents"] = [
            {"kind": kind, "origin": said[0], "gates": said[1]} for kind, said in asked.items() if said
        ]
        return commands.create_model(actor=actor, **fields)

    def facts(self, obj: ReleaseModel) -> list[tuple[str, Any]]:
        return [
            ("Key", obj.key),
            ("Version", obj.version),
            ("Sign-off", obj.get_sign_off_display()),
            ("Review", obj.get_review_display()),
            ("Exposure", obj.get_exposure_display()),
        ]

    def panels(self, request: HttpRequest, obj: ReleaseModel) -> dict[str, Any]:
        return {
            **release_model_rules(obj),
            "pre_approval": self._pre_approval(obj),
            "may_ask": roles.ask_pre_approval(actor_of(request), obj),
            "may_make_version": self.may_add(actor_of(request)),
        }

    def _pre_approval(self, obj: ReleaseModel) -> PreApproval | None:
        """How the pre-approval stands, where the model's releases rest on one."""
        if obj.sign_off != ReleaseModel.SignOff.PRE_APPROVED:
            return None
        return model_approval(obj, now=timezone.now())

    def extra_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        return [
            path("<int:pk>/change/round/", wrap(require_POST(self.round_view)), name=f"{name}_round"),
            path("<int:pk>/change/end/", wrap(self.end_view), name=f"{name}_end"),
        ]

    def round_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for the pre-approval."""
        model = self.found(request, pk)
        act = partial(approvals.open_round, model, actor=actor_of(request), now=timezone.now())
        round = attempt(request, act, done="The reviewers are asked.")
        where = reverse("admin:approvals_approvalround_change", args=[round.pk]) if round else self.address(model)
        return HttpResponseRedirect(where)

    def end_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """End the pre-approval, with a reason."""
        model = self.found(request, pk)
        form = self.bound(EndForm, request)
        if request.method == "POST" and form.is_valid():
            end = partial(approvals.end_pre_approval, model, actor=actor_of(request), now=timezone.now())
            if attempt(request, partial(end, **form.cleaned_data), done="It has ended.", form=form):
                return HttpResponseRedirect(self.address(model))
        title = f"End the pre-approval of {model.number}"
        intro = "From now on each release under it needs a round of its own."
        return self.form_page(request, form, title=title, button="End it", record=model, intro=intro)
