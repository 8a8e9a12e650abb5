"""Policies and delegations over REST."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import commands, queries
from approvals.models import ApprovalPolicy, Delegation
from releasemgmt.accounts.models import Scope
from releasemgmt.accounts.queries import colleagues
from releasemgmt.web.api import InstantField, RecordSerializer, RecordViewSet, StrictSerializer, View
from releasemgmt.workflow.errors import Invalid


class StageBody(StrictSerializer):
    """Whom a stage asks (`role`, `team` or `board`), how many (`count` or `percent`), when (`step`) and with a veto."""

    step = serializers.IntegerField(min_value=1, max_value=100, required=False)
    role = serializers.CharField(max_length=40, required=False)
    team = serializers.CharField(max_length=40, required=False)
    board = serializers.CharField(max_length=40, required=False)
    count = serializers.IntegerField(min_value=1, max_value=100, required=False)
    percent = serializers.IntegerField(min_value=1, max_value=100, required=False)
    veto = serializers.BooleanField(required=False)
    either = serializers.CharField(max_length=40, required=False)


class PolicyEdit(StrictSerializer):
    """What the next version says differently; `state`, perhaps with a `reason`, settles the one that is proposed."""

    name = serializers.CharField(max_length=100, required=False)
    subject = serializers.ChoiceField(ApprovalPolicy.Subject.choices, required=False)
    conditions = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField(max_length=40), max_length=100), required=False
    )
    stages = serializers.ListField(child=StageBody(), max_length=100, required=False)
    retired = serializers.BooleanField(required=False)
    reason = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    state = serializers.ChoiceField(["accepted", "declined", "withdrawn"], required=False)


class PolicyBody(StrictSerializer):
    """A policy; POST under a key that exists proposes its next version."""

    key = serializers.CharField(max_length=40)
    name = serializers.CharField(max_length=100)
    subject = serializers.ChoiceField(ApprovalPolicy.Subject.choices, required=False)
    conditions = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField(max_length=40), max_length=100), required=False
    )
    stages = serializers.ListField(child=StageBody(), max_length=100)
    reason = serializers.CharField(max_length=10_000, required=False, allow_blank=True)


class PolicyAnswer(RecordSerializer):
    """A version of an approval policy; it counts once its `state` is accepted, until a later one is."""

    key = serializers.CharField()
    version = serializers.IntegerField()
    name = serializers.CharField()
    subject = serializers.CharField()
    conditions = serializers.JSONField()
    stages = serializers.JSONField()
    retired = serializers.BooleanField()
    reason = serializers.CharField()
    proposed_by = serializers.CharField(source="proposed_by.username", default=None)
    decided_by = serializers.CharField(source="decided_by.username", default=None)

    def get_state(self, obj: Any) -> str:
        return str(obj.state)


class PreviewAnswer(serializers.Serializer[Any]):
    """A record that would need something else."""

    subject = serializers.CharField(source="subject.number")
    now = serializers.JSONField()
    then = serializers.JSONField()


class PolicyViewSet(RecordViewSet):
    """Approval policies: of each key the newest version that two people agreed to counts."""

    model = ApprovalPolicy
    address = "/api/v1/approval-policies/"
    serializer_class = PolicyAnswer
    notes_refusals = True

    def get_queryset(self) -> QuerySet[ApprovalPolicy]:
        return ApprovalPolicy.objects.select_related("proposed_by", "decided_by")

    def by_number(self, rows: QuerySet[Any], number: str) -> Any:
        key, _, version = number.partition("@")
        named = rows.filter(key=key).order_by("-version")
        if version and not (version.isascii() and version.isdigit() and len(version) < 10):
            return None
        return (named.filter(version=int(version)) if version else named).first()

    @extend_schema(request=PolicyBody, responses={201: PolicyAnswer})
    def create(self, request: Request) -> Response:
        policy = commands.propose_policy(actor=self.actor, now=timezone.now(), **self.body(PolicyBody))
        return self.answer(policy, status=201)

    @extend_schema(request=PolicyEdit, responses=PolicyAnswer)
    def partial_update(self, request: Request, number: str) -> Response:
        policy = self.get_object()
        body = self.body(PolicyEdit)
        with self.guarded(policy):
            policy = commands.revise_policy(policy, changes=body, actor=self.actor, now=timezone.now())
        return self.answer(policy)

    @extend_schema(responses=PreviewAnswer(many=True))
    @action(detail=True, methods=["get"], url_path="preview", pagination_class=None)
    def preview(self, request: Request, number: str) -> Response:
        """Records on their way to a sign-off that this version would ask for something else."""
        found = [each for each in queries.preview(self.get_object()).changed if self.actor.sees(each.subject)]
        return Response(PreviewAnswer(found, many=True).data)


class DelegationBody(StrictSerializer):
    """To whom, which of one's roles, and from when to when."""

    delegate = serializers.CharField(max_length=150)
    roles = serializers.ListField(child=serializers.CharField(max_length=20), max_length=10)
    starts_at = InstantField(required=False)
    ends_at = InstantField(required=False, allow_null=True)
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True)


class DelegationEdit(StrictSerializer):
    """A delegation only ends."""

    ended = serializers.ChoiceField([True])


class DelegationAnswer(serializers.Serializer[Any]):
    """Who votes in whose place."""

    id = serializers.IntegerField()
    delegator = serializers.CharField(source="delegator.username")
    delegate = serializers.CharField(source="delegate.username")
    roles = serializers.ListField(child=serializers.CharField())
    starts_at = InstantField()
    ends_at = InstantField()
    reason = serializers.CharField()
    created_at = InstantField()
    revoked_at = InstantField()


class DelegationViewSet(View):
    """The delegations that the caller gave or was given."""

    serializer_class = DelegationAnswer
    scopes = (Scope.APPROVE,)
    notes_refusals = True
    lookup_value_regex = "[0-9]{1,18}"
    ordering = ("-created_at", "-id")

    def get_queryset(self) -> QuerySet[Delegation]:
        return Delegation.objects.of(self.actor).select_related("delegator", "delegate")

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(DelegationAnswer(page, many=True).data)

    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(DelegationAnswer(get_object_or_404(self.get_queryset(), pk=pk)).data)

    @extend_schema(request=DelegationBody, responses={201: DelegationAnswer})
    def create(self, request: Request) -> Response:
        body = self.body(DelegationBody)
        now = timezone.now()
        to = colleagues(self.actor).filter(username=body.pop("delegate")).first()
        if to is None:
            raise Invalid({"delegate": "There is no such person."})
        times = {"starts_at": body.pop("starts_at", now), "ends_at": body.pop("ends_at", None)}
        given = commands.delegate(to, actor=self.actor, now=now, **times, **body)
        return Response(DelegationAnswer(given).data, status=201)

    @extend_schema(request=DelegationEdit, responses=DelegationAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        delegation = get_object_or_404(self.get_queryset(), pk=pk)
        self.body(DelegationEdit)
        ended = commands.end_delegation(delegation, actor=self.actor, now=timezone.now())
        return Response(DelegationAnswer(ended).data)
