"""Incidents: what is known of each, what the service suspects, and who confirmed it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from deployments import commands
from deployments.models import Deployment, Incident
from deployments.queries import suspects
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, Environment, Product, Tier
from releasemgmt.portal.admin.forms import OwnProducts, instant, offer, several, text, visible_products
from releasemgmt.web.admin import PersonalForm, RecordAdmin, actor_of, attempt, pill, visible_row
from releasemgmt.workflow.models import Aggregate

KINDS = [choice for choice in Incident.Kind.choices if choice[0] != Incident.Kind.NOTICE]
INSTANTS = ("started_at", "detected_at", "restored_at")
#: How many deployments up to now can be chosen as the cause or the fix.
OFFERED = 50


class IncidentFields(PersonalForm):
    """What is said of an incident."""

    title = forms.CharField(max_length=200)
    kind = forms.ChoiceField(choices=KINDS, help_text="Down: users could not use it. Degraded: not as they should.")
    severity = forms.ChoiceField(choices=Incident.Severity.choices, initial=Incident.Severity.MAJOR)
    started_at = instant()
    detected_at = instant(required=False)
    restored_at = instant(required=False, help_text="When users had it back. Empty while it goes on.")
    environment = forms.ModelChoiceField(Environment.objects.all())
    components = several(Component.objects.none())

    def choose(self, user: User, record: Incident | None) -> None:
        product = record.product if record else self._chosen(user)
        offer(self, "components", Component.objects.filter(product=product), lambda component: str(component.key))
        if product is None:
            self.fields["components"].help_text = "Choose the product; they can be named on the incident's page."

    def _chosen(self, user: User) -> Product | None:
        """The product that is named by the page before, or by what was sent; else the only one."""
        rows = visible_products(user)
        given = self.data.get("product") or self.initial.get("product")
        if not given:
            return rows[0] if len(rows[:2]) == 1 else None
        try:
            found: Product | None = forms.ModelChoiceField(rows).clean(given)
        except forms.ValidationError:
            return None
        return found


class IncidentForm(IncidentFields):
    """A new incident."""

    product = forms.ModelChoiceField(Product.objects.none())
    field_order = ("title", "product", "environment", "kind", "severity", *INSTANTS)

    def choose(self, user: User, record: Incident | None) -> None:
        super().choose(user, record)
        offer(self, "product", visible_products(user))


class IncidentEditForm(IncidentFields):
    """What can be corrected; who names a deployment confirms it."""

    caused_by = forms.ModelChoiceField(Deployment.objects.none(), required=False, empty_label="Not known")
    fixed_by = forms.ModelChoiceField(Deployment.objects.none(), required=False, empty_label="Not known")

    def choose(self, user: User, record: Incident | None) -> None:
        super().choose(user, record)
        if record:
            rows = Deployment.objects.filter(product=record.product, environment__tier=Tier.PRODUCTION)
            last = rows.order_by("-started_at", "-pk").values_list("pk", flat=True)[:OFFERED]
            named = [pk for pk in (record.caused_by_id, record.fixed_by_id) if pk]
            found = Deployment.objects.filter(pk__in=[*last, *named]).order_by("-started_at", "-pk")
            for name in ("caused_by", "fixed_by"):
                offer(self, name, found.select_related("release", "product", "environment"), called)
            if record.is_imported:
                self.fields["environment"].required = False
                self.fields["kind"].choices = Incident.Kind.choices  # type: ignore[attr-defined]


class RestoreForm(forms.Form):
    """When users had it back."""

    restored_at = instant()


class WithdrawForm(forms.Form):
    """Why it was recorded in error."""

    reason = text(4)


def called(deployment: Deployment) -> str:
    """A deployment as people choose it."""
    when = timezone.localtime(deployment.finished_at or deployment.started_at)
    return f"{deployment}, {when:%-d %b %Y, %H:%M}, {deployment.get_status_display().lower()}"


class InState(admin.SimpleListFilter):
    """Those that are open, that are over, or that were recorded in error."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return Incident.State.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Incident]) -> QuerySet[Incident]:
        return queryset.filter(Incident.STATES.get(self.value() or "", Q()))


