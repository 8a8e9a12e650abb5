"""Rounds, votes and their conditions over REST."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import django_filters
from django.db.models import QuerySet, prefetch_related_objects
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import commands, queries
from approvals.models import ApprovalRound, ChangeRequest, Condition, Subject, Vote
from approvals.queries import Standing
from releasemgmt.accounts.authentication import is_fresh
from releasemgmt.accounts.models import Scope, User
from releasemgmt.accounts.queries import colleagues
from releasemgmt.catalog.queries import get_model
from releasemgmt.releases.queries import get_release
from releasemgmt.web.api import InstantField, StrictSerializer, View, by_prefix
from releasemgmt.web.parsing import check_text
from releasemgmt.workflow.errors import Invalid


class Nothing(StrictSerializer):
    """An empty object."""


class VoteBody(StrictSerializer):
    """A vote on the content of that digest; a rejection says why, an approval may name conditions."""

    decision = serializers.ChoiceField(Vote.Decision.choices)
    digest = serializers.CharField(max_length=71)
    comment = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    conditions = serializers.ListField(child=serializers.CharField(max_length=500), max_length=20, required=False)
    on_behalf_of = serializers.CharField(max_length=150, required=False, allow_null=True)


class StageAnswer(serializers.Serializer[Any]):
    """Whom a stage asks, how many must approve, and how many of these approvals are missing."""

    step = serializers.IntegerField()
    is_open = serializers.BooleanField()
    role = serializers.CharField(allow_null=True)
    team = serializers.CharField(allow_null=True)
    board = serializers.CharField(allow_null=True)
    count = serializers.IntegerField()
    percent = serializers.IntegerField(allow_null=True)
    veto = serializers.BooleanField()
    either = serializers.CharField()
    missing = serializers.IntegerField()


class ConditionAnswer(serializers.Serializer[Any]):
    """What a voter asked for; it gates the deployment until it is met."""

    id = serializers.IntegerField()
    text = serializers.CharField()
    met_at = InstantField()
    met_by = serializers.CharField(source="met_by.username", default=None)
    evidence = serializers.CharField()


class ConditionBody(StrictSerializer):
    """How one can see that a condition is met."""

    evidence = serializers.CharField(max_length=10_000)


class VoteAnswer(serializers.Serializer[Any]):
    """A vote as it was cast."""

    id = serializers.IntegerField()
    voter = serializers.CharField(source="voter.username")
    on_behalf_of = serializers.CharField(source="on_behalf_of.username", default=None)
    seats = serializers.ListField(child=serializers.CharField())
    decision = serializers.CharField()
    comment = serializers.CharField()
    digest = serializers.CharField()
    at = InstantField()
    channel = serializers.CharField()
    revoked_at = InstantField()
    conditions = ConditionAnswer(source="conditions.all", many=True)


class CastAnswer(VoteAnswer):
    """A vote, and how its round stands after it."""

    conditions = serializers.SerializerMethodField()  # type: ignore[assignment]  # the same answer, read only if need be
    round = serializers.IntegerField(source="round_id")
    round_state = serializers.CharField(source="round.state")

    @extend_schema_field(ConditionAnswer(many=True))
    def get_conditions(self, vote: Vote) -> Any:
        """What it asked for; where it is known to have asked for nothing, that isn't read."""
        asked = vote.conditions.all() if self.context.get("with_conditions", True) else []
        return ConditionAnswer(asked, many=True).data


class CountedVote(VoteAnswer):
    """A vote that was not revoked, and whether it counts now."""

    counts = serializers.SerializerMethodField()

    def get_counts(self, vote: Vote) -> bool:
        return vote in self.context["counting"]


class ConflictedAnswer(serializers.Serializer[Any]):
    """Somebody who holds a role that is asked for and may not judge."""

    person = serializers.CharField()
    reasons = serializers.ListField(child=serializers.CharField())


class DelegateAnswer(serializers.Serializer[Any]):
    """Somebody who may vote in another's place."""

    person = serializers.CharField()
    on_behalf_of = serializers.CharField()


class RoundAnswer(serializers.Serializer[Any]):
    """A round as lists show it."""

    id = serializers.IntegerField()
    subject = serializers.CharField(source="subject.number")
    digest = serializers.CharField()
    state = serializers.CharField()
    opened_by = serializers.CharField(source="opened_by.username")
    opened_at = InstantField()
    decided_at = InstantField()
    due_at = InstantField()
    retrospective = serializers.BooleanField()
    policies = serializers.JSONField()


