"""Rounds of approval: the page on which a reviewer sees the whole dossier and decides."""

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
from approvals.models import ApprovalPolicy, ApprovalRound, Vote
from approvals.policies import SIGNED_DOCUMENTS
from approvals.queries import changed_since_last, riding, standing, waiting_for
from deployments.queries import comparison
from releasemgmt.accounts.models import Role
from releasemgmt.portal.dossier import differences
from releasemgmt.releases import queries as releases
from releasemgmt.releases.models import Document, Release
from releasemgmt.web.admin import ReadOnlyAdmin, RecordAdmin, actor_of, attempt, pill
from releasemgmt.workflow.commands import reading
from releasemgmt.workflow.gates import blockers
from releasemgmt.workflow.queries import timeline

COMMITS_SHOWN = 200
COMMENTS_SHOWN = 10


class VoteForm(forms.Form):
    """A vote; it carries the digest that the page showed."""

    digest = forms.CharField(widget=forms.HiddenInput)
    decision = forms.ChoiceField(choices=Vote.Decision.choices, widget=forms.RadioSelect)
    comment = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), required=False, max_length=5_000)


class WaitsForMe(admin.SimpleListFilter):
    """The rounds in which the person's vote is asked for."""

    title = "my vote"
    parameter_name = "vote"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "Waits for mine")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApprovalRound]) -> QuerySet[ApprovalRound]:
        if self.value() != "waiting":
            return queryset
        return queryset.filter(pk__in=[round.pk for round in waiting_for(actor_of(request))])


