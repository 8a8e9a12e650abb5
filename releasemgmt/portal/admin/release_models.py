"""Release models: how releases of a kind are governed, and a form for the next version of one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog import commands
from releasemgmt.catalog.models import ReleaseModel, Tier
from releasemgmt.catalog.policies import SUITES
from releasemgmt.releases.models import Document
from releasemgmt.web.admin import RecordAdmin, actor_of
from releasemgmt.workflow.models import Aggregate

GATES = {"pass_integration": "before it passes integration test", "accept": "before it is accepted"}
SUITE_CHOICES = [
    ("", "not asked for"),
    *(
        (f"{tier} {gate}", f"in {label.lower()}, {before}")
        for tier, label in Tier.choices
        for gate, before in GATES.items()
    ),
]


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
    documents = forms.MultipleChoiceField(
        choices=Document.Kind.choices, required=False, widget=forms.CheckboxSelectMultiple, label="Documents it needs"
    )
    review = forms.ChoiceField(choices=ReleaseModel.Review.choices)
    exposure = forms.ChoiceField(choices=ReleaseModel.ExposureMode.choices)


@admin.register(ReleaseModel)
class ReleaseModelAdmin(RecordAdmin):
    """Release models; a version is never edited, the next one takes its place."""

    record_template = "portal/release_model.html"
    list_display = ("key", "version", "name", "sign_off", "review")
    search_fields = ("key", "name")
    add_form = ModelForm

    def may_add(self, user: User) -> bool:
        return roles.administrate.somewhere(user)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The form starts with the model that `?like=` names."""
        like = request.GET.get("like", "")
        model = ReleaseModel.objects.filter(pk=like).first() if like.isdecimal() and len(like) < 10 else None
        if model is None:
            return {}
        suites = {entry["suite"]: f"{entry['tier']} {entry['gates']}" for entry in model.suites}
        plain = {name: getattr(model, name) for name in ("key", "name", "review", "exposure")}
        return {**plain, **suites, "documents": [entry["kind"] for entry in model.documents]}

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        chosen = {suite: fields.pop(suite).split() for suite in SUITES}
        fields["suites"] = [
            {"suite": suite, "tier": where[0], "gates": where[1]} for suite, where in chosen.items() if where
        ]
        fields["documents"] = [{"kind": kind, "origin": "own"} for kind in fields["documents"]]
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
            "suites": [{**entry, "before": GATES.get(entry["gates"], "")} for entry in obj.suites],
            "documents": [Document.Kind(entry["kind"]).label for entry in obj.documents],
            "may_make_version": self.may_add(actor_of(request)),
        }