class RoundDetail(RoundAnswer):
    """A round as it stands now: computed, never stored. The context holds its standing."""

    stale = serializers.SerializerMethodField()
    stages = serializers.SerializerMethodField()
    votes = serializers.SerializerMethodField()
    missing = serializers.SerializerMethodField()
    asked_later = serializers.SerializerMethodField()
    delegates = serializers.SerializerMethodField()
    conflicted = serializers.SerializerMethodField()
    quorum_unreachable = serializers.SerializerMethodField()
    in_time = serializers.SerializerMethodField()
    too_late = serializers.SerializerMethodField()
    content = serializers.JSONField()
    changed = serializers.SerializerMethodField()
    changed_since_last = serializers.SerializerMethodField()

    @property
    def standing(self) -> Standing:
        standing: Standing = self.context["standing"]
        return standing

    def in_sight(self, people: Iterable[User]) -> list[User]:
        """Those of whom the caller is told."""
        return queries.in_sight(people, of=self.standing.round.subject, user=self.context["actor"])

    def get_stale(self, round: ApprovalRound) -> bool:
        return self.standing.is_stale

    @extend_schema_field(StageAnswer(many=True))
    def get_stages(self, round: ApprovalRound) -> Any:
        return [
            {
                **dict.fromkeys(("role", "team", "board", "percent")),
                **asked.stage,
                "step": step.number,
                "is_open": step.is_open,
                "count": asked.count,
                "veto": asked.veto,
                "either": asked.either,
                "missing": asked.missing,
            }
            for step in self.standing.steps
            for asked in step.stages
        ]

    @extend_schema_field(CountedVote(many=True))
    def get_votes(self, round: ApprovalRound) -> Any:
        return CountedVote(self.standing.votes, many=True, context={"counting": self.standing.counting}).data

    def get_missing(self, round: ApprovalRound) -> list[str]:
        """The people who can vote now and have not."""
        return sorted(person.username for person in self.in_sight(self.standing.waiting))

    def get_asked_later(self, round: ApprovalRound) -> list[str]:
        """The people whose step is not open yet."""
        return sorted(person.username for person in self.in_sight(self.standing.later))

    @extend_schema_field(DelegateAnswer(many=True))
    def get_delegates(self, round: ApprovalRound) -> Any:
        now = self.context["now"]
        given = [each for each in self.standing.delegations if each.covers(now) and self.in_sight([each.delegator])]
        return [{"person": each.delegate.username, "on_behalf_of": each.delegator.username} for each in given]

    @extend_schema_field(ConflictedAnswer(many=True))
    def get_conflicted(self, round: ApprovalRound) -> Any:
        delegates = [each.delegate for each in self.standing.delegations]
        known = self.in_sight([*self.standing.people, *delegates])
        names = {person.pk: person.username for person in known if person.pk in self.standing.conflicts}
        return [{"person": name, "reasons": self.standing.conflicts[pk]} for pk, name in names.items()]

    def get_quorum_unreachable(self, round: ApprovalRound) -> bool:
        return self.standing.quorum_unreachable

    def get_in_time(self, round: ApprovalRound) -> bool:
        """Whether the quorum can still be reached before the planned start."""
        return not self.get_too_late(round)

    def get_too_late(self, round: ApprovalRound) -> str:
        """Why it can't."""
        return queries.too_late(self.standing, changes=self.context["changes"], now=self.context["now"])

    def get_changed(self, round: ApprovalRound) -> dict[str, list[Any]]:
        """What the subject says differently now: field → [before, after]."""
        return self.standing.changed

    def get_changed_since_last(self, round: ApprovalRound) -> dict[str, list[Any]]:
        """What the round is about that the one before was not."""
        return queries.changed_since_last(round)


class SubjectRoundView(View):
    """The current round of a release or a change request."""

    serializer_class = RoundDetail

    def subject(self) -> Subject:
        """What the path names, if the caller sees it."""
        raise NotImplementedError

    @extend_schema(responses=RoundDetail)
    def show(self, request: Request, number: str) -> Response:
        subject = self.subject()
        round = queries.current_round(subject)
        if round is None:
            raise Http404
        return _detail(round, subject, actor=self.actor)

    @extend_schema(request=Nothing, responses={200: RoundDetail, 201: RoundDetail})
    def open(self, request: Request, number: str) -> Response:
        self.body(Nothing)
        now = timezone.now()
        round = commands.open_round(self.subject(), actor=self.actor, now=now)
        return _detail(round, self.subject(), actor=self.actor, status=201 if round.opened_at == now else 200)


class ReleaseRoundView(SubjectRoundView):
    """The current round of a release."""

    def subject(self) -> Subject:
        check_text(self.kwargs["number"])
        release = get_release(self.kwargs["number"], self.actor)
        if release is None:
            raise Http404
        return release


