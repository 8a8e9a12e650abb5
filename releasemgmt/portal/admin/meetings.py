"""Meetings of boards: the agenda, one page an item to walk through, and the minutes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.text import slugify
from django.views.decorators.http import require_GET, require_POST

from approvals import commands
from approvals.models import AgendaItem, Board, Meeting, Vote
from approvals.queries import minutes
from releasemgmt.accounts import roles
from releasemgmt.accounts.authentication import is_fresh, sign_in_again
from releasemgmt.accounts.models import User
from releasemgmt.portal import meetings
from releasemgmt.portal.admin.forms import colleagues, offer, several, text
from releasemgmt.web.admin import PersonalForm, ReadOnlyAdmin, actor_of, attempt, only_to_read, pill, visible_row
from releasemgmt.workflow.commands import reading
from releasemgmt.workflow.errors import Refused

TEXT = 20_000


class NotesForm(PersonalForm):
    """What is said of the meeting as a whole, and who is there."""

    attendees = several(User.objects.none(), label="Who is there")
    notes = text(rows=4, max_length=TEXT)

    def choose(self, user: User, record: Any) -> None:
        offer(self, "attendees", colleagues(user))


class ItemForm(forms.Form):
    """What the meeting says of a round; without a word the decision stays."""

    notes = text(rows=5, max_length=TEXT)
    decision = forms.ChoiceField(choices=[*AgendaItem.Decision.choices, ("none", "None")], required=False)

    def changes(self) -> dict[str, Any]:
        """What the command takes."""
        said = {"notes": self.cleaned_data["notes"]}
        decision = self.cleaned_data["decision"]
        return {**said, "decision": "" if decision == "none" else decision} if decision else said


class BallotForm(PersonalForm):
    """A vote; it carries the digest that the page showed. `record` are the people in whose place one may vote."""

    #: Whether the password has to be entered again before it counts.
    needs_password = False

    digest = forms.CharField(widget=forms.HiddenInput)
    decision = forms.ChoiceField(choices=Vote.Decision.choices)
    comment = forms.CharField(widget=forms.Textarea(attrs={"rows": 2}), required=False, max_length=5_000)
    conditions = text(rows=2, max_length=5_000, label="Approve, if", help_text="One condition a line.")
    on_behalf_of = forms.ModelChoiceField(User.objects.none(), required=False, empty_label="in my own name")

    def choose(self, user: User, record: Any) -> None:
        offer(self, "on_behalf_of", User.objects.filter(pk__in=[person.pk for person in record if person != user]))
        if record and user not in record:  # only in the place of others
            place: Any = self.fields["on_behalf_of"]
            place.required, place.empty_label = True, None

    def refused(self, refused: Refused) -> bool:
        self.needs_password = refused.code == "step_up_required"
        return self.needs_password

    def ballot(self) -> dict[str, Any]:
        """What the command takes."""
        return {**self.cleaned_data, "conditions": self.cleaned_data["conditions"].splitlines()}


class CancelForm(forms.Form):
    """Why a meeting does not take place."""

    reason = forms.CharField(max_length=500)


class OwnBoards(admin.RelatedFieldListFilter):
    """Boards to filter by: those that the person sees."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(str(board.pk), str(board)) for board in Board.objects.visible_to(actor_of(request))]


