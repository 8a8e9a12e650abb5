"""Groups of the identity provider: which role their members hold, and who agreed to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from releasemgmt.accounts import commands, roles
from releasemgmt.accounts.models import GroupMapping, Role, Team, User
from releasemgmt.portal.admin.forms import offer, visible_teams
from releasemgmt.web.admin import PersonalForm, RecordAdmin, actor_of, attempt, back_to, pill
from releasemgmt.workflow.models import Aggregate

#: What a person can say to a mapping, and what the page says once it is done.
ANSWERS: Mapping[str, tuple[Callable[..., Any], str]] = {
    "accept": (commands.accept_mapping, "Agreed: it applies from the members' next sign-in on."),
    "decline": (commands.decline_mapping, "Declined."),
    "withdraw": (commands.withdraw_mapping, "Taken back."),
    "end": (commands.end_mapping, "Ended: the roles that it gave are taken away."),
}


class GroupMappingForm(PersonalForm):
    """A group and the role that its members hold."""

    group = forms.CharField(max_length=200, help_text="As the provider writes it in the claim “groups”.")
    role = forms.ChoiceField(choices=[choice for choice in Role.choices if choice[0] != Role.SERVICE])
    team = forms.ModelChoiceField(Team.objects.none(), required=False, empty_label="Every team")
    reason = forms.CharField(max_length=500, required=False, help_text="For the administrator who has to agree.")

    def choose(self, user: User, record: Any) -> None:
        offer(self, "team", visible_teams(user))


@admin.register(GroupMapping)
class GroupMappingAdmin(RecordAdmin):
    """Mappings of groups to roles."""

    record_template = "portal/group_mapping.html"
    list_display = ("group", "gives", "where", "shown_state", "proposed_by", "decided_by")
    list_filter = ("state", "role")
    list_select_related = ("team", "proposed_by", "decided_by")
    search_fields = ("group",)
    ordering = ("group", "pk")
    add_form = GroupMappingForm

    @admin.display(description="Role", ordering="role")
    def gives(self, mapping: GroupMapping) -> str:
        return mapping.get_role_display()

    @admin.display(description="In")
    def where(self, mapping: GroupMapping) -> str:
        return str(mapping.team or "every team")

    @admin.display(description="State", ordering="state")
    def shown_state(self, obj: Any) -> SafeString:
        return pill("cancelled", "Ended") if obj.ended_at else pill(obj.state, obj.get_state_display())

    def visible(self, user: User) -> QuerySet[GroupMapping]:
        rows = GroupMapping.objects.select_related("team", "proposed_by", "decided_by")
        return roles.visible_to(user, rows, team="team")

    def may_add(self, user: User) -> bool:
        return roles.administrate(user, user)

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        return commands.map_group(actor=actor, now=timezone.now(), **fields)

    def facts(self, obj: GroupMapping) -> list[tuple[str, Any]]:
        return [
            ("Group", obj.group),
            ("Role", obj.get_role_display()),
            ("In", obj.team or "every team"),
            ("Proposed", f"{obj.proposed_by}: {obj.reason}" if obj.reason else obj.proposed_by),
            (obj.get_state_display() if not obj.is_open else "Decided", obj.decided_by),
            ("Ended", obj.ended_at),
        ]

    def panels(self, request: HttpRequest, obj: GroupMapping) -> dict[str, Any]:
        user = actor_of(request)
        members = obj.role_assignments.select_related("user").order_by("user__username")
        return {"mapping": obj, "members": members, "administrates": roles.administrate(user, user)}

    def extra_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        return [
            path("<int:pk>/change/answer/<str:answer>/", wrap(require_POST(self.answer_view)), name=f"{name}_answer")
        ]

    def answer_view(self, request: HttpRequest, pk: int, answer: str) -> HttpResponse:
        """Agree, decline, take back or end."""
        mapping = self.found(request, pk)
        if answer not in ANSWERS:
            raise Http404
        act, done = ANSWERS[answer]
        attempt(request, partial(act, mapping, actor=actor_of(request), now=timezone.now()), done=done)
        return back_to(request, self.address(mapping))
