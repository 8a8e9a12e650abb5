"""Deployment plans: the page on which their tasks are ticked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from approvals.queries import conditions_of
from deployments import commands
from deployments.commands.plans import LISTS, drafts_of
from deployments.models import DeploymentPlan
from deployments.queries import earliest_start, who_can_work_on
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Team, User
from releasemgmt.catalog.models import Environment
from releasemgmt.portal import task_lines
from releasemgmt.portal.admin.forms import OwnProducts, colleagues, instant, offer, text, visible_teams
from releasemgmt.portal.admin.preparation import PreparedPlans
from releasemgmt.portal.progress import ways
from releasemgmt.releases.models import Release
from releasemgmt.web.admin import PersonalForm, RecordAdmin, actor_of, attempt, visible_row
from releasemgmt.workflow.commands import reading
from releasemgmt.workflow.errors import Invalid, Refused
from releasemgmt.workflow.models import Aggregate


class PlanEditForm(PersonalForm):
    """What can be edited of a plan in draft."""

    planned_start = instant()
    latest_start = instant()
    autostart = forms.BooleanField(required=False, initial=True, help_text="The system starts it when it is due.")
    tasks = text(7, help_text=task_lines.HOW)
    backout_tasks = text(4, help_text="The way back, in the same way.")
    backout_minutes = forms.IntegerField(min_value=1, required=False)

    def choose(self, user: User, record: Any) -> None:
        self.user = user
        self.fields["tasks"].widget.attrs["placeholder"] = task_lines.EXAMPLE

    def clean_tasks(self) -> list[commands.TaskDraft]:
        return self.drafts("tasks")

    def clean_backout_tasks(self) -> list[commands.TaskDraft]:
        return self.drafts("backout_tasks")

    def drafts(self, name: str) -> list[commands.TaskDraft]:
        """The lines of a list as tasks."""
        return task_lines.read(self.cleaned_data[name], find=partial(named_by, self.user))

    def refused(self, refused: Refused) -> bool:
        """Say of a list which of its tasks it is about."""
        if not isinstance(refused, Invalid):
            return False
        for field, reason in refused.errors.items():
            name, _, rest = field.partition(".")
            number = rest.partition(".")[0]
            place = f"Task {int(number) + 1}: " if number.isdecimal() else ""
            self.add_error(name if name in self.fields else None, f"{place}{reason}")
        return True


def named_by(user: User, name: str) -> User | Team | None:
    """A person by user name, or a team by key, as far as somebody sees them."""
    return colleagues(user).filter(username=name).first() or visible_teams(user).filter(key=name).first()


class PlanForm(PlanEditForm):
    """A new plan."""

    release = forms.ModelChoiceField(Release.objects.none())
    environment = forms.ModelChoiceField(Environment.objects.all())
    field_order = ("release", "environment")

    def choose(self, user: User, record: Any) -> None:
        super().choose(user, record)
        rows = Release.objects.visible_to(user).exclude(state__in=["closed", "cancelled"]).select_related("product")
        offer(self, "release", rows.order_by("-pk"), lambda release: f"{release} {release.alias}")


BEFORE_START = (DeploymentPlan.State.DRAFT, DeploymentPlan.State.READY, DeploymentPlan.State.SCHEDULED)


@admin.register(DeploymentPlan)
class PlanAdmin(PreparedPlans, RecordAdmin):
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
    cures: ClassVar[Mapping[str, str]] = {
        "condition_open": "#conditions",
        **{f"preparation_{state}": "#preparation" for state in ("missing", "outdated", "refuted")},
    }
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
        return commands.create_plan(actor=actor, now=timezone.now(), **fields)

    def initial(self, obj: DeploymentPlan) -> dict[str, Any]:
        names = ("planned_start", "latest_start", "autostart", "backout_minutes")
        lists = {name: task_lines.write(drafts_of(obj, is_backout=kind)) for kind, name in LISTS.items()}
        return {**{name: getattr(obj, name) for name in names}, **lists}

    def may_add(self, user: User) -> bool:
        return roles.plan_deployments.somewhere(user)

    def may_edit(self, user: User, obj: DeploymentPlan) -> bool:
        return obj.state == DeploymentPlan.State.DRAFT and roles.plan_deployments(user, obj)

    def edit(self, obj: DeploymentPlan, fields: dict[str, Any], *, actor: User) -> Any:
        return commands.edit_plan(obj, changes=fields, actor=actor, now=timezone.now())

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
        return {
            **_progress(request, obj),
            **self.preparation_panel(obj, actor_of(request)),
            "attempts": obj.deployments.order_by("-pk"),
            "conditions": conditions_of(obj.release) if obj.environment.is_production else [],
            "may_meet": roles.edit_records(actor_of(request), obj.release),
            "waiting": obj.is_under_way or obj.state == DeploymentPlan.State.SCHEDULED,
        }

    def extra_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        step, hand_over = wrap(require_POST(self.task_view)), wrap(require_POST(self.hand_over_view))
        return [
            *self.preparation_urls(wrap, name),
            path("<int:pk>/change/progress/", wrap(require_safe(self.progress_view)), name=f"{name}_progress"),
            path("<int:pk>/change/tasks/<int:task>/hand-over/", hand_over, name=f"{name}_hand_over"),
            path("<int:pk>/change/tasks/<int:task>/<str:step>/", step, name=f"{name}_task"),
        ]

    def progress_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The part of the page that changes while people work on the tasks."""
        with reading():
            plan = self.found(request, pk)
            shown = {"record": plan, "address": self.address(plan), **_progress(request, plan)}
            return render(request, "portal/plan_progress.html", shown)

    def hand_over_view(self, request: HttpRequest, pk: int, task: int) -> HttpResponse:
        """Give one task to another person or team."""
        plan = self.found(request, pk)
        found = visible_row(plan.tasks, task)
        actor, note = actor_of(request), request.POST.get("note", "")[:5_000]
        to = named_by(actor, request.POST.get("assignee", "")[:150])
        if to is None:
            messages.error(request, "Choose who takes it over.")
        else:
            call = partial(commands.hand_over_task, found, to=to, note=note, actor=actor, now=timezone.now())
            attempt(request, call, done=f"“{found}” is {to}’s now.")
        return HttpResponseRedirect(self.address(plan))

    def task_view(self, request: HttpRequest, pk: int, task: int, step: str) -> HttpResponse:
        """Tick, fail, skip or retry one task."""
        plan = self.found(request, pk)
        if step not in self.task_commands:
            raise Http404
        found = visible_row(plan.tasks, task)
        act, field = self.task_commands[step]
        fields = {field: request.POST.get("note", "")[:5_000]} if field else {}
        call = partial(act, found, actor=actor_of(request), now=timezone.now(), **fields)
        attempt(request, call, done=f"“{found}”: {step}.")
        return HttpResponseRedirect(self.address(plan))


