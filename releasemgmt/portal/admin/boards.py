"""Boards: who sits on them and when they meet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone

from approvals import commands
from approvals.models import Board
from approvals.models.board import SEATED
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Role, Team, User
from releasemgmt.integrations import recurrence
from releasemgmt.portal.admin.forms import OwnTeams, colleagues, day, instant, offer, several, span, visible_teams
from releasemgmt.web.admin import PersonalForm, RecordAdmin, actor_of, attempt
from releasemgmt.workflow.models import Aggregate

PAST_SHOWN = 10


class BoardEditForm(PersonalForm):
    """A board's name, people and times."""

    name = forms.CharField(max_length=100)
    chair = forms.ModelChoiceField(User.objects.none())
    members = several(User.objects.none(), help_text="CAB members and chairs. The chair sits on the board anyway.")
    rule = forms.CharField(
        max_length=200,
        required=False,
        help_text="On which days it meets, as in calendars: FREQ=WEEKLY;BYDAY=TH is every Thursday, "
        "FREQ=MONTHLY;BYDAY=2TU each second Tuesday of a month. Empty: only when called.",
    )
    first_on = day()
    start_time = forms.TimeField(widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"))
    duration_minutes = forms.IntegerField(min_value=1, initial=60, label="Minutes that a meeting lasts")
    time_zone = forms.CharField(max_length=64, initial="UTC", help_text="For instance Europe/Berlin.")
    cut_off_minutes = forms.IntegerField(
        min_value=1, initial=24 * 60, label="Minutes before a meeting when its agenda is closed"
    )

    def choose(self, user: User, record: Any) -> None:
        self.fields["first_on"].label = "Counted from"
        people = colleagues(user)
        offer(self, "chair", people.filter(role_assignments__role=Role.CAB_CHAIR))
        offer(self, "members", people.filter(role_assignments__role__in=SEATED))

    def clean(self) -> dict[str, Any]:
        """Without a word it counts from what it counts from already, or from today."""
        return {name: value for name, value in self.cleaned_data.items() if name != "first_on" or value}


class CallForm(forms.Form):
    """A meeting beside the rule."""

    starts_at = instant(label="Begins")
    ends_at = instant(label="Ends", required=False, help_text="Without a word it lasts as long as the others.")


class BoardForm(BoardEditForm):
    """A new board."""

    key = forms.SlugField(max_length=40)
    kind = forms.ChoiceField(choices=Board.Kind.choices)
    team = forms.ModelChoiceField(Team.objects.none(), required=False, empty_label="Every team")
    field_order = ("key", "name", "kind", "team")

    def choose(self, user: User, record: Any) -> None:
        super().choose(user, record)
        offer(self, "team", visible_teams(user))
        if user.visible_team_ids() is not None:  # a board of every team is for chairs of every team
            self.fields["team"] = forms.ModelChoiceField(visible_teams(user))


@admin.register(Board)
class BoardAdmin(RecordAdmin):
    """Boards, with their members and meetings."""

    record_template = "portal/board.html"
    list_display = ("name", "kind", "shown_team", "chair", "rule")
    list_filter = ("kind", ("team", OwnTeams))
    search_fields = ("key", "name")
    ordering = ("key",)
    add_form = BoardForm
    edit_form = BoardEditForm

    @admin.display(description="Team", ordering="team")
    def shown_team(self, board: Board) -> str:
        return str(board.team or "Every team")

    def visible(self, user: User) -> QuerySet[Board]:
        return Board.objects.visible_to(user).select_related("team", "chair")

    def may_add(self, user: User) -> bool:
        return roles.run_boards.somewhere(user)

    def may_edit(self, user: User, obj: Board) -> bool:
        return roles.run_boards(user, obj)

    def initial(self, obj: Board) -> dict[str, Any]:
        return {**super().initial(obj), "members": obj.members.values_list("user", flat=True)}

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        return commands.create_board(actor=actor, now=timezone.now(), **fields)

    def edit(self, obj: Board, fields: dict[str, Any], *, actor: User) -> Any:
        return commands.edit_board(obj, changes=fields, actor=actor, now=timezone.now())

    def facts(self, obj: Board) -> list[tuple[str, Any]]:
        return [
            ("Kind", obj.get_kind_display()),
            ("Team", obj.team or "Every team"),
            ("Chair", obj.chair),
            ("Meets", recurrence.words(obj.rule) if obj.rule else "when called"),
            ("At", f"{obj.start_time:%H:%M} in {obj.time_zone}"),
            ("Lasts", span(obj.duration_minutes)),
            ("Agenda closes", f"{span(obj.cut_off_minutes)} before"),
        ]

    def extra_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        return [path("<int:pk>/change/call/", wrap(self.call_view), name=f"{name}_call")]

    def call_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Call a meeting."""
        board = self.found(request, pk)
        if request.method != "POST" and not self.may_edit(actor_of(request), board):
            raise PermissionDenied
        form = self.bound(CallForm, request)
        if request.method == "POST" and form.is_valid():
            call = partial(commands.call_meeting, board, actor=actor_of(request), now=timezone.now())
            if meeting := attempt(
                request, partial(call, **form.cleaned_data), done="The meeting is called.", form=form
            ):
                return HttpResponseRedirect(reverse("admin:approvals_meeting_change", args=[meeting.pk]))
        return self.form_page(request, form, title=f"Call a meeting of {board}", button="Call it", record=board)

    def panels(self, request: HttpRequest, obj: Board) -> dict[str, Any]:
        now = timezone.now()
        seated = set(obj.members.seated().values_list("pk", flat=True))
        members = obj.members.select_related("user")
        return {
            "members": [(member, member.pk in seated) for member in members],
            "ahead": obj.meetings.filter(ends_at__gt=now).order_by("starts_at"),
            "past": obj.meetings.filter(ends_at__lte=now).order_by("-starts_at")[:PAST_SHOWN],
        }
