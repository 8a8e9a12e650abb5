"""Policies: whose approval is asked for; proposed by one administrator, agreed to by another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from approvals import commands, policies, queries
from approvals.models import ApprovalPolicy
from approvals.queries import Outlook, Preview
from releasemgmt.accounts import roles
from releasemgmt.accounts.commands import objection
from releasemgmt.accounts.models import User
from releasemgmt.accounts.queries import administrators
from releasemgmt.portal.admin.policy_forms import ADD, REMOVE, PolicyForm, told, written
from releasemgmt.releases.models import Release
from releasemgmt.web.admin import RecordAdmin, actor_of, attempt, back_to, pill
from releasemgmt.workflow.models import Aggregate

State, Standing = ApprovalPolicy.State, ApprovalPolicy.Standing
#: What a person can say to a proposed version: the state that it leads to, and what the page says once it is done.
ANSWERS: Mapping[str, tuple[str, str]] = {
    "accept": (State.ACCEPTED, "Agreed: it counts for the rounds that open from now on."),
    "withdraw": (State.WITHDRAWN, "Taken back."),
    "decline": (State.DECLINED, "Declined."),
}


class DeclineForm(forms.Form):
    """Why somebody does not agree."""

    reason = forms.CharField(max_length=5_000, widget=forms.Textarea(attrs={"rows": 3}), label="Why not")


class StandingFilter(admin.SimpleListFilter):
    """Those that count or wait; the others on demand."""

    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("all", "All versions"), *Standing.choices]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": "In force or proposed"}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApprovalPolicy]) -> QuerySet[ApprovalPolicy]:
        if self.value() == "all":
            return queryset
        wanted = [self.value()] if self.value() else [Standing.IN_FORCE, Standing.PROPOSED]
        return queryset.filter(Q(standing__in=wanted))


@admin.register(ApprovalPolicy)
class PolicyAdmin(RecordAdmin):
    """Policies: a list, a page for each version to read and agree to, and an editor."""

    record_template = "portal/policy.html"
    list_display = ("name", "number", "shown_standing", "speaks", "asks")
    list_filter = (StandingFilter,)
    search_fields = ("key", "name")
    ordering = ("key", "-version")
    add_form = PolicyForm

    @admin.display(description="Standing")
    def shown_standing(self, policy: Any) -> SafeString:
        return pill(policy.standing, Standing(policy.standing).label)

    @admin.display(description="For")
    def speaks(self, policy: ApprovalPolicy) -> str:
        return policies.speaks_about(policy.subject, policy.conditions).capitalize()

    @admin.display(description="Asks for")
    def asks(self, policy: ApprovalPolicy) -> str:
        return policies.asks_for(policy.stages)

    def visible(self, user: User) -> QuerySet[ApprovalPolicy]:
        return ApprovalPolicy.objects.with_standing().select_related("proposed_by", "decided_by")

    def may_add(self, user: User) -> bool:
        return roles.propose_policies(user, user)

    def facts(self, obj: ApprovalPolicy) -> list[tuple[str, Any]]:
        proposed = f"{obj.proposed_by}, {_day(obj.proposed_at)}" if obj.proposed_by else "shipped with the service"
        decided = [(obj.get_state_display(), f"{obj.decided_by}, {_day(obj.decided_at)}")] if obj.decided_by else []
        return [("Key", obj.key), ("Version", obj.version), ("Proposed", proposed), *decided]

    def panels(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        user = actor_of(request)
        versions = list(ApprovalPolicy.objects.with_standing().filter(key=obj.key))
        proposes = self.may_add(user)
        return {
            "standing": (obj.standing, Standing(obj.standing).label),
            "speaks": policies.speaks_about(obj.subject, obj.conditions),
            "asked": policies.steps_in_words(obj.stages),
            "has_veto": any(stage.get("veto") for stage in obj.stages),
            "has_share": any(stage.get("percent") for stage in obj.stages),
            "versions": [(each, Standing(each.standing).label) for each in versions],  # type: ignore[attr-defined]
            "waits": next((each for each in versions if each.is_open), None),
            "answers": answers(obj, user),
            "proposes": proposes,
            "who_can": [each for each in administrators() if each != obj.proposed_by] if obj.is_open else [],
            "outlook": in_words(queries.preview(obj)) if obj.is_open and proposes else None,
        }

    def extra_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        return [
            path("<int:pk>/change/revise/", wrap(self.revise_view), name=f"{name}_revise"),
            path("<int:pk>/change/decline/", wrap(self.decline_view), name=f"{name}_decline"),
            path("<int:pk>/change/answer/<str:answer>/", wrap(require_POST(self.answer_view)), name=f"{name}_answer"),
        ]

    def answer_view(self, request: HttpRequest, pk: int, answer: str) -> HttpResponse:
        """Agree, or take back."""
        policy = self.found(request, pk)
        if answer not in ("accept", "withdraw"):
            raise Http404
        self._settle(request, policy, answer)
        return back_to(request, self.address(policy))

    def decline_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask why not, then decline."""
        policy = self.found(request, pk)
        if request.method != "POST" and not self.may_add(actor_of(request)):
            raise PermissionDenied
        form = self.bound(DeclineForm, request)
        sent = request.method == "POST" and form.is_valid()
        if sent and self._settle(request, policy, "decline", form=form, **form.cleaned_data):
            return HttpResponseRedirect(self.address(policy))
        intro = f"{policy.proposed_by} reads it on the policy's page." if policy.proposed_by else ""
        return self.form_page(request, form, title=f"Decline {policy}", button="Decline", record=policy, intro=intro)

    def _settle(
        self, request: HttpRequest, policy: ApprovalPolicy, answer: str, *, form: forms.Form | None = None, **said: str
    ) -> Any:
        state, done = ANSWERS[answer]
        settle = partial(commands.decide_policy, policy, state=state, actor=actor_of(request), now=timezone.now())
        return attempt(request, partial(settle, **said), done=done, form=form)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return self.editor(request, None)

    def revise_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Write what the next version says."""
        return self.editor(request, self.found(request, pk))

    def editor(self, request: HttpRequest, policy: ApprovalPolicy | None) -> HttpResponse:
        """The form: its rows come and go, it is previewed, and proposed once it is meant."""
        user, sent = actor_of(request), request.POST if request.method == "POST" else None
        changes_rows = sent.get("change_rows") if sent else None
        if not self.may_add(user) and (sent is None or changes_rows or "preview" in sent):
            raise PermissionDenied
        if sent is not None and changes_rows:
            was = PolicyForm(sent, user=user, record=policy)
            form = PolicyForm(user=user, record=policy, initial=written(was, changes_rows))
            return self.editor_page(request, form, policy)
        form = PolicyForm(sent, user=user, record=policy, initial=told(policy) if policy else {})
        if sent is None or not form.is_valid():
            return self.editor_page(request, form, policy)
        if "preview" in sent:
            return self.editor_page(request, form, policy, outlook=self._preview(request, form, policy))
        if made := attempt(request, partial(_propose, policy, form.policy(), actor=user), done="", form=form):
            return HttpResponseRedirect(self.address(made))
        return self.editor_page(request, form, policy)

    def _preview(self, request: HttpRequest, form: PolicyForm, policy: ApprovalPolicy | None) -> Any:
        """What it would change; nothing where nobody could satisfy it, and the form says why."""
        draft = ApprovalPolicy(**({"key": policy.key} if policy else {}), **form.policy())
        check = partial(commands.check_policy, draft, now=timezone.now())
        return in_words(queries.preview(draft)) if attempt(request, check, done="", form=form) else None

    def editor_page(
        self,
        request: HttpRequest,
        form: PolicyForm,
        policy: ApprovalPolicy | None,
        *,
        outlook: Any = None,
    ) -> HttpResponse:
        """The form, with what it would change where that was asked for."""
        back = self.address(policy) if policy else reverse("admin:approvals_approvalpolicy_changelist")
        title = f"Next version of {policy.name}" if policy else "New approval policy"
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": policy,
            "title": title,
            "back": back,
            "form": form,
            "outlook": outlook,
            "add": ADD,
            "remove": REMOVE,
        }
        return render(request, "portal/policy_form.html", context, status=200 if form.is_in_order else 400)


def answers(policy: ApprovalPolicy, user: User) -> list[dict[str, str]]:
    """The buttons of somebody who may settle policies; one that is off says why."""
    if not policy.is_open or not roles.propose_policies(user, policy):
        return []
    mine = policy.proposed_by_id == user.pk
    labels = {"accept": "Agree", "withdraw": "Take back"} if mine else {"accept": "Agree", "decline": "Decline…"}
    refusals = {name: objection(policy, ANSWERS[name][0], actor=user) for name in labels}
    return [
        {"name": name, "label": label, "why_not": refused.detail if (refused := refusals[name]) else ""}
        for name, label in labels.items()
    ]


def in_words(outlook: Outlook) -> dict[str, Any]:
    """What a policy would change, for people."""
    return {
        "changed": [_changed(each) for each in outlook.changed],
        "looked_at": outlook.looked_at,
        "left_out": outlook.left_out,
    }


def _changed(each: Preview) -> dict[str, Any]:
    record = each.subject
    return {
        "subject": record,
        "name": record.alias if isinstance(record, Release) else record.title,
        "address": reverse(f"admin:{record._meta.app_label}_{record._meta.model_name}_change", args=[record.pk]),
        "now": policies.asks_for(each.now),
        "then": policies.asks_for(each.then),
    }


def _propose(policy: ApprovalPolicy | None, said: dict[str, Any], *, actor: User) -> Aggregate:
    now = timezone.now()
    if policy is None:
        return commands.propose_policy(actor=actor, now=now, **said)
    return commands.revise_policy(policy, changes=said, actor=actor, now=now)


def _day(at: Any) -> str:
    return date_format(timezone.localtime(at), "j M Y, H:i") if at else "–"
