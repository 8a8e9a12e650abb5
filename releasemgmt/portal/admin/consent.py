"""What waits for a second person: roles, what groups are to hold which roles, and approval policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from approvals.models import ApprovalPolicy
from approvals.policies import asks_for, speaks_about
from releasemgmt.accounts import commands, roles
from releasemgmt.accounts.models import GroupMapping, Proposal, RoleRequest, User
from releasemgmt.portal.admin.approval_policies import answers
from releasemgmt.web.admin import ReadOnlyAdmin, actor_of, attempt, back_to

#: What a person can say to a request, and what the page says once it is done.
STEPS: Mapping[str, tuple[Callable[..., Any], str]] = {
    "accept": (commands.accept_role, "Agreed: the role is granted."),
    "decline": (commands.decline_role, "Declined: the role is not granted."),
    "withdraw": (commands.withdraw_role, "Taken back."),
}


def open_requests(user: User) -> Any:
    """The roles that wait for a second person, as far as this one sees them, the oldest first."""
    rows = RoleRequest.objects.filter(state=RoleRequest.State.PROPOSED).select_related("user", "team", "proposed_by")
    return roles.visible_to(user, rows, team="team").order_by("proposed_at", "pk")


def open_mappings(user: User) -> QuerySet[GroupMapping]:
    """The mappings of groups that wait for a second person, the oldest first."""
    rows = GroupMapping.objects.filter(state=Proposal.State.PROPOSED).select_related("team", "proposed_by")
    return roles.visible_to(user, rows, team="team").order_by("proposed_at", "pk")


def open_policies(user: User) -> list[tuple[ApprovalPolicy, str, str, Any]]:
    """The policies that wait for a second person, in words, with the answers that this one can give."""
    waiting = ApprovalPolicy.objects.waiting().select_related("proposed_by")
    return [
        (each, speaks_about(each.subject, each.conditions), asks_for(each.stages), answers(each, user))
        for each in waiting
    ]


@admin.register(RoleRequest)
class RoleRequestAdmin(ReadOnlyAdmin):
    """One page with everything that waits, and one button for each answer."""

    def get_urls(self) -> list[Any]:
        settle = self.admin_site.admin_view(require_POST(self.settle_view))
        listed, *_others = super().get_urls()
        return [path("<int:pk>/<str:step>/", settle, name="accounts_rolerequest_settle"), listed]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        user = actor_of(request)
        context = {
            **self.admin_site.each_context(request),
            "title": "Second person",
            "requests": open_requests(user),
            "mappings": open_mappings(user),
            "policies": open_policies(user),
            "administrates": roles.administrate(user, user),
            "here": request.path,
        }
        return render(request, "portal/consent.html", context)

    def settle_view(self, request: HttpRequest, pk: int, step: str) -> HttpResponse:
        """Agree, decline or take back."""
        user = actor_of(request)
        wanted = roles.visible_to(user, RoleRequest.objects.all(), team="team").filter(pk=pk).first()
        if wanted is None or step not in STEPS:
            raise Http404
        act, done = STEPS[step]
        attempt(request, partial(act, wanted, actor=user, now=timezone.now()), done=done)
        return back_to(request, reverse("admin:accounts_rolerequest_changelist"))
