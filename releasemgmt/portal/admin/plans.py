"""Deployment plans: the page on which their tasks are ticked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_POST

from approvals.queries import conditions_of
from deployments import commands
from deployments.commands.tasks import may_work_on
from deployments.models import DeploymentPlan, DeploymentTask
from deployments.queries import earliest_start
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment
from releasemgmt.portal.admin.forms import OwnProducts, instant, offer, text
from releasemgmt.releases.models import Release
from releasemgmt.web.admin import PersonalForm, RecordAdmin, actor_of, attempt
from releasemgmt.workflow.models import Aggregate

TASK_LINES = "One task a line, in their order; each waits for the one before it."


class PlanEditForm(PersonalForm):
    """What can be edited of a plan in draft."""

    planned_start = instant()
    latest_start = instant()
    autostart = forms.BooleanField(required=False, initial=True, help_text="The system starts it when it is due.")
    tasks = text(5, help_text=TASK_LINES)
    backout_tasks = text(5, help_text="The way back, one step a line.")
    backout_minutes = forms.IntegerField(min_value=1, required=False)


class PlanForm(PlanEditForm):
    """A new plan."""

    release = forms.ModelChoiceField(Release.objects.none())
    environment = forms.ModelChoiceField(Environment.objects.all())
    field_order = ("release", "environment")

    def choose(self, user: User, record: Any) -> None:
        rows = Release.objects.visible_to(user).exclude(state__in=["closed", "cancelled"]).select_related("product")
        offer(self, "release", rows.order_by("-pk"), lambda release: f"{release} {release.alias}")


BEFORE_START = (DeploymentPlan.State.DRAFT, DeploymentPlan.State.READY, DeploymentPlan.State.SCHEDULED)


@admin.register(DeploymentPlan)
class PlanAdmin(RecordAdmin):
    """Deployment plans."""

    record_template = "portal/plan.html"
    pipeline = ("draft", "ready", "scheduled", "in_progress", "succeeded")
    list_display = ("number", "release", "product", "environment", "shown_state", "planned_start", "autostart")
    list_filter = ("state", "environment", ("release__product", OwnProducts))
    search_fields = ("release__version", "release__product__key")
    list_select_related = ("release__product", "environment")
    ordering = ("-created_at", "-id")
    add_form = PlanForm
    edit_form = PlanEditForm
    transition_commands = commands.TRANSITIONS
    cures: ClassVar[Mapping[str, str]] = {"condition_open": "#conditions"}
    task_commands: ClassVar[Mapping[str, tuple[Callable[..., Any], str]]] = {
        "done": (commands.finish_task, "evidence"),
        "fail": (commands.fail_task, "reason"),
        "skip": (commands.skip_task, "reason"),
        "retry": (commands.retry_task, ""),
    }

    @admin.display(description="Product", ordering="release__product__name")
    def product(self, plan: DeploymentPlan) -> str:
        return str(plan.release.product)

    def visible(self, user: User) -> QuerySet[DeploymentPlan]:
        return DeploymentPlan.objects.visible_to(user).select_related(
            "release__product__team", "release__model", "environment", "created_by"
        )

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        return commands.create_plan(actor=actor, now=timezone.now(), **_drafts(fields))

    def initial(self, obj: DeploymentPlan) -> dict[str, Any]:
        names = ("planned_start", "latest_start", "autostart", "backout_minutes")
        titles = {False: [], True: []}  # type: dict[bool, list[str]]
        for task in obj.tasks.order_by("position"):
            titles[task.is_backout].append(task.title)
        written = {"tasks": "\n".join(titles[False]), "backout_tasks": "\n".join(titles[True])}
        return {**{name: getattr(obj, name) for name in names}, **written}

    def may_add(self, user: User) -> bool:
        return roles.plan_deployments.somewhere(user)

    def may_edit(self, user: User, obj: DeploymentPlan) -> bool:
        return obj.state == DeploymentPlan.State.DRAFT and roles.plan_deployments(user, obj)

    def edit(self, obj: DeploymentPlan, fields: dict[str, Any], *, actor: User) -> Any:
        before = self.initial(obj)
        same = [name for name in ("tasks", "backout_tasks") if _titles(fields[name]) == _titles(before[name])]
        changes = {name: value for name, value in _drafts(fields).items() if name not in same}
        return commands.edit_plan(obj, changes=changes, actor=actor, now=timezone.now())

    def facts(self, obj: DeploymentPlan) -> list[tuple[str, Any]]:
        return [
            ("Release", f"{obj.release} {obj.release.alias}"),
            ("Environment", obj.environment),
            ("Planned start", obj.planned_start),
            ("Latest start", obj.latest_start),
            *_opening(obj),
            ("Starts by itself", "yes" if obj.autostart else "no"),
            ("Backout", f"{obj.backout_minutes} minutes" if obj.backout_minutes else None),
            ("Planned by", obj.created_by),
        ]

    def panels(self, request: HttpRequest, obj: DeploymentPlan) -> dict[str, Any]:
        user = actor_of(request)
        tasks = list(
            obj.tasks.select_related("assigned_user", "assigned_team", "finished_by").order_by("is_backout", "position")
        )
        for task in tasks:
            task.plan = obj
        running = obj.state == DeploymentPlan.State.IN_PROGRESS
        done = [task for task in tasks if not task.is_backout and task.state in DeploymentTask.BEHIND]
        forward = [task for task in tasks if not task.is_backout]
        return {
            "tasks": [{"task": task, "mine": running and may_work_on(task, user)} for task in forward],
            "backout": [task for task in tasks if task.is_backout],
            "done": len(done),
            "attempts": obj.deployments.order_by("-pk"),
            "conditions": conditions_of(obj.release) if obj.environment.is_production else [],
            "may_meet": roles.edit_records(user, obj.release),
            "waiting": running or obj.state == DeploymentPlan.State.SCHEDULED,
        }

    def extra_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        view = wrap(require_POST(self.task_view))
        return [path("<int:pk>/change/tasks/<int:task>/<str:step>/", view, name=f"{name}_task")]

    def task_view(self, request: HttpRequest, pk: int, task: int, step: str) -> HttpResponse:
        """Tick, fail, skip or retry one task."""
        plan = self.found(request, pk)
        found = plan.tasks.filter(pk=task).first()
        if found is None or step not in self.task_commands:
            raise Http404
        act, field = self.task_commands[step]
        fields = {field: request.POST.get("note", "")[:5_000]} if field else {}
        call = partial(act, found, actor=actor_of(request), now=timezone.now(), **fields)
        attempt(request, call, done=f"“{found}”: {step}.")
        return HttpResponseRedirect(self.address(plan))


def _opening(plan: DeploymentPlan) -> list[tuple[str, Any]]:
    """From when windows, freezes, approved intervals and soaks let a plan start that has not, if not now."""
    if plan.state not in BEFORE_START:
        return []
    now = timezone.now()
    earliest = earliest_start(plan.release, plan.environment, at=now)
    return [("May start from", earliest)] if earliest and earliest > now else []


def _titles(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _drafts(fields: dict[str, Any]) -> dict[str, Any]:
    """The form's lines as tasks, each after the one before it."""
    drafts = {
        name: [
            commands.TaskDraft(title=title, depends_on=(index - 1,) if index else ())
            for index, title in enumerate(_titles(fields[name]))
        ]
        for name in ("tasks", "backout_tasks")
    }
    return {**fields, **drafts}
