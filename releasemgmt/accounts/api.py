"""Teams and oneself over REST."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from releasemgmt.accounts import commands, roles
from releasemgmt.accounts.models import Team, User
from releasemgmt.web.api import InstantField, RecordSerializer, RecordViewSet, StrictSerializer, View


class TeamBody(StrictSerializer):
    """What POST takes."""

    key = serializers.SlugField(max_length=40)
    name = serializers.CharField(max_length=100)


class TeamEdit(StrictSerializer):
    """What PATCH takes."""

    name = serializers.CharField(max_length=100)


class TeamAnswer(RecordSerializer):
    """A team."""

    key = serializers.CharField()
    name = serializers.CharField()


class RoleAnswer(serializers.Serializer[Any]):
    """A role that one holds; `team` is null for a global one."""

    role = serializers.CharField()
    team = serializers.CharField(source="team.key", default=None)


class OpenApproval(serializers.Serializer[Any]):
    """A round that waits for the caller's vote."""

    id = serializers.IntegerField()
    subject = serializers.CharField(source="subject.number")
    digest = serializers.CharField()
    opened_at = InstantField()


class MeAnswer(serializers.Serializer[Any]):
    """Who the caller is; `scopes` are what this token, or a session, may be used for."""

    username = serializers.CharField()
    name = serializers.CharField(source="__str__")
    kind = serializers.CharField()
    time_zone = serializers.CharField()
    scopes = serializers.SerializerMethodField()
    roles = serializers.SerializerMethodField()
    open_approvals = serializers.SerializerMethodField()

    def get_scopes(self, user: User) -> list[str]:
        return sorted(user.scopes)

    @extend_schema_field(RoleAnswer(many=True))
    def get_roles(self, user: User) -> Any:
        return RoleAnswer(user.roles_held(), many=True).data

    @extend_schema_field(OpenApproval(many=True))
    def get_open_approvals(self, user: User) -> Any:
        return OpenApproval(import_string(settings.OPEN_APPROVALS)(user, timezone.now()), many=True).data


class TeamViewSet(RecordViewSet):
    """Teams that the caller sees."""

    model = Team
    address = "/api/v1/teams/"
    serializer_class = TeamAnswer
    search_fields = ("key", "name")

    def get_queryset(self) -> QuerySet[Team]:
        return roles.visible_to(self.actor, Team.objects.all(), team="pk")

    def by_number(self, rows: QuerySet[Any], number: str) -> Any:
        return rows.filter(key=number).first()

    @extend_schema(request=TeamBody, responses={201: TeamAnswer})
    def create(self, request: Request) -> Response:
        return self.answer(commands.create_team(actor=self.actor, **self.body(TeamBody)), status=201)

    @extend_schema(request=TeamEdit, responses=TeamAnswer)
    def partial_update(self, request: Request, number: str) -> Response:
        team = self.get_object()
        name = self.body(TeamEdit)["name"]
        with self.guarded(team):
            commands.rename_team(team, name=name, actor=self.actor)
        return self.answer(self.get_object())


class MeViewSet(View):
    """The caller."""

    serializer_class = MeAnswer

    @extend_schema(responses=MeAnswer)
    def show(self, request: Request) -> Response:
        return Response(MeAnswer(self.actor).data)