class ChangeRoundView(SubjectRoundView):
    """The current round of a change request."""

    def subject(self) -> Subject:
        rows = ChangeRequest.objects.visible_to(self.actor).select_related("product")
        change: ChangeRequest | None = by_prefix(rows, ChangeRequest.NUMBER_PREFIX, self.kwargs["number"])
        if change is None:
            raise Http404
        return change


class ModelRoundView(SubjectRoundView):
    """The current round on the pre-approval of a release model."""

    def subject(self) -> Subject:
        check_text(self.kwargs["number"])
        model = get_model(self.kwargs["number"])
        if model is None:
            raise Http404
        return model


def _detail(round: ApprovalRound, subject: Subject, *, actor: User, status: int = 200) -> Response:
    changes = queries.riding(subject)
    standing = queries.standing(round, subject=subject, changes=changes)
    prefetch_related_objects(standing.votes, "conditions__met_by")
    context = {"standing": standing, "changes": changes, "now": timezone.now(), "actor": actor}
    return Response(RoundDetail(round, context=context).data, status=status)


class RoundFilters(django_filters.FilterSet):
    """The filters of `approvals/`; `mine=true` are those that wait for the caller's vote."""

    mine = django_filters.BooleanFilter(method="waiting")
    state = django_filters.MultipleChoiceFilter(choices=ApprovalRound.State.choices, distinct=False)

    def waiting(self, rows: QuerySet[ApprovalRound], name: str, value: bool) -> QuerySet[ApprovalRound]:
        mine = [round.pk for round in queries.waiting_for(self.request.user, timezone.now())]
        return rows.filter(pk__in=mine) if value else rows.exclude(pk__in=mine)


class RoundViewSet(View):
    """Rounds of approval, and the votes in them."""

    serializer_class = RoundAnswer
    filterset_class = RoundFilters
    scopes = (Scope.APPROVE,)
    notes_refusals = True
    lookup_value_regex = "[0-9]{1,18}"
    ordering = ("-opened_at", "-id")

    def get_queryset(self) -> QuerySet[ApprovalRound]:
        return ApprovalRound.objects.visible_to(self.actor).with_subject()

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(RoundAnswer(page, many=True).data)

    @extend_schema(responses=RoundDetail)
    def retrieve(self, request: Request, pk: str) -> Response:
        round = get_object_or_404(self.get_queryset(), pk=pk)
        return _detail(round, round.subject, actor=self.actor)

    @extend_schema(request=VoteBody, responses={201: CastAnswer})
    @action(detail=True, methods=["post"], url_path="votes")
    def votes(self, request: Request, pk: str) -> Response:
        round = queries.round_in_sight(int(pk), of=self.actor)
        if round is None:
            raise Http404
        body = self.body(VoteBody)
        body["on_behalf_of"] = self._person(body.get("on_behalf_of"))
        now = timezone.now()
        vote = commands.vote(round, actor=self.actor, now=now, is_fresh=is_fresh(request, now=now), **body)
        context = {"with_conditions": bool(body.get("conditions"))}
        return Response(CastAnswer(vote, context=context).data, status=201)

    @extend_schema(request=Nothing, responses=CastAnswer)
    @action(detail=True, methods=["post"], url_path="votes/(?P<vote>[0-9]{1,18})/revoke")
    def revoke(self, request: Request, pk: str, vote: str) -> Response:
        round = get_object_or_404(self.get_queryset(), pk=pk)
        found = get_object_or_404(round.votes.select_related("voter"), pk=vote)
        self.body(Nothing)
        found.round = round
        return Response(CastAnswer(commands.revoke(found, actor=self.actor, now=timezone.now())).data)

    @extend_schema(request=ConditionBody, responses=ConditionAnswer)
    @action(detail=True, methods=["post"], url_path="conditions/(?P<condition>[0-9]{1,18})/meet", scopes=("write",))
    def meet(self, request: Request, pk: str, condition: str) -> Response:
        round = get_object_or_404(self.get_queryset(), pk=pk)
        found = get_object_or_404(Condition.objects.select_related("vote"), pk=condition, vote__round=round)
        found.vote.round = round
        met = commands.meet_condition(found, actor=self.actor, now=timezone.now(), **self.body(ConditionBody))
        return Response(ConditionAnswer(met).data)

    def _person(self, username: str | None) -> User | None:
        person = colleagues(self.actor).filter(username=username).first() if username else None
        if username and person is None:
            raise Invalid({"on_behalf_of": f"There is nobody called {username}."})
        return person
