"""Preparation: the list on the page of a plan, and what a product asks for on its own page."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_POST

from deployments import commands, queries
from deployments.models import DeploymentPlan, PreparationKind
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product, Tier
from releasemgmt.portal.admin.forms import text
from releasemgmt.web.admin import PersonalForm, actor_of, attempt
from releasemgmt.workflow.errors import Refused

if TYPE_CHECKING:
    from releasemgmt.web.admin import RecordAdmin as Base
else:
    Base = object

Kind = PreparationKind
FOUND = [("yes", "It holds"), ("no", "It does not hold")]
#: How the fields are called in which people say what they found of a component.
FIELD = "digest_of_"


class VerificationForm(PersonalForm):
    """What was found of an item; of artifacts, the digest of each component where it is kept."""

    kind = forms.CharField(widget=forms.HiddenInput)
    title = forms.CharField(widget=forms.HiddenInput, required=False)
    digest = forms.CharField(widget=forms.HiddenInput, required=False)
    holds = forms.ChoiceField(choices=FOUND, widget=forms.RadioSelect, initial="yes", label="What was found")
    evidence = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}), help_text="How you know: an address, a ticket, what you saw."
    )

    def choose(self, user: User, record: Any) -> None:
        """A field for each component, where it is about artifacts."""
        if self["kind"].value() != Kind.ARTIFACTS:
            return
        for key in queries.brought_by(record):
            found = forms.CharField(max_length=80, label=f"Digest of {key}", help_text="As the registry says it.")
            self.fields[FIELD + key] = found
        self.order_fields(["holds", *(name for name in self.fields if name.startswith(FIELD)), "evidence"])

    def refused(self, refused: Refused) -> bool:
        """What is wrong with a digest stands at its field."""
        errors: dict[str, str] = getattr(refused, "errors", {})
        at_fields = {name.replace("digests.", FIELD): reason for name, reason in errors.items()}
        if not at_fields or not at_fields.keys() <= self.fields.keys():
            return False
        for name, reason in at_fields.items():
            self.add_error(name, reason)
        return True

    def said(self) -> dict[str, Any]:
        """What the command is told."""
        said = {name: value for name, value in self.cleaned_data.items() if not name.startswith(FIELD)}
        found = {name.removeprefix(FIELD): value for name, value in self.cleaned_data.items() if name.startswith(FIELD)}
        return {**said, "holds": said["holds"] == "yes", "digests": found}


class AskingForm(forms.Form):
    """What a product asks for before a plan is ready."""

    kinds = forms.MultipleChoiceField(
        choices=[choice for choice in Kind.choices if choice[0] != Kind.OTHER],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Asked for",
    )
    titles = text(
        5, label="Besides", help_text="One thing a line. Nothing ticked and nothing written asks for nothing."
    )

    def items(self) -> list[tuple[str, str]]:
        """The list in its order: what has a name of its own first."""
        lines = (line.strip() for line in self.cleaned_data["titles"].splitlines())
        kinds = self.cleaned_data["kinds"]
        return [(kind, "") for kind in Kind.values if kind in kinds] + [
            (Kind.OTHER.value, line) for line in lines if line
        ]


class PreparedPlans(Base):
    """The part of the plans' pages that is about their lists."""

    def preparation_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        lookup = wrap(require_POST(self.lookup_view))
        return [
            path("<int:pk>/change/preparation/", wrap(self.preparation_view), name=f"{name}_preparation"),
            path("<int:pk>/change/preparation/lookup/", lookup, name=f"{name}_lookup"),
        ]

    def preparation_panel(self, plan: DeploymentPlan, user: User) -> dict[str, Any]:
        """The list as it stands, and whether the person may say something of it."""
        is_ahead = plan.state in queries.BEFORE_START
        checks = queries.checklist(plan)
        return {
            "checks": checks,
            "may_verify": is_ahead and roles.verify_preparation(user, plan),
            "lookup": queries.last_lookup(plan) if any(check.kind == Kind.ARTIFACTS for check in checks) else None,
        }

    def lookup_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask the service to look the artifacts up."""
        plan = self.found(request, pk)
        ask = partial(commands.ask_to_look_up, plan, actor=actor_of(request), now=timezone.now())
        attempt(request, ask, done="The artifacts are being looked up. It takes some seconds.")
        return HttpResponseRedirect(self.address(plan))

    def preparation_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say of one item, which the address names, whether it holds; of the configuration beside the difference."""
        plan = self.found(request, pk)
        named = {name: request.GET.get(name, "") for name in ("kind", "title")}
        checks = {(each.kind, each.title): each for each in queries.checklist(plan)}
        check = checks.get((named["kind"], named["title"]))
        initial = {**named, "digest": check.digest if check else ""}
        form = self.bound(VerificationForm, request, initial=initial, record=plan)
        if request.method == "POST" and form.is_valid():
            said = form.said()  # type: ignore[attr-defined]
            verify = partial(commands.verify, plan, actor=actor_of(request), now=timezone.now(), **said)
            if attempt(request, verify, done="It is on record.", form=form):
                return HttpResponseRedirect(self.address(plan))
        if check is None and request.method != "POST":
            messages.info(request, f"The list of {plan} does not ask for that any more.")
            return HttpResponseRedirect(self.address(plan))
        kind = form["kind"].value()
        page = {
            **self.admin_site.each_context(request),
            **{"opts": self.opts, "original": plan, "back": self.address(plan), "form": form, "button": "Say so"},
            "title": f"{check.name if check else 'Preparation'}: {plan}",
            "plan": plan,
            "comparison": queries.comparison(plan.release, plan.environment) if kind == Kind.CONFIGURATION else None,
        }
        return render(request, "portal/preparation_form.html", page, status=400 if form.errors else 200)


class AskingProducts(Base):
    """The part of the products' pages that is about what they ask for."""

    def preparation_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        return [path("<int:pk>/change/preparation/<str:tier>/", wrap(self.asking_view), name=f"{name}_preparation")]

    def asked(self, product: Product) -> list[dict[str, Any]]:
        """Each tier that the product uses, or asks something for, with its list."""
        asked = queries.asked_in(product)
        used = {environment.tier for environment in product.environments.all()} | set(asked)
        return [{"tier": tier, "items": asked.get(tier, [])} for tier in Tier if tier in used]

    def asking_view(self, request: HttpRequest, pk: int, tier: str) -> HttpResponse:
        """Tick and write what is asked for before a plan into such an environment is ready."""
        product = self.found(request, pk)
        if tier not in Tier.values:
            raise Http404
        there = queries.asked_in(product).get(tier, [])
        titles = "\n".join(item.title for item in there if item.title)
        initial = {"kinds": [item.kind for item in there if not item.title], "titles": titles}
        form = self.bound(AskingForm, request, initial=initial)
        if request.method == "POST" and form.is_valid():
            items = form.items()  # type: ignore[attr-defined]
            act = partial(commands.ask_for, product, tier=tier, items=items, actor=actor_of(request))
            if attempt(request, act, done="Saved.", form=form):
                return HttpResponseRedirect(self.address(product))
        title = f"Before a plan for {Tier(tier).label.lower()} is ready: {product}"
        return self.form_page(request, form, title=title, button="Save", record=product)
