"""Rounds, votes and policies over REST."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import commands, queries
from approvals.models import ApprovalPolicy, ApprovalRound, ChangeRequest, Vote
from approvals.queries import Standing, Subject
from releasemgmt.accounts.models import Scope
from releasemgmt.releases.queries import get_release
from releasemgmt.web.api import InstantField, RecordSerializer, RecordViewSet, StrictSerializer, View
from releasemgmt.web.parsing import check_text


class Nothing(StrictSerializer):
    """An empty object."""


class VoteBody(StrictSerializer):
    """A vote on the content of that digest; a rejection says why."""

    decision = serializers.ChoiceField(Vote.Decision.choices)
    digest = serializers.CharField(max_length=71)
    comment = serializers.CharField(max_length=10_000, required=False, allow_blank=True)


class StageAnswer(serializers.Serializer[Any]):
    """How many of a role must approve, and how many of these approvals are missing."""

    role = serializers.CharField()
    count = serializers.IntegerField()
    veto = serializers.BooleanField()
    missing = serializers.IntegerField()


class VoteAnswer(serializers.Serializer[Any]):
    """A vote as it was cast."""

    id = serializers.IntegerField()
    voter = serializers.CharField(source="voter.username")
    decision = serializers.CharField()
    comment = serializers.CharField()
    digest = serializers.CharField()
    at = InstantField()
    channel = serializers.CharField()
    revoked_at = InstantField()


class CastAnswer(VoteAnswer):
    """A vote, and how its round stands after it."""

    round = serializers.IntegerField(source="round_id")
    round_state = serializers.CharField(source="round.state")


class CountedVote(VoteAnswer):
    """A vote that was not revoked, and whether it counts now."""

    counts = serializers.SerializerMethodField()

    def get_counts(self, vote: Vote) -> bool:
        return vote in self.context["counting"]


class ConflictedAnswer(serializers.Serializer[Any]):
    """Somebody who holds a role that is asked for and may not judge."""

    person = serializers.CharField()
    reasons = serializers.ListField(child=serializers.CharField())


class RoundAnswer(serializers.Serializer[Any]):
    """A round as lists show it."""

    id = serializers.IntegerField()
    subject = serializers.CharField(source="subject.number")
    digest = serializers.CharField()
    state = serializers.CharField()
    opened_by = serializers.CharField(source="opened_by.username")
    opened_at = InstantField()
    decided_at = InstantField()
    policies = serializers.JSONField()


class RoundDetail(RoundAnswer):
    """A round as it stands now: computed, never stored. The context holds its standing."""

    stale = serializers.SerializerMethodField()
    stages = serializers.SerializerMethodField()
    votes = serializers.SerializerMethodField()
    missing = serializers.SerializerMethodField()
    conflicted = serializers.SerializerMethodField()
    quorum_unreachable = serializers.SerializerMethodField()
    content = serializers.JSONField()
    changed = serializers.SerializerMethodField()
    changed_since_last = serializers.SerializerMethodField()

    @property
    def standing(self) -> Standing:
        standing: Standing = self.context["standing"]
        return standing

    def get_stale(self, round: ApprovalRound) -> bool:
        return self.standing.is_stale

    @extend_schema_field(StageAnswer(many=True))
    def get_stages(self, round: ApprovalRound) -> Any:
        missing = self.standing.missing
        return [{**stage, "missing": missing[stage["role"]]} for stage in round.stages]

    @extend_schema_field(CountedVote(many=True))
    def get_votes(self, round: ApprovalRound) -> Any:
        return CountedVote(self.standing.votes, many=True, context={"counting": self.standing.counting}).data

    def get_missing(self, round: ApprovalRound) -> list[str]:
        """The people who may vote and have not."""
        return sorted(person.username for person in self.standing.undecided)

    @extend_schema_field(ConflictedAnswer(many=True))
    def get_conflicted(self, round: ApprovalRound) -> Any:
        names = {person.pk: person.username for person in self.standing.people}
        return [{"person": names[pk], "reasons": reasons} for pk, reasons in self.standing.conflicts.items()]

    def get_quorum_unreachable(self, round: ApprovalRound) -> bool:
        return self.standing.quorum_unreachable

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
        return _detail(round, subject)

    @extend_schema(request=Nothing, responses={200: RoundDetail, 201: RoundDetail})
    def open(self, request: Request, number: str) -> Response:
        self.body(Nothing)
        now = timezone.now()
        round = commands.open_round(self.subject(), actor=self.actor, now=now)
        return _detail(round, self.subject(), status=201 if round.opened_at == now else 200)


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
        prefix, _, digits = self.kwargs["number"].partition("-")
        if prefix != ChangeRequest.NUMBER_PREFIX or not (digits.isascii() and digits.isdigit() and len(digits) < 19):
            raise Http404
        rows = ChangeRequest.objects.visible_to(self.actor).select_related("product")
        return get_object_or_404(rows, pk=int(digits))


def _detail(round: ApprovalRound, subject: Subject, *, status: int = 200) -> Response:
    standing = queries.standing(round, subject=subject)
    return Response(RoundDetail(round, context={"standing": standing}).data, status=status)


class RoundFilters(django_filters.FilterSet):
    """The filters of `approvals/`; `mine=true` are those that wait for the caller's vote."""

    mine = django_filters.BooleanFilter(method="waiting")
    state = django_filters.MultipleChoiceFilter(choices=ApprovalRound.State.choices, distinct=False)

    def waiting(self, rows: QuerySet[ApprovalRound], name: str, value: bool) -> QuerySet[ApprovalRound]:
        mine = [round.pk for round in queries.waiting_for(self.request.user)]
        return rows.filter(pk__in=mine) if value else rows.exclude(pk__in=mine)


