"""Deployment plans over REST."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Prefetch, QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from deployments import commands
from deployments.api.fields import ReleaseFilter
from deployments.api.preparation import PreparationActions
from deployments.models import DeploymentPlan, DeploymentTask, WebhookCall
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Scope, Team, User
from releasemgmt.accounts.queries import colleagues
from releasemgmt.releases.api.fields import EnvironmentField, NamedField, ReleaseField
from releasemgmt.web.api import InstantField, RecordSerializer, StatefulViewSet, StrictSerializer

MAX_TASKS = 200
MAX_MINUTES = 60 * 24 * 365


class AssigneeField(NamedField):
    """A person by user name, or a team by key, as far as the caller sees them."""

    what = "user or team"

    def find(self, name: str, user: User) -> User | Team | None:
        person = colleagues(user).filter(username=name).first()
        return person or roles.visible_to(user, Team.objects.filter(key=name), team="pk").first()


class TaskBody(StrictSerializer):
    """A task as it is written down; `depends_on` are indexes in its own list."""

    title = serializers.CharField(max_length=200)
    kind = serializers.ChoiceField(DeploymentTask.Kind.choices, required=False)
    endpoint = serializers.CharField(max_length=40, required=False, allow_blank=True)
    purpose = serializers.ChoiceField(DeploymentTask.Purpose.choices, required=False)
    assignee = AssigneeField(required=False, allow_null=True)
    estimate_minutes = serializers.IntegerField(min_value=0, max_value=MAX_MINUTES, required=False, allow_null=True)
    depends_on = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=MAX_TASKS), max_length=MAX_TASKS, required=False
    )

    def to_internal_value(self, data: Any) -> commands.TaskDraft:
        task = super().to_internal_value(data)
        return commands.TaskDraft(**{**task, "depends_on": tuple(task.get("depends_on", ()))})


class PlanEdit(StrictSerializer):
    """What PATCH takes; a list of tasks replaces the one that is there."""

    planned_start = InstantField(required=False)
    latest_start = InstantField(required=False)
    autostart = serializers.BooleanField(required=False)
    backout_minutes = serializers.IntegerField(min_value=0, max_value=MAX_MINUTES, required=False, allow_null=True)
    tasks = serializers.ListField(child=TaskBody(), max_length=MAX_TASKS, required=False)
    backout_tasks = serializers.ListField(child=TaskBody(), max_length=MAX_TASKS, required=False)


class PlanCreate(PlanEdit):
    """What POST takes."""

    release = ReleaseField()
    environment = EnvironmentField()
    planned_start = InstantField()
    latest_start = InstantField()


class StepBody(StrictSerializer):
    """What is said with a step of a task; failing and skipping ask for a reason."""

    evidence = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    reason = serializers.CharField(max_length=5_000, required=False, allow_blank=True)


class HandOverBody(StrictSerializer):
    """To whom a task is handed over, and what they have to know."""

    assignee = AssigneeField()
    note = serializers.CharField(max_length=5_000)


class CallAnswer(serializers.Serializer[Any]):
    """What became of the last time that a task's endpoint was called."""

    state = serializers.ChoiceField(WebhookCall.State.choices)
    fencing_token = serializers.IntegerField()
    sends = serializers.IntegerField()
    next_attempt_at = InstantField()
    accepted_at = InstantField()
    due_at = InstantField()
    ended_at = InstantField()
    error = serializers.CharField()


class TaskAnswer(serializers.Serializer[Any]):
    """A task and how far it is."""

    id = serializers.IntegerField()
    title = serializers.CharField()
    kind = serializers.CharField()
    endpoint = serializers.CharField(source="endpoint.key", default=None)
    call = serializers.SerializerMethodField()
    purpose = serializers.CharField()
    assignee = serializers.CharField(source="assignee.number", default=None)
    estimate_minutes = serializers.IntegerField()
    depends_on = serializers.SerializerMethodField()
    state = serializers.CharField()
    attempt = serializers.IntegerField()
    evidence = serializers.CharField()
    reason = serializers.CharField()
    started_at = InstantField()
    finished_at = InstantField()
    finished_by = serializers.CharField(source="finished_by.username", default=None)

    @extend_schema_field(CallAnswer(allow_null=True))
    def get_call(self, task: DeploymentTask) -> Any:
        calls = task.calls.all()
        return CallAnswer(calls[0]).data if calls else None

    def get_depends_on(self, task: DeploymentTask) -> list[int]:
        return sorted(other.position for other in task.depends_on.all())