def _progress(request: HttpRequest, plan: DeploymentPlan) -> dict[str, Any]:
    """Both ways of the plan, and whom a task can be handed over to, if the person can do that."""
    user = actor_of(request)
    shown = ways(plan, user=user, now=timezone.now())
    is_asked = any(step.can_hand_over for way in shown for step in way.steps)
    return {"ways": shown, "assignees": assignees(plan, user) if is_asked else []}


def assignees(plan: DeploymentPlan, user: User) -> list[tuple[str, list[tuple[str, str]]]]:
    """Who can work on the plan's tasks, of those whom the person sees, as `named_by` finds them."""
    able = who_can_work_on(plan)
    people = colleagues(user).filter(pk__in=able.values("pk"))
    teams = visible_teams(user).filter(role_assignments__user__in=able).distinct()
    return [
        ("People", [(person.number, str(person)) for person in people]),
        ("Teams", [(team.number, str(team)) for team in teams]),
    ]


def _opening(plan: DeploymentPlan) -> list[tuple[str, Any]]:
    """From when windows, freezes, approved intervals and soaks let a plan start that has not, if not now."""
    if plan.state not in BEFORE_START:
        return []
    now = timezone.now()
    earliest = earliest_start(plan.release, plan.environment, at=now)
    return [("May start from", earliest)] if earliest and earliest > now else []