@admin.register(Incident)
class IncidentAdmin(RecordAdmin):
    """Incidents."""

    record_template = "portal/incident.html"
    list_display = ("number", "product", "title", "shown_kind", "shown_severity", "shown_standing", "started_at")
    list_filter = (InState, "kind", "severity", "environment", ("product", OwnProducts))
    search_fields = ("title", "external_id")
    list_select_related = ("product", "environment")
    ordering = ("-started_at", "-id")
    add_form = IncidentForm
    edit_form = IncidentEditForm

    @admin.display(description="Kind", ordering="kind")
    def shown_kind(self, incident: Incident) -> SafeString:
        planned = pill("planned", "Planned") if incident.planned else ""
        return format_html("{} {}", pill(incident.kind, incident.get_kind_display()), planned)

    @admin.display(description="Severity", ordering="severity")
    def shown_severity(self, incident: Incident) -> SafeString:
        return pill(incident.severity, incident.get_severity_display())

    @admin.display(description="State", ordering="restored_at")
    def shown_standing(self, incident: Incident) -> SafeString:
        return pill(incident.state, incident.get_state_display())

    def visible(self, user: User) -> QuerySet[Incident]:
        people = ("reported_by", "cause_confirmed_by", "fix_confirmed_by")
        deployments = [f"{each}__{path}" for each in ("caused_by", "fixed_by") for path in ("release", "environment")]
        rows = Incident.objects.visible_to(user).prefetch_related("components")
        return rows.select_related("product__team", "environment", *people, *deployments)

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        fields["components"] = list(fields["components"])
        return commands.report_incident(actor=actor, now=timezone.now(), **fields)

    def may_add(self, user: User) -> bool:
        return roles.edit_records.somewhere(user)

    def may_edit(self, user: User, obj: Incident) -> bool:
        return not obj.withdrawn and roles.edit_records(user, obj)

    def initial(self, obj: Incident) -> dict[str, Any]:
        return {**super().initial(obj), "components": obj.components.all()}

    def edit(self, obj: Incident, fields: dict[str, Any], *, actor: User) -> Any:
        same = [name for name in INSTANTS if fields.get(name) and fields[name] == to_the_minute(getattr(obj, name))]
        changes = {name: value for name, value in fields.items() if name not in same}
        changes["components"] = list(fields["components"])
        return commands.correct_incident(obj, changes=changes, actor=actor, now=timezone.now())

    def facts(self, obj: Incident) -> list[tuple[str, Any]]:
        imported = [("Imported as", obj.external_id)] if obj.is_imported else [("Reported by", obj.reported_by)]
        return [
            ("Product", obj.product),
            ("Environment", obj.environment),
            ("Components", ", ".join(sorted(each.key for each in obj.components.all()))),
            ("Kind", f"{obj.get_kind_display()}{', planned' if obj.planned else ''}"),
            ("Severity", obj.get_severity_display()),
            ("Started", obj.started_at),
            ("Detected", obj.detected_at),
            ("Restored", obj.restored_at),
            *imported,
            ("Recorded", obj.recorded_at),
        ]

    def panels(self, request: HttpRequest, obj: Incident) -> dict[str, Any]:
        suspected = suspects(obj)
        deployments = [
            ("cause", "What caused it", obj.caused_by, obj.cause_confirmed_by, suspected.cause),
            ("fix", "What ended it", obj.fixed_by, obj.fix_confirmed_by, suspected.fix),
        ]
        return {
            "deployments": deployments,
            "seen_on": timezone.localdate(obj.restored_at or obj.started_at) + timedelta(days=2),
            "revisions": obj.revisions.order_by("-recorded_at", "-pk"),
        }

    def extra_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        confirm = wrap(require_POST(self.confirm_view))
        return [
            path("<int:pk>/change/restore/", wrap(self.restore_view), name=f"{name}_restore"),
            path("<int:pk>/change/withdraw/", wrap(self.withdraw_view), name=f"{name}_withdraw"),
            path("<int:pk>/change/confirm/<str:what>/", confirm, name=f"{name}_confirm"),
        ]

    def restore_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say when users had it back."""
        incident = self.found(request, pk)
        form = self.bound(RestoreForm, request, initial={"restored_at": timezone.localtime()})
        if request.method == "POST" and form.is_valid():
            act = partial(commands.correct_incident, incident, changes=form.cleaned_data)
            if attempt(request, self.by(request, act), done=f"{incident} is over.", form=form):
                return HttpResponseRedirect(self.address(incident))
        return self.form_page(request, form, title=f"Restored: {incident}", button="Restored", record=incident)

    def withdraw_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say that it was recorded in error."""
        incident = self.found(request, pk)
        form = self.bound(WithdrawForm, request)
        if request.method == "POST" and form.is_valid():
            act = partial(commands.withdraw_incident, incident, **form.cleaned_data)
            if attempt(request, self.by(request, act), done=f"{incident} counts nowhere now.", form=form):
                return HttpResponseRedirect(self.address(incident))
        intro = "It stays to be read, and counts nowhere. There is no way back."
        title, button = f"Recorded in error: {incident}", f"Withdraw {incident}"
        return self.form_page(request, form, title=title, button=button, intro=intro, final=True, record=incident)

    def confirm_view(self, request: HttpRequest, pk: int, what: str) -> HttpResponse:
        """Agree with what the service suspected when the page was shown."""
        incident = self.found(request, pk)
        field = {"cause": "caused_by", "fix": "fixed_by"}.get(what)
        if field is None:
            raise Http404
        rows = Deployment.objects.filter(product=incident.product).select_related("release", "environment")
        deployment = visible_row(rows, request.POST.get("deployment"))
        act = partial(commands.correct_incident, incident, changes={field: deployment})
        attempt(request, self.by(request, act), done=f"Confirmed: {deployment}.")
        return HttpResponseRedirect(self.address(incident))

    def by(self, request: HttpRequest, act: Callable[..., Any]) -> Callable[[], Any]:
        """The command, by the person at the page, now."""
        return partial(act, actor=actor_of(request), now=timezone.now())


def to_the_minute(at: Any) -> Any:
    """An instant as forms show it: saved again, it is the same one."""
    return at and at.replace(second=0, microsecond=0)