class PlanAnswer(RecordSerializer):
    """A plan as lists show it."""

    release = serializers.CharField(source="release.number")
    product = serializers.CharField(source="release.product.key")
    version = serializers.CharField(source="release.version")
    environment = serializers.CharField(source="environment.key")
    planned_start = InstantField()
    latest_start = InstantField()
    autostart = serializers.BooleanField()
    backout_minutes = serializers.IntegerField()
    created_by = serializers.CharField(source="created_by.username")
    held_up_by = serializers.SerializerMethodField()

    def get_held_up_by(self, plan: DeploymentPlan) -> list[str]:
        return plan.held_up_by.split()


class PlanDetail(PlanAnswer):
    """A plan with its tasks and the way back."""

    tasks = serializers.SerializerMethodField()
    backout_tasks = serializers.SerializerMethodField()

    @extend_schema_field(TaskAnswer(many=True))
    def get_tasks(self, plan: DeploymentPlan) -> Any:
        return TaskAnswer([task for task in plan.tasks.all() if not task.is_backout], many=True).data

    @extend_schema_field(TaskAnswer(many=True))
    def get_backout_tasks(self, plan: DeploymentPlan) -> Any:
        return TaskAnswer([task for task in plan.tasks.all() if task.is_backout], many=True).data


class PlanFilters(django_filters.FilterSet):
    """The filters of `deployment-plans/`."""

    product = django_filters.CharFilter(field_name="release__product__key")
    release = ReleaseFilter()
    environment = django_filters.CharFilter(field_name="environment__key")
    state = django_filters.MultipleChoiceFilter(choices=DeploymentPlan.State.choices, distinct=False)
    autostart = django_filters.BooleanFilter()


class PlanViewSet(PreparationActions, StatefulViewSet):
    """Deployment plans and their tasks."""

    model = DeploymentPlan
    address = "/api/v1/deployment-plans/"
    serializer_class = PlanDetail
    filterset_class = PlanFilters
    scopes = (Scope.WRITE, Scope.DEPLOY)
    search_fields = ("release__version", "release__title")
    orderings = ("created_at", "updated_at", "planned_start")
    transition_commands = commands.TRANSITIONS

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return PlanAnswer if self.action == "list" else PlanDetail

    def get_queryset(self) -> QuerySet[DeploymentPlan]:
        rows = DeploymentPlan.objects.visible_to(self.actor)
        rows = rows.select_related("release__product", "environment", "created_by")
        if self.action == "list":
            return rows
        tasks = DeploymentTask.objects.select_related("assigned_user", "assigned_team", "endpoint", "finished_by")
        return rows.prefetch_related(Prefetch("tasks", tasks.prefetch_related("depends_on", "calls")))

    @extend_schema(request=PlanCreate, responses={201: PlanDetail})
    def create(self, request: Request) -> Response:
        plan = commands.create_plan(actor=self.actor, now=timezone.now(), **self.body(PlanCreate))
        return self.answer(plan, status=201)

    @extend_schema(request=PlanEdit, responses=PlanDetail)
    def partial_update(self, request: Request, number: str) -> Response:
        plan = self.get_object()
        with self.guarded(plan):
            commands.edit_plan(plan, changes=self.body(PlanEdit), actor=self.actor, now=timezone.now())
        return self.answer(self.get_object())

    @extend_schema(request=StepBody, responses=PlanDetail)
    @action(
        detail=True,
        methods=["post"],
        url_path=r"tasks/(?P<task>[0-9]{1,18})/transitions/(?P<step>done|fail|skip|retry)",
    )
    def step(self, request: Request, number: str, task: str, step: str) -> Response:
        plan, found = self.found_task(task)
        with self.guarded(plan, required=False):
            commands.STEPS[step](found, actor=self.actor, now=timezone.now(), **self.body(StepBody))
        return self.answer(self.get_object())

    @extend_schema(request=HandOverBody, responses=PlanDetail)
    @action(detail=True, methods=["post"], url_path=r"tasks/(?P<task>[0-9]{1,18})/transitions/hand_over")
    def hand_over(self, request: Request, number: str, task: str) -> Response:
        plan, found = self.found_task(task)
        said = self.body(HandOverBody)
        with self.guarded(plan, required=False):
            to, note = said["assignee"], said["note"]
            commands.hand_over_task(found, to=to, note=note, actor=self.actor, now=timezone.now())
        return self.answer(self.get_object())

    def found_task(self, pk: str) -> tuple[DeploymentPlan, DeploymentTask]:
        """The plan, and its task of that key."""
        plan = self.get_object()
        found = next((each for each in plan.tasks.all() if each.pk == int(pk)), None)
        if found is None:
            raise Http404
        return plan, found
