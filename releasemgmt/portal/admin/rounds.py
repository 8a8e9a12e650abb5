"""Rounds of approval: the page on which a reviewer sees the whole dossier and decides, and the way to the next."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from approvals import commands
from approvals.models import ApprovalRound, Condition, Vote
from approvals.queries import waiting_for
from releasemgmt.accounts.authentication import is_fresh, sign_in_again
from releasemgmt.accounts.models import User
from releasemgmt.portal.ballots import Walk, title, waiting
from releasemgmt.portal.dossier import dossier
from releasemgmt.web.admin import (
    PersonalForm,
    ReadOnlyAdmin,
    actor_of,
    attempt,
    back_to,
    only_to_read,
    pill,
    visible_row,
)
from releasemgmt.workflow.commands import reading
from releasemgmt.workflow.errors import Refused

#: In the session: what was written on a ballot that could not be cast, by the record's number.
UNCAST = "uncast_ballots"
#: So many digits has the number of rounds that somebody votes on in a row.
MOST_IN_A_ROW = 4


class VoteForm(PersonalForm):
    """A vote; it carries the digest that the page showed."""

    digest = forms.CharField(widget=forms.HiddenInput)
    decision = forms.ChoiceField(choices=Vote.Decision.choices)
    comment = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), required=False, max_length=5_000)
    conditions = forms.CharField(widget=forms.Textarea(attrs={"rows": 2}), required=False, max_length=5_000)
    on_behalf_of = forms.ModelChoiceField(User.objects.none(), required=False)
    proof_needed = False

    def choose(self, user: User, record: Any) -> None:
        self.user = user
        places = User.objects.filter(delegations_given__delegate=user) | User.objects.filter(pk=user.pk)
        self.fields["on_behalf_of"].queryset = places.distinct()  # type: ignore[attr-defined]

    def clean_conditions(self) -> list[str]:
        """One condition a line."""
        return [line.strip() for line in self.cleaned_data["conditions"].splitlines() if line.strip()]

    def clean_on_behalf_of(self) -> User | None:
        """Nobody, where it is one's own vote."""
        chosen: User | None = self.cleaned_data["on_behalf_of"]
        return None if chosen == self.user else chosen

    def refused(self, refused: Refused) -> bool:
        """Whoever signed in too long ago is asked for the password instead of told off."""
        self.proof_needed = refused.code == "step_up_required"
        return self.proof_needed


class WaitsForMe(admin.SimpleListFilter):
    """The rounds in which the person's vote is asked for."""

    title = "my vote"
    parameter_name = "vote"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "Waits for mine")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApprovalRound]) -> QuerySet[ApprovalRound]:
        if self.value() != "waiting":
            return queryset
        return queryset.filter(pk__in=[round.pk for round in waiting_for(actor_of(request), timezone.now())])


