"""Boards and their meetings over REST."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import commands, queries
from approvals.models import AgendaItem, Board, Meeting
from approvals.models.board import MINUTES_OF_A_DAY, MINUTES_OF_TWO_WEEKS
from releasemgmt.accounts.models import Team, User
from releasemgmt.releases.api.fields import NamedField, UserField
from releasemgmt.web.api import InstantField, RecordSerializer, RecordViewSet, StrictSerializer, View, etag

TEXT = 20_000


class TeamField(NamedField):
    """A team by key; one that the caller does not see does not exist."""

    what = "team"

    def find(self, name: str, user: User) -> Team | None:
        team = Team.objects.filter(key=name).first()
        return team if team and user.sees(team) else None


class BoardField(NamedField):
    """A board by key."""

    what = "board"

    def find(self, name: str, user: User) -> Board | None:
        return Board.objects.visible_to(user).filter(key=name).first()


class BoardEdit(StrictSerializer):
    """What PATCH takes."""

    name = serializers.CharField(max_length=100, required=False)
    chair = UserField(required=False)
    members = serializers.ListField(child=UserField(), max_length=200, required=False)
    rule = serializers.CharField(max_length=200, required=False, allow_blank=True)
    first_on = serializers.DateField(required=False)
    start_time = serializers.TimeField(required=False)
    duration_minutes = serializers.IntegerField(min_value=1, max_value=MINUTES_OF_A_DAY, required=False)
    time_zone = serializers.CharField(max_length=64, required=False)
    cut_off_minutes = serializers.IntegerField(min_value=1, max_value=MINUTES_OF_TWO_WEEKS, required=False)


class BoardCreate(BoardEdit):
    """What POST takes; a board without a team is for every team."""

    key = serializers.CharField(max_length=40)
    name = serializers.CharField(max_length=100)
    kind = serializers.ChoiceField(Board.Kind.choices, required=False)
    team = TeamField(required=False, allow_null=True)
    chair = UserField()
    start_time = serializers.TimeField()


class BoardAnswer(RecordSerializer):
    """A board."""

    key = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    team = serializers.CharField(source="team.key", default=None)
    chair = serializers.CharField(source="chair.username")
    members = serializers.SerializerMethodField()
    rule = serializers.CharField()
    first_on = serializers.DateField()
    start_time = serializers.TimeField()
    duration_minutes = serializers.IntegerField()
    time_zone = serializers.CharField()
    cut_off_minutes = serializers.IntegerField()

    def get_members(self, board: Board) -> list[str]:
        return sorted(member.user.username for member in board.members.all())


class MeetingEdit(StrictSerializer):
    """What PATCH takes: who attends, and what is said of the meeting as a whole."""

    notes = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)
    attendees = serializers.ListField(child=UserField(), max_length=200, required=False)


class MeetingCreate(StrictSerializer):
    """What POST takes: a meeting beside the rule."""

    board = BoardField()
    starts_at = InstantField()
    ends_at = InstantField(required=False)


class MeetingAnswer(serializers.Serializer[Any]):
    """A meeting; its revision is its board's."""

    id = serializers.IntegerField()
    board = serializers.CharField(source="board.key")
    state = serializers.CharField()
    revision = serializers.IntegerField(source="board.revision")
    starts_at = InstantField()
    ends_at = InstantField()
    cut_off_at = InstantField()
    agenda_at = InstantField()
    extra = serializers.BooleanField()
    notes = serializers.CharField()
    attendees = serializers.SerializerMethodField()
    settled_at = InstantField()
    settled_by = serializers.CharField(source="settled_by.username", default=None)
    url = serializers.SerializerMethodField()

    def get_attendees(self, meeting: Meeting) -> list[str]:
        return sorted(person.username for person in meeting.attendees.all())

    def get_url(self, meeting: Meeting) -> str:
        return f"{MeetingViewSet.address}{meeting.pk}/"


class EntryAnswer(serializers.Serializer[Any]):
    """A round on an agenda; what the meeting says of it is there once the agenda is closed."""

    position = serializers.IntegerField()
    round = serializers.IntegerField(source="round.pk")
    subject = serializers.CharField(source="round.subject.number")
    title = serializers.CharField(source="round.subject.title")
    risk = serializers.CharField(source="round.subject.risk")
    planned_start = InstantField(source="round.subject.planned_start")
    round_state = serializers.CharField(source="round.state")
    deferred_by = serializers.IntegerField(source="deferred.pk", default=None)
    notes = serializers.CharField(source="item.notes", default="")
    decision = serializers.CharField(source="item.decision", default="")
    decided_at = InstantField(source="item.decided_at", default=None)
    decided_by = serializers.CharField(source="item.decided_by.username", default=None)


class AgendaAnswer(serializers.Serializer[Any]):
    """What a meeting talks about, in its order, and what was asked after its cut-off."""

    closed_at = InstantField()
    items = EntryAnswer(many=True)
    for_the_next = serializers.ListField(child=serializers.IntegerField())


class ItemEdit(StrictSerializer):
    """What a meeting says of a round; an empty decision takes one back."""

    notes = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)
    decision = serializers.ChoiceField(AgendaItem.Decision.choices, required=False, allow_blank=True)


class MinutesAnswer(serializers.Serializer[Any]):
    """The minutes as Markdown; fixed by the end of the meeting."""

    fixed = serializers.BooleanField()
    minutes = serializers.CharField()


class ReasonBody(StrictSerializer):
    """Why."""

    reason = serializers.CharField(max_length=500)


class Nothing(StrictSerializer):
    """An empty object."""