class RoundViewSet(View):
    """Rounds of approval, and the votes in them."""

    serializer_class = RoundAnswer
    filterset_class = RoundFilters
    scopes = (Scope.APPROVE,)
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
        return _detail(round, round.subject)

    @extend_schema(request=VoteBody, responses={201: CastAnswer})
    @action(detail=True, methods=["post"], url_path="votes")
    def votes(self, request: Request, pk: str) -> Response:
        round = get_object_or_404(self.get_queryset(), pk=pk)
        vote = commands.vote(round, actor=self.actor, now=timezone.now(), **self.body(VoteBody))
        return Response(CastAnswer(vote).data, status=201)

    @extend_schema(request=Nothing, responses=CastAnswer)
    @action(detail=True, methods=["post"], url_path="votes/(?P<vote>[0-9]{1,18})/revoke")
    def revoke(self, request: Request, pk: str, vote: str) -> Response:
        round = get_object_or_404(self.get_queryset(), pk=pk)
        found = get_object_or_404(round.votes.select_related("voter"), pk=vote)
        self.body(Nothing)
        found.round = round
        return Response(CastAnswer(commands.revoke(found, actor=self.actor, now=timezone.now())).data)


class PolicyAnswer(RecordSerializer):
    """A version of an approval policy."""

    key = serializers.CharField()
    version = serializers.IntegerField()
    name = serializers.CharField()
    subject = serializers.CharField()
    conditions = serializers.JSONField()
    stages = serializers.JSONField()


class PolicyViewSet(RecordViewSet):
    """Approval policies: the newest version of each key counts."""

    model = ApprovalPolicy
    address = "/api/v1/approval-policies/"
    serializer_class = PolicyAnswer
    http_method_names = ["get", "head", "options"]

    def get_queryset(self) -> QuerySet[ApprovalPolicy]:
        return ApprovalPolicy.objects.all()

    def by_number(self, rows: QuerySet[Any], number: str) -> Any:
        key, _, version = number.partition("@")
        named = rows.filter(key=key).order_by("-version")
        if version and not (version.isascii() and version.isdigit() and len(version) < 10):
            return None
        return (named.filter(version=int(version)) if version else named).first()