@admin.register(ApprovalRound)
class RoundAdmin(ReadOnlyAdmin):
    """Rounds: a list, and the reviewer's page."""

    list_display = ("__str__", "about", "shown_state", "opened_by", "opened_at", "decided_at")
    list_filter = (WaitsForMe, "state")
    list_select_related = ("release__product", "change__product", "opened_by")
    ordering = ("-opened_at", "-id")

    @admin.display(description="State", ordering="state")
    def shown_state(self, round: ApprovalRound) -> SafeString:
        return pill(round.state, round.get_state_display())

    @admin.display(description="About")
    def about(self, round: ApprovalRound) -> str:
        subject = round.subject
        return subject.alias if isinstance(subject, Release) else subject.title

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApprovalRound]:
        return ApprovalRound.objects.visible_to(actor_of(request)).with_subject()

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        own = [
            path("<int:pk>/vote/", wrap(self.vote_view), name="approvals_approvalround_vote"),
            path("<int:pk>/revoke/", wrap(require_POST(self.revoke_view)), name="approvals_approvalround_revoke"),
        ]
        return [*own, *super().get_urls()]

    def found(self, request: HttpRequest, pk: Any) -> ApprovalRound:
        """The round, if the person sees its subject."""
        try:
            return self.get_queryset(request).get(pk=pk)
        except (ApprovalRound.DoesNotExist, ValueError, OverflowError) as error:
            raise Http404 from error

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            raise Http404
        return self.dossier(request, self.found(request, object_id), None)

    def vote_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Cast a vote; on a refusal the same page says why, with what was typed."""
        round = self.found(request, pk)
        if request.method != "POST":
            return HttpResponseRedirect(reverse("admin:approvals_approvalround_change", args=[pk]))
        form = VoteForm(request.POST)
        if form.is_valid():
            cast = partial(commands.vote, round, actor=actor_of(request), now=timezone.now(), channel="admin")
            if attempt(request, partial(cast, **form.cleaned_data), done="Your vote is recorded.", form=form):
                return HttpResponseRedirect(reverse("admin:index"))
        return self.dossier(request, self.found(request, pk), form)

    def revoke_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take one's own vote back while the round is open."""
        round = self.found(request, pk)
        vote = round.votes.filter(voter=actor_of(request), revoked_at=None).first()
        if vote is None:
            messages.error(request, "You have no vote to take back.")
        else:
            act = partial(commands.revoke, vote, actor=actor_of(request), now=timezone.now())
            attempt(request, act, done="Your vote is taken back.")
        return HttpResponseRedirect(reverse("admin:approvals_approvalround_change", args=[pk]))

    def dossier(self, request: HttpRequest, round: ApprovalRound, form: VoteForm | None) -> HttpResponse:
        """All that a reviewer needs to decide, on one page."""
        user, now = actor_of(request), timezone.now()
        with reading():
            subject = round.subject
            stand = standing(round, subject=subject)
            mine = next((vote for vote in stand.votes if vote.voter_id == user.pk), None)
            eligible = user.pk in stand.eligible
            context: dict[str, Any] = {
                **self.admin_site.each_context(request),
                "title": f"{subject}: decide",
                "opts": self.opts,
                "original": round,
                "round": round,
                "subject": subject,
                "is_release": isinstance(subject, Release),
                "standing": stand,
                "stages": [
                    {**stage, "label": Role(stage["role"]).label, "missing": stand.missing[stage["role"]]}
                    for stage in round.stages
                ],
                "mine": mine,
                "may_vote": eligible and mine is None and stand.is_open,
                "why_not": self._why_not(user, stand),
                "conflicted": [
                    (person, _reason(stand.conflicts[person.pk]))
                    for person in stand.people
                    if person.pk in stand.conflicts
                ],
                "since_last": differences(subject, changed_since_last(round)),
                "changed": differences(subject, stand.changed) if stand.is_stale else [],
                "form": form or VoteForm(initial={"digest": stand.digest}),
                "changes": riding(subject) if isinstance(subject, Release) else [subject],
                "comments": timeline(subject).filter(kind="comment")[:COMMENTS_SHOWN],
                **(self._release(subject, now) if isinstance(subject, Release) else {}),
            }
            status = 409 if form is not None else 200
            return render(request, "portal/round.html", context, status=status)

    def _release(self, release: Release, now: Any) -> dict[str, Any]:
        production = release.product.environments.filter(tier="production").order_by("rank").first()
        written = {document.kind: document.body for document in release.documents.all()}
        compared = comparison(release, production) if production else None
        return {
            "production": production,
            "comparison": compared,
            "commits": compared.commits[:COMMITS_SHOWN] if compared else [],
            "documents": [
                {"label": label, "body": written.get(kind, ""), "is_signed": kind in SIGNED_DOCUMENTS}
                for kind, label in Document.Kind.choices
            ],
            "suites": releases.test_plan(release),
            "gates": blockers(release, "accept", now=now) if release.state == "integration_tested" else [],
        }

    def _why_not(self, user: Any, stand: Any) -> str:
        if stand.round.state != ApprovalRound.State.OPEN:
            return "This round is decided."
        if stand.is_stale:
            return "The content has changed since this round opened; a release manager opens the next one."
        if user.pk in stand.conflicts:
            return f"You can't vote on your own work: {_reason(stand.conflicts[user.pk])}."
        if user.pk not in stand.eligible:
            return "The policy asks others than you, or your role came after the round opened."
        return ""


def _reason(found: Any) -> str:
    """A conflict, or several, as the end of a sentence."""
    return found if isinstance(found, str) else ", ".join(map(str, found))


@admin.register(ApprovalPolicy)
class PolicyAdmin(RecordAdmin):
    """Policies, to read."""

    record_template = "portal/policy.html"
    list_display = ("key", "version", "name", "subject")

    def facts(self, obj: ApprovalPolicy) -> list[tuple[str, Any]]:
        asked = "; ".join(f"{name} {', '.join(values)}" for name, values in obj.conditions.items())
        return [
            ("Key", obj.key),
            ("Version", obj.version),
            ("For", obj.get_subject_display()),
            ("Where", asked or "always"),
        ]

    def panels(self, request: HttpRequest, obj: ApprovalPolicy) -> dict[str, Any]:
        return {"stages": [{**stage, "label": Role(stage["role"]).label} for stage in obj.stages]}