@admin.register(ApprovalRound)
class RoundAdmin(ReadOnlyAdmin):
    """Rounds: a list, and the reviewer's page."""

    list_display = ("__str__", "about", "shown_state", "opened_by", "opened_at", "due_at", "decided_at")
    list_filter = (WaitsForMe, "state")
    list_select_related = ("release__product", "change__product", "model", "change_model__product", "opened_by")
    ordering = ("-opened_at", "-id")

    @admin.display(description="State", ordering="state")
    def shown_state(self, round: ApprovalRound) -> SafeString:
        return pill(round.state, round.get_state_display())

    @admin.display(description="About")
    def about(self, round: ApprovalRound) -> str:
        return title(round)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApprovalRound]:
        return ApprovalRound.objects.visible_to(actor_of(request)).with_subject()

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        name = "approvals_approvalround"
        own = [
            path("<int:pk>/vote/", wrap(self.vote_view), name=f"{name}_vote"),
            path("<int:pk>/revoke/", wrap(require_POST(self.revoke_view)), name=f"{name}_revoke"),
            path("<int:pk>/conditions/<int:condition>/", wrap(require_POST(self.meet_view)), name=f"{name}_meet"),
        ]
        return [*own, *super().get_urls()]

    def found(self, request: HttpRequest, pk: Any) -> ApprovalRound:
        """The round, if the person sees its subject."""
        round: ApprovalRound = visible_row(self.get_queryset(request), pk)
        return round

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        only_to_read(request)
        return self.page(request, self.found(request, object_id), None)

    def vote_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Cast a vote and go on to the next round; on a refusal the same page says why, with what was typed."""
        round = self.found(request, pk)
        if request.method != "POST":
            return HttpResponseRedirect(_address(round))
        form, now = VoteForm(request.POST, user=actor_of(request), record=round), timezone.now()
        if form.is_valid():
            cast = partial(
                commands.vote,
                round,
                actor=actor_of(request),
                now=now,
                channel=Vote.Channel.ADMIN,
                is_fresh=is_fresh(request, now=now),
            )
            if vote := attempt(request, partial(cast, **form.cleaned_data), done="", form=form):
                return self.onward(request, round, vote)
        _keep(request, round)
        if form.proof_needed:
            return sign_in_again(request)
        return self.page(request, self.found(request, pk), form)

    def onward(self, request: HttpRequest, round: ApprovalRound, vote: Vote) -> HttpResponse:
        """Say what was recorded, and open the next round that waits, or the home page where none does."""
        _forget(request, round)
        walk = Walk(round, waiting(actor_of(request), now=timezone.now()))
        place = f" for {vote.on_behalf_of}" if vote.on_behalf_of else ""
        left = f"{len(walk.waiting)} left." if walk.waiting else "Nothing else waits for you."
        said = f"Your vote on {round.subject}{place} is recorded: {vote.get_decision_display().lower()}."
        messages.success(request, f"{said} {left}")
        following = walk.next
        where = _address(following, done=_done(request) + 1) if following else reverse("admin:index")
        return HttpResponseRedirect(where)

    def revoke_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take one's own vote back while the round is open."""
        round = self.found(request, pk)
        vote = round.votes.filter(voter=actor_of(request), revoked_at=None).first()
        if vote is None:
            messages.error(request, "You have no vote to take back.")
        else:
            act = partial(commands.revoke, vote, actor=actor_of(request), now=timezone.now())
            attempt(request, act, done="Your vote is taken back.")
        return HttpResponseRedirect(_address(round))

    def meet_view(self, request: HttpRequest, pk: int, condition: int) -> HttpResponse:
        """Say that a condition is met, and how one can see it."""
        round = self.found(request, pk)
        asked = Condition.objects.filter(vote__round=round, pk=condition).first()
        if asked is None:
            raise Http404
        evidence = request.POST.get("evidence", "")[:5_000]
        act = partial(commands.meet_condition, asked, evidence=evidence, actor=actor_of(request), now=timezone.now())
        attempt(request, act, done="The condition is met.")
        return back_to(request, _address(round))

    def page(self, request: HttpRequest, round: ApprovalRound, form: VoteForm | None) -> HttpResponse:
        """The dossier with the ballot, and the place in the walk."""
        user, now = actor_of(request), timezone.now()
        with reading():
            told = dossier(round, user, now=now)
            digest = told["standing"].digest
            kept = request.session.get(UNCAST, {}).get(round.subject.number)
            if form is not None:  # what is shown now is what the next vote is about
                form.data = {**dict(form.data.items()), "digest": digest}
            context = {
                **self.admin_site.each_context(request),
                **told,
                "title": f"{round.subject}: decide",
                "opts": self.opts,
                "original": round,
                "form": form or VoteForm(initial={**(kept or {}), "digest": digest}, user=user, record=round),
                "kept": kept,
                "here": request.path.replace("/vote/", "/change/"),
                "walk": Walk(round, waiting(user, now=now), _done(request)),
            }
            return render(request, "portal/round.html", context, status=409 if form is not None else 200)


def _address(round: ApprovalRound, *, done: int = 0) -> str:
    """The page of a round; `done` counts those voted on in this walk."""
    where = reverse("admin:approvals_approvalround_change", args=[round.pk])
    return f"{where}?done={done}" if done else where


def _done(request: HttpRequest) -> int:
    sent = request.POST.get("done") or request.GET.get("done") or ""
    return int(sent) if sent.isdecimal() and sent.isascii() and len(sent) <= MOST_IN_A_ROW else 0


def _keep(request: HttpRequest, round: ApprovalRound) -> None:
    """Remember what was written, for the next ballot on the same record."""
    written = {name: request.POST.get(name, "")[:5_000] for name in ("comment", "conditions", "on_behalf_of")}
    if any(written.values()):
        request.session[UNCAST] = {**request.session.get(UNCAST, {}), round.subject.number: written}


def _forget(request: HttpRequest, round: ApprovalRound) -> None:
    kept = dict(request.session.get(UNCAST, {}))
    if kept.pop(round.subject.number, None):
        request.session[UNCAST] = kept