@admin.register(Meeting)
class MeetingAdmin(ReadOnlyAdmin):
    """Meetings: a list, the agenda, a page for each item, the minutes."""

    list_display = ("shown_start", "board", "shown_state")
    list_filter = ("state", ("board", OwnBoards))
    list_select_related = ("board",)
    ordering = ("-starts_at", "-id")

    @admin.display(description="Begins", ordering="starts_at")
    def shown_start(self, meeting: Meeting) -> str:
        return f"{timezone.localtime(meeting.starts_at):%a %d %b %Y, %H:%M}"

    @admin.display(description="State", ordering="state")
    def shown_state(self, meeting: Meeting) -> SafeString:
        return pill(meeting.state, meeting.get_state_display())

    def get_queryset(self, request: HttpRequest) -> QuerySet[Meeting]:
        return Meeting.objects.visible_to(actor_of(request)).select_related("board__chair", "board__team", "settled_by")

    def get_urls(self) -> list[Any]:
        views: list[tuple[str, str, Callable[..., Any]]] = [
            ("item", "<int:pk>/change/item/<int:round>/", self.item_view),
            ("vote", "<int:pk>/change/item/<int:round>/vote/", require_POST(self.vote_view)),
            ("notes", "<int:pk>/change/notes/", self.notes_view),
            ("cancel", "<int:pk>/change/cancel/", self.cancel_view),
            ("hold", "<int:pk>/change/hold/", require_POST(self.hold_view)),
            ("minutes", "<int:pk>/change/minutes.md", require_GET(self.minutes_view)),
        ]
        wrap = self.admin_site.admin_view
        own = [path(address, wrap(view), name=f"approvals_meeting_{name}") for name, address, view in views]
        return [*own, *super().get_urls()]

    def found(self, request: HttpRequest, pk: Any) -> Meeting:
        """The meeting, if the person sees its board."""
        meeting: Meeting = visible_row(self.get_queryset(request), pk)
        return meeting

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        only_to_read(request)
        meeting, now = self.found(request, object_id), timezone.now()
        with reading():
            context = meetings.overview(meeting, actor_of(request), now=now)
            page = {**self._page(request, meeting), **context, "minutes": minutes(meeting, now=now)}
            return render(request, "portal/meeting.html", page)

    def item_view(self, request: HttpRequest, pk: int, round: int) -> HttpResponse:
        """One item: what it is about, the votes, one's own vote; a chair writes down what the meeting says of it."""
        meeting = self.found(request, pk)
        form = ItemForm(request.POST if request.method == "POST" else None)
        if request.method != "POST":
            return self._item(request, meeting, round)
        item = meeting.items.filter(round=round).first()
        if item is None:
            raise Http404
        if form.is_valid():
            write = partial(commands.write_item, item, changes=form.changes(), actor=actor_of(request))
            if attempt(request, partial(write, now=timezone.now()), done="", form=form):
                following = form.changes().get("decision") and meetings.after(meeting, round, now=timezone.now())
                return HttpResponseRedirect(self._place(pk, following.round.pk if following else round))
        return self._item(request, meeting, round, item_form=form)

    def vote_view(self, request: HttpRequest, pk: int, round: int) -> HttpResponse:
        """Cast a vote from the meeting's page: the same vote by the same command."""
        meeting, user, now = self.found(request, pk), actor_of(request), timezone.now()
        with reading():
            context = meetings.item(meeting, round, user, now=now)
        if context is None:
            raise Http404
        form = BallotForm(request.POST, user=user, record=context["places"])
        if form.is_valid():
            how: dict[str, Any] = {"is_fresh": is_fresh(request, now=now), "channel": Vote.Channel.ADMIN}
            vote = partial(commands.vote, context["round"], **form.ballot(), **how, actor=user, now=now)
            if attempt(request, vote, done="Your vote is recorded.", form=form):
                return HttpResponseRedirect(self._place(pk, round))
            if form.needs_password:
                return sign_in_again(request)
        return self._item(request, meeting, round, ballot=form)

    def notes_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Write down who is there and what is said of the meeting as a whole."""
        meeting = self._to_run(request, pk)
        sent = request.POST if request.method == "POST" else None
        said = {"attendees": meeting.attendees.all(), "notes": meeting.notes}
        form = NotesForm(sent, user=actor_of(request), record=meeting, initial=said)
        if request.method == "POST" and form.is_valid():
            write = partial(commands.edit_meeting, meeting, changes=form.cleaned_data, actor=actor_of(request))
            if attempt(request, write, done="Saved.", form=form):
                return HttpResponseRedirect(self._place(pk))
        return self._form(request, meeting, form, title="Who is there, and notes", button="Save")

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask why, then cancel it."""
        meeting = self._to_run(request, pk)
        form = CancelForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            cancel = partial(commands.cancel_meeting, meeting, actor=actor_of(request), now=timezone.now())
            if attempt(request, partial(cancel, **form.cleaned_data), done="The meeting is cancelled.", form=form):
                return HttpResponseRedirect(self._place(pk))
        return self._form(request, meeting, form, title="Cancel the meeting", button="Cancel the meeting", final=True)

    def hold_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """End it, and fix its minutes."""
        hold = partial(commands.hold_meeting, self.found(request, pk), actor=actor_of(request), now=timezone.now())
        attempt(request, hold, done="The meeting has ended; its minutes are fixed.")
        return HttpResponseRedirect(self._place(pk))

    def minutes_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The minutes as a file."""
        meeting = self.found(request, pk)
        name = f"{slugify(meeting.board.key)}-{meeting.starts_at:%Y-%m-%d}.md"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        body = minutes(meeting, now=timezone.now())
        return HttpResponse(body, content_type="text/markdown; charset=utf-8", headers=headers)

    def _item(self, request: HttpRequest, meeting: Meeting, round: int, **forms: forms.Form) -> HttpResponse:
        with reading():
            context = meetings.item(meeting, round, actor_of(request), now=timezone.now())
            if context is None:
                raise Http404
            if ballot := forms.get("ballot"):  # what is shown now is what the next vote is about
                ballot.data = {**dict(ballot.data.items()), "digest": context["standing"].digest}
            said = {"notes": context["entry"].item.notes} if context["entry"].item else {}
            blank = {
                "item_form": ItemForm(initial=said),
                "ballot": BallotForm(
                    initial={"digest": context["standing"].digest}, user=actor_of(request), record=context["places"]
                ),
            }
            page = {**self._page(request, meeting), **context, **blank, **forms}
            return render(request, "portal/meeting_item.html", page, status=409 if forms else 200)

    def _to_run(self, request: HttpRequest, pk: int) -> Meeting:
        """The meeting, for a form that only chairs are shown; what is sent the command refuses itself."""
        meeting = self.found(request, pk)
        if request.method != "POST" and not roles.run_boards(actor_of(request), meeting.board):
            raise PermissionDenied
        return meeting

    def _page(self, request: HttpRequest, meeting: Meeting) -> dict[str, Any]:
        title = f"{meeting.board}, {timezone.localtime(meeting.starts_at):%a %d %b %Y}"
        return {**self.admin_site.each_context(request), "title": title, "opts": self.opts, "original": meeting}

    def _form(self, request: HttpRequest, meeting: Meeting, form: forms.Form, **context: Any) -> HttpResponse:
        page = {**self._page(request, meeting), "form": form, "back": self._place(meeting.pk), **context}
        return render(request, "web/form.html", page, status=400 if form.errors else 200)

    def _place(self, pk: int, round: int | None = None) -> str:
        if round is None:
            return reverse("admin:approvals_meeting_change", args=[pk])
        return reverse("admin:approvals_meeting_item", args=[pk, round])