class BoardFilters(django_filters.FilterSet):
    """The filters of `boards/`."""

    team = django_filters.CharFilter(field_name="team__key")
    kind = django_filters.MultipleChoiceFilter(choices=Board.Kind.choices, distinct=False)


class MeetingFilters(django_filters.FilterSet):
    """The filters of `meetings/`."""

    board = django_filters.CharFilter(field_name="board__key")
    state = django_filters.MultipleChoiceFilter(choices=Meeting.State.choices, distinct=False)


class BoardViewSet(RecordViewSet):
    """Boards."""

    model = Board
    address = "/api/v1/boards/"
    serializer_class = BoardAnswer
    filterset_class = BoardFilters
    search_fields = ("key", "name")
    orderings = ("created_at", "updated_at", "key")

    def get_queryset(self) -> QuerySet[Board]:
        rows = Board.objects.visible_to(self.actor).select_related("team", "chair")
        return rows.prefetch_related("members__user")

    def by_number(self, rows: QuerySet[Any], number: str) -> Any:
        return rows.filter(key=number).first()

    @extend_schema(request=BoardCreate, responses={201: BoardAnswer})
    def create(self, request: Request) -> Response:
        board = commands.create_board(actor=self.actor, now=timezone.now(), **self.body(BoardCreate))
        return self.answer(board, status=201)

    @extend_schema(request=BoardEdit, responses=BoardAnswer)
    def partial_update(self, request: Request, number: str) -> Response:
        board = self.get_object()
        with self.guarded(board):
            commands.edit_board(board, changes=self.body(BoardEdit), actor=self.actor, now=timezone.now())
        return self.answer(self.get_object())


class MeetingViewSet(View):
    """Meetings of boards, addressed by id; their ETag is their board's."""

    address = "/api/v1/meetings/"
    serializer_class = MeetingAnswer
    filterset_class = MeetingFilters
    lookup_value_regex = "[0-9]{1,18}"
    ordering = ("-starts_at", "-id")

    def get_queryset(self) -> QuerySet[Meeting]:
        rows = Meeting.objects.visible_to(self.actor).select_related("board__chair", "settled_by")
        return rows.prefetch_related("attendees")

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(MeetingAnswer(page, many=True).data)

    def retrieve(self, request: Request, pk: str) -> Response:
        return self.answer(self.found(pk))

    @extend_schema(request=MeetingCreate, responses={201: MeetingAnswer})
    def create(self, request: Request) -> Response:
        meeting = commands.call_meeting(actor=self.actor, now=timezone.now(), **self.body(MeetingCreate))
        return self.answer(meeting, status=201)

    @extend_schema(request=MeetingEdit, responses=MeetingAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        meeting = self.found(pk)
        with self.guarded(meeting.board):
            commands.edit_meeting(meeting, changes=self.body(MeetingEdit), actor=self.actor)
        return self.answer(self.found(pk))

    @extend_schema(responses=AgendaAnswer)
    @action(detail=True, methods=["get"], url_path="agenda")
    def agenda(self, request: Request, pk: str) -> Response:
        return _agenda(self.found(pk))

    @extend_schema(request=ItemEdit, responses=AgendaAnswer)
    @action(detail=True, methods=["patch"], url_path="agenda/(?P<round>[0-9]{1,18})")
    def item(self, request: Request, pk: str, round: str) -> Response:
        meeting = self.found(pk)
        item = get_object_or_404(meeting.items.all(), round=round)
        with self.guarded(meeting.board):
            commands.write_item(item, changes=self.body(ItemEdit), actor=self.actor, now=timezone.now())
        return _agenda(self.found(pk))

    @extend_schema(responses=MinutesAnswer)
    @action(detail=True, methods=["get"], url_path="minutes")
    def minutes(self, request: Request, pk: str) -> Response:
        meeting = self.found(pk)
        text = queries.minutes(meeting, now=timezone.now())
        return Response(MinutesAnswer({"fixed": bool(meeting.minutes), "minutes": text}).data)

    @extend_schema(request=ReasonBody, responses=MeetingAnswer)
    @action(detail=True, methods=["post"], url_path="transitions/cancel")
    def cancel(self, request: Request, pk: str) -> Response:
        meeting = self.found(pk)
        with self.guarded(meeting.board, required=False):
            commands.cancel_meeting(meeting, actor=self.actor, now=timezone.now(), **self.body(ReasonBody))
        return self.answer(self.found(pk))

    @extend_schema(request=Nothing, responses=MeetingAnswer)
    @action(detail=True, methods=["post"], url_path="transitions/hold")
    def hold(self, request: Request, pk: str) -> Response:
        self.body(Nothing)
        meeting = self.found(pk)
        with self.guarded(meeting.board, required=False):
            commands.hold_meeting(meeting, actor=self.actor, now=timezone.now())
        return self.answer(self.found(pk))

    def found(self, pk: str) -> Meeting:
        """The meeting, if the caller sees its board."""
        return get_object_or_404(self.get_queryset(), pk=pk)

    def answer(self, meeting: Meeting, status: int = 200) -> Response:
        """The meeting's JSON with the ETag of its board, and where it is new with its address."""
        body = MeetingAnswer(meeting).data
        place = {"Location": body["url"]} if status == HTTPStatus.CREATED else {}
        return Response(body, status=status, headers={"ETag": etag(meeting.board), **place})


def _agenda(meeting: Meeting) -> Response:
    later = [round.pk for round in queries.asked_later(meeting)]
    items = queries.agenda(meeting, now=timezone.now())
    return Response(AgendaAnswer({"closed_at": meeting.agenda_at, "items": items, "for_the_next": later}).data)
