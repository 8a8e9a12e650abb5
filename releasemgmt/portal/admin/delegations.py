"""Delegations: who votes for whom, until when, given and ended by the people themselves."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.views.decorators.http import require_POST

from approvals import commands
from approvals.models import Delegation
from approvals.policies import VOTERS
from approvals.queries import delegations_known_to, delegations_under_watch
from releasemgmt.accounts.models import Role, User
from releasemgmt.portal.admin.forms import colleagues, instant, offer
from releasemgmt.web.admin import PersonalForm, ReadOnlyAdmin, actor_of, attempt, back_to, visible_row

LIST = "admin:approvals_delegation_changelist"
#: Of one's own that are over, and of other people's.
SHOWN = 50


class DelegationForm(PersonalForm):
    """To whom, which of one's roles, and from when to when."""

    delegate = forms.ModelChoiceField(User.objects.none(), label="Who votes for me")
    roles = forms.MultipleChoiceField(widget=forms.CheckboxSelectMultiple, label="As")
    starts_at = instant(label="From")
    ends_at = instant(label="Until", help_text="A delegation is for a time; you can end it before.")
    reason = forms.CharField(max_length=500, required=False, label="Why")

    def choose(self, user: User, record: Any) -> None:
        held = [(role, Role(role).label) for role in VOTERS if role in user.roles_anywhere()]
        self.fields["roles"].choices = held  # type: ignore[attr-defined]
        self.initial.setdefault("roles", [role for role, _label in held])
        self.initial.setdefault("starts_at", timezone.localtime())
        offer(self, "delegate", colleagues(user).exclude(pk=user.pk))


@admin.register(Delegation)
class DelegationAdmin(ReadOnlyAdmin):
    """One page with one's own, and a form for another."""

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        listed, *_others = super().get_urls()
        return [
            path("add/", wrap(self.give_view), name="approvals_delegation_add"),
            path("<int:pk>/end/", wrap(require_POST(self.end_view)), name="approvals_delegation_end"),
            listed,
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        user, now = actor_of(request), timezone.now()
        own = Delegation.objects.of(user).select_related("delegator", "delegate")
        live = [_told(each, now) for each in own.live(now)]
        context = {
            **self.admin_site.each_context(request),
            "title": "Delegations",
            "given": [each for each in live if each["delegation"].delegator_id == user.pk],
            "held": [each for each in live if each["delegation"].delegate_id == user.pk],
            "past": [_told(each, now) for each in own.over(now)[:SHOWN]],
            "watched": [_told(each, now) for each in delegations_under_watch(user, now=now)[:SHOWN]],
            "votes": not user.roles_anywhere().isdisjoint(VOTERS),
        }
        return render(request, "portal/delegations.html", context)

    def give_view(self, request: HttpRequest) -> HttpResponse:
        """Let somebody vote in one's place."""
        user, sent = actor_of(request), request.POST if request.method == "POST" else None
        form = DelegationForm(sent, user=user)
        if sent is not None and form.is_valid():
            fields = dict(form.cleaned_data)
            give = partial(commands.delegate, fields.pop("delegate"), actor=user, now=timezone.now())
            if given := attempt(request, partial(give, **fields), done="", form=form):
                until = date_format(timezone.localtime(given.ends_at), "j M Y, H:i")
                messages.success(request, f"{given.delegate} votes for you until {until}.")
                return HttpResponseRedirect(reverse(LIST))
        context = {
            **self.admin_site.each_context(request),
            "title": "Let somebody vote for me",
            "intro": "Both of you keep what bars you: neither judges their own work. What is delegated to you is not "
            "passed on. Wherever such a vote stands, it says for whom it was cast.",
            "form": form,
            "button": "Delegate",
            "back": reverse(LIST),
        }
        return render(request, "web/form.html", context, status=400 if form.errors else 200)

    def end_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """End it before its time."""
        user = actor_of(request)
        delegation = visible_row(delegations_known_to(user), pk)
        act = partial(commands.end_delegation, delegation, actor=user, now=timezone.now())
        attempt(request, act, done="Ended. Votes that were cast under it stay.")
        return back_to(request, reverse(LIST))


def _told(delegation: Delegation, now: datetime) -> dict[str, Any]:
    """A delegation in words."""
    value, label = delegation.standing(now)
    roles = ", ".join(str(Role(role).label) for role in delegation.roles)
    return {"delegation": delegation, "standing": value, "label": label, "roles": roles}
