"""The release: its list, its page with everything that hangs on it, and its forms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.views.decorators.http import require_POST

from approvals import commands as approvals
from approvals.queries import current_round, pre_approval, takes_votes
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Product, ProductDocument, ReleaseModel
from releasemgmt.catalog.policies import gates_of
from releasemgmt.portal import evidence
from releasemgmt.portal.admin.forms import (
    OwnProducts,
    VoidingForm,
    day,
    instant,
    offer,
    several,
    text,
    visible_products,
)
from releasemgmt.portal.sign_offs import sign_off
from releasemgmt.releases import commands, queries
from releasemgmt.releases.commands.release import EDITABLE
from releasemgmt.releases.models import Build, DefectLink, Document, KnownDefect, Release, Risk
from releasemgmt.web.admin import PersonalForm, RecordAdmin, actor_of, attempt, pill
from releasemgmt.workflow.models import Aggregate

COMMITS_SHOWN = 50
FINISHED = (Release.State.CLOSED, Release.State.CANCELLED)


class ReleaseForm(PersonalForm):
    """A new release."""

    product = forms.ModelChoiceField(Product.objects.none())
    version = forms.CharField(max_length=100, help_text="As the product counts, for instance 4.2.0.")
    title = forms.CharField(max_length=200, required=False)
    type = forms.ChoiceField(choices=Release.Type.choices, initial=Release.Type.MINOR)
    database_change = forms.ChoiceField(choices=Release.DatabaseChange.choices)
    target_date = day()
    components = several(Component.objects.none())
    description = text()

    def choose(self, user: User, record: Any) -> None:
        products = visible_products(user)
        components = Component.objects.filter(product__in=products).select_related("product")
        offer(self, "product", products)
        offer(self, "components", components, lambda component: f"{component.product}: {component.key}")


class ReleaseEditForm(VoidingForm):
    """What can be edited of a release; its state, votes and evidence are not here."""

    title = forms.CharField(max_length=200, required=False)
    type = forms.ChoiceField(choices=Release.Type.choices)
    release_manager = forms.ModelChoiceField(User.objects.none(), required=False)
    risk = forms.ChoiceField(choices=Risk.choices, help_text="It may be raised, never lowered.")
    database_change = forms.ChoiceField(choices=Release.DatabaseChange.choices)
    target_date = day()
    train = forms.CharField(max_length=100, required=False)
    components = several(Component.objects.none())
    description = text()
    on_hold = forms.BooleanField(required=False, help_text="Nothing moves forward while it is.")
    hold_reason = forms.CharField(max_length=500, required=False, label="Why it is on hold")

    def choose(self, user: User, record: Release) -> None:
        held = {"role_assignments__role": "release_manager", "role_assignments__team": record.product.team_id}
        offer(self, "components", record.product.components.all())
        offer(self, "release_manager", User.objects.filter(is_active=True, **held).distinct())


class DocumentForm(VoidingForm):
    """A document in Markdown."""

    body = text(18, label="Text (Markdown)")


class BuildsForm(VoidingForm):
    """Which build of each component the release consists of."""

    def choose(self, user: User, record: Release) -> None:
        known = Build.objects.filter(product=record.product, status=Build.Status.SUCCEEDED).order_by("-built_at", "-pk")
        chosen = {build.component_id: build for build in record.builds.all()}
        for component in record.components.all():
            field = forms.ModelChoiceField(
                known.filter(component=component), required=False, initial=chosen.get(component.pk), label=component.key
            )
            field.label_from_instance = _called  # type: ignore[assignment]
            self.fields[f"component_{component.pk}"] = field

    def clean(self) -> dict[str, Any]:
        """One list, as the command takes it."""
        fields = dict(self.cleaned_data)
        void = fields.pop("void_signoffs")
        return {"builds": [build for build in fields.values() if build], "void_signoffs": void}


def _called(build: Build) -> str:
    built = localize(localtime(build.built_at))
    return f"{build.artifact_uri} · {build.digest[7:19]} · built {built}"


class DefectLinkForm(VoidingForm):
    """What a known defect means for the release."""

    defect = forms.ModelChoiceField(KnownDefect.objects.none())
    relation = forms.ChoiceField(choices=DefectLink.Relation.choices)
    disposition = forms.ChoiceField(
        choices=DefectLink.Disposition.choices,
        help_text="To accept it is a release manager's decision, with a reason and an end.",
    )
    accepted_until = instant(required=False)
    reason = text(3)

    def choose(self, user: User, record: Release) -> None:
        known = KnownDefect.objects.filter(product=record.product).order_by("-pk")
        offer(self, "defect", known, lambda defect: f"{defect} {defect.title}")


@admin.register(Release)
class ReleaseAdmin(RecordAdmin):
    """Releases."""

    record_template = "portal/release.html"
    pipeline = ("planned", "built", "integration_tested", "accepted", "deployed", "closed")
    list_display = ("number", "product", "version", "title", "shown_state", "shown_risk", "created_at")
    list_filter = ("state", "type", "risk", "on_hold", ("product", OwnProducts))
    search_fields = ("version", "title", "product__key")
    ordering = ("-created_at", "-id")
    add_form = ReleaseForm
    edit_form = ReleaseEditForm
    transition_commands = commands.TRANSITIONS

    @admin.display(description="Risk", ordering="risk")
    def shown_risk(self, release: Release) -> SafeString:
        return pill(release.risk, release.get_risk_display())

    def visible(self, user: User) -> QuerySet[Release]:
        return Release.objects.visible_to(user).select_related(
            "product__team", "model", "release_manager", "created_by", "requested_by"
        )

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        return commands.create_release(actor=actor, now=timezone.now(), **fields)[0]

    def initial(self, obj: Release) -> dict[str, Any]:
        names = set(ReleaseEditForm.base_fields) - {"components", "void_signoffs"}
        return {**{name: getattr(obj, name) for name in names}, "components": obj.components.all()}

    def may_add(self, user: User) -> bool:
        return roles.edit_records.somewhere(user)

    def may_edit(self, user: User, obj: Release) -> bool:
        return obj.state in EDITABLE and roles.edit_records(user, obj)

    def edit(self, obj: Release, fields: dict[str, Any], *, actor: User) -> Any:
        void = fields.pop("void_signoffs")
        fields["components"] = list(fields["components"])
        return commands.edit_release(obj, changes=fields, actor=actor, now=timezone.now(), void_signoffs=void)

    def facts(self, obj: Release) -> list[tuple[str, Any]]:
        return [
            ("Product", obj.product),
            ("Version", obj.version),
            ("Type", obj.get_type_display()),
            ("Risk", obj.get_risk_display()),
            ("Model", obj.model),
            ("Release manager", obj.release_manager),
            ("Requested by", obj.requested_by or obj.created_by),
            ("Database change", obj.get_database_change_display()),
            ("Target date", obj.target_date),
            ("Train", obj.train),
            ("Cycle", obj.cycle),
            ("Released", obj.released_at),
        ]

    def panels(self, request: HttpRequest, obj: Release) -> dict[str, Any]:
        user, now = actor_of(request), timezone.now()
        rests_on_one = obj.model.sign_off == ReleaseModel.SignOff.PRE_APPROVED and takes_votes(obj)
        commits = list(obj.commits.order_by("-committed_at", "-pk")[: COMMITS_SHOWN + 1])
        return {
            "documents": self._documents(user, obj),
            "components": obj.components.all(),
            "builds": obj.builds.select_related("component").order_by("component__key"),
            "suites": queries.test_plan(obj),
            "links": obj.defect_links.select_related("defect").order_by("defect_id"),
            "changes": obj.changes.order_by("pk"),
            **sign_off(obj, current_round(obj), user, now=now),
            "pre_approval": pre_approval(obj, now=now) if rests_on_one else None,
            "plans": obj.plans.select_related("environment").order_by("-pk")[:10],
            "commits": commits[:COMMITS_SHOWN],
            "more_commits": len(commits) > COMMITS_SHOWN,
            "may_write": self.may_edit(user, obj),
            "may_choose_builds": obj.state == Release.State.PLANNED and roles.edit_records(user, obj),
            "may_open_round": takes_votes(obj) and roles.manage_releases(user, obj),
            "may_plan": obj.state not in FINISHED and roles.plan_deployments(user, obj),
        }

    def _documents(self, user: User, obj: Release) -> list[dict[str, Any]]:
        """Every kind of document: what counts for the release, and before which transition its model asks for it."""
        written = queries.documents(obj, Document.Kind.values)
        wanted = {entry["kind"]: gates_of(entry) for entry in obj.model.documents}
        edits = roles.edit_records(user, obj)
        return [
            {
                "kind": kind,
                "label": label,
                "document": written.get(kind),
                "inherited": isinstance(written.get(kind), ProductDocument),
                "wanted": wanted.get(kind),
                "may_write": edits and (obj.state in EDITABLE or queries.is_due_later(obj, kind)),
            }
            for kind, label in Document.Kind.choices
        ]

    def extra_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        return [
            path("<int:pk>/change/documents/<str:kind>/", wrap(self.document_view), name=f"{name}_document"),
            path("<int:pk>/change/builds/", wrap(self.builds_view), name=f"{name}_builds"),
            path("<int:pk>/change/defects/", wrap(self.defect_view), name=f"{name}_defect"),
            path("<int:pk>/change/evidence/", wrap(self.evidence_view), name=f"{name}_evidence"),
            path("<int:pk>/change/round/", wrap(require_POST(self.round_view)), name=f"{name}_round"),
        ]

    def document_view(self, request: HttpRequest, pk: int, kind: str) -> HttpResponse:
        """Write one document."""
        release = self.found(request, pk)
        if kind not in Document.Kind.values:
            raise Http404
        document = queries.documents(release, [kind]).get(kind)
        form = self.bound(DocumentForm, request, initial={"body": document.body if document else ""}, record=release)
        write = partial(commands.write_document, release, kind=kind, actor=actor_of(request), now=timezone.now())
        return self._ask(request, form, release, write, title=f"{Document.Kind(kind).label}: {release}")

    def evidence_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """All that is recorded of the release, to print."""
        release = self.found(request, pk)
        pack = evidence.to_read(evidence.pack(release, now=timezone.now()))
        page = {"title": f"Evidence of {release}", "opts": self.opts, "original": release, "record": release}
        context = {**self.admin_site.each_context(request), **page, "pack": pack}
        return render(request, "portal/evidence.html", context)

    def builds_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Choose the builds."""
        release = self.found(request, pk)
        form = self.bound(BuildsForm, request, record=release)
        choose = partial(commands.set_builds, release, actor=actor_of(request), now=timezone.now())
        intro = "" if form.visible_fields() else "It has no component yet. Edit the release and name what is built."
        return self._ask(request, form, release, choose, title=f"Builds of {release}", intro=intro)

    def defect_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say what a defect means for the release."""
        release = self.found(request, pk)
        form = self.bound(DefectLinkForm, request, record=release, initial=request.GET.dict())
        link = partial(commands.link_defect, release, actor=actor_of(request), now=timezone.now())
        return self._ask(request, form, release, link, title=f"Known defect of {release}")

    def round_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Open the first round of sign-off, or the next where the last no longer holds."""
        release = self.found(request, pk)
        act = partial(approvals.open_round, release, actor=actor_of(request), now=timezone.now())
        round = attempt(request, act, done="The reviewers are asked.")
        where = reverse("admin:approvals_approvalround_change", args=[round.pk]) if round else self.address(release)
        return HttpResponseRedirect(where)

    def _ask(
        self, request: HttpRequest, form: forms.Form, release: Release, act: Callable[..., Any], **page: Any
    ) -> HttpResponse:
        """Show a form; once it is filled in, call the command with its fields and go back to the release."""
        sent = request.method == "POST" and form.is_valid()
        if sent and attempt(request, partial(act, **form.cleaned_data), done="Saved.", form=form):
            return HttpResponseRedirect(self.address(release))
        return self.form_page(request, form, button="Save", record=release, **page)
