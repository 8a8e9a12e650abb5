"""The base of every admin page: it shows records and calls commands; it has no rule and writes nothing itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from releasemgmt.web.templatetags.words import tone
from releasemgmt.workflow import commands, fsm, queries
from releasemgmt.workflow.errors import Invalid, Refused
from releasemgmt.workflow.models import Aggregate, Event, StatefulModel

if TYPE_CHECKING:
    from releasemgmt.accounts.models import User

EVENTS_A_PAGE = 25
NUMBER = re.compile(r"[0-9]{1,15}")
NOT_SERVED = ("_add", "_delete", "_history")


def actor_of(request: HttpRequest) -> User:
    """The person at the page; the site lets nobody else in."""
    return cast("User", request.user)


def attempt(request: HttpRequest, act: Callable[[], Any], *, done: str, form: forms.Form | None = None) -> Any:
    """Call a command; a refusal becomes an error of the form, or a message, and is audited where it has to be.

    Answers what the command answered, or None where it was refused.
    """
    try:
        answer = act()
    except Refused as refused:
        commands.refuse(actor_of(request), refused, subject=request.path)
        if isinstance(form, PersonalForm) and form.refused(refused):
            return None
        fields = refused.errors if isinstance(refused, Invalid) else {"": refused.detail}
        for name, reason in fields.items():
            if form is not None:
                form.add_error(name if name in form.fields else None, reason)
            else:
                messages.error(request, reason)
        return None
    if done:
        messages.success(request, done)
    return answer if answer is not None else True


def visible_row(rows: QuerySet[Any], pk: Any) -> Any:
    """The row of that key among those that the person sees; to them there is no other."""
    try:
        return rows.get(pk=pk)
    except (rows.model.DoesNotExist, ValueError, OverflowError) as error:
        raise Http404 from error


def only_to_read(request: HttpRequest) -> None:
    """The page of a record takes nothing: each of its buttons has an address of its own."""
    if request.method not in ("GET", "HEAD"):
        raise Http404


def back_to(request: HttpRequest, otherwise: str) -> HttpResponseRedirect:
    """To the page whose button was pressed, as the button says, if that is one of ours."""
    back = request.POST.get("back", "")
    is_ours = url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return HttpResponseRedirect(back if is_ours else otherwise)


def pill(value: str, text: str) -> SafeString:
    """A state, a risk or the like as it stands in lists."""
    return format_html('<span class="rm-pill {}">{}</span>', tone(value), text)


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]  # the theme carries no types
    """Lists that people look at; rows are made, changed and removed by commands only."""

    list_per_page = 50
    show_full_result_count = False
    actions = None
    list_filter_submit = False

    def get_urls(self) -> list[Any]:
        """Django's own addresses to add, delete and trace rows, and its redirects, mean nothing here."""
        return [url for url in super().get_urls() if url.name and not url.name.endswith(NOT_SERVED)]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only the filters that the list shows: by any other, columns could be read letter by letter."""
        return lookup in set(self.offered_lookups())

    def offered_lookups(self) -> Iterator[str]:
        """The query parameters of the list's filters."""
        for each in self.list_filter:
            if isinstance(each, type):
                yield each.parameter_name  # type: ignore[attr-defined]  # a filter of our own
                continue
            name = each if isinstance(each, str) else each[0]
            yield from (f"{name}__exact", f"{name}__id__exact", f"{name}__isnull")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.admin_site.has_permission(request))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(self.admin_site.has_permission(request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RecordAdmin(ReadOnlyAdmin):
    """A record's list and its page: state, transitions, facts, timeline and comments; forms that call commands."""

    record_template = "web/record.html"
    #: The states of the ordinary path, in order; the others are shown beside it.
    pipeline: ClassVar[tuple[str, ...]] = ()
    add_form: type[forms.Form] | None = None
    edit_form: type[forms.Form] | None = None
    transition_commands: ClassVar[Mapping[str, Callable[..., StatefulModel]]] = {}
    #: Where on the page one can do something about a blocker: its code → a fragment.
    cures: ClassVar[Mapping[str, str]] = {}

    # --- what an app says of its records ---

    def visible(self, user: User) -> QuerySet[Any]:
        """The rows that the user sees, with what the page needs."""
        return cast("QuerySet[Any]", self.model._default_manager.all())

    def facts(self, obj: Any) -> list[tuple[str, Any]]:
        """Label and value of what stands at the head of the page."""
        return []

    def panels(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """What the page's own template needs beside the rest."""
        return {}

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        """Call the command that makes a record."""
        raise NotImplementedError

    def edit(self, obj: Any, fields: dict[str, Any], *, actor: User) -> Any:
        """Call the command that edits a record."""
        raise NotImplementedError

    def may_add(self, user: User) -> bool:
        """Whether the list offers a new record; the command decides in the end."""
        return self.add_form is not None

    def may_edit(self, user: User, obj: Any) -> bool:
        """Whether the page offers to edit; the command decides in the end."""
        return self.edit_form is not None

    def initial(self, obj: Any) -> dict[str, Any]:
        """What the edit form starts with."""
        return {name: getattr(obj, name) for name in (self.edit_form.base_fields if self.edit_form else ())}

    @admin.display(description="State", ordering="state")
    def shown_state(self, obj: Any) -> SafeString:
        """The state as a pill, for the list."""
        hold = pill("on_hold", "On hold") if getattr(obj, "on_hold", False) else ""
        return format_html("{} {}", pill(fsm.state_of(obj), obj.get_state_display()), hold)

    # --- pages ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows, ordering = self.visible(actor_of(request)), self.get_ordering(request)
        return rows.order_by(*ordering) if ordering else rows

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """What a new record's form starts with: what its address says."""
        return request.GET.dict()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """A record's number finds the record."""
        prefix, _, number = search_term.strip().upper().partition("-")
        if prefix == getattr(self.model, "NUMBER_PREFIX", "") and NUMBER.fullmatch(number):
            return queryset.filter(pk=number), False
        found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, search_term)
        return found

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.admin_site.has_permission(request) and self.may_add(actor_of(request))

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        wrap = self.admin_site.admin_view
        own = []
        if self.add_form is not None:
            own.append(path("add/", wrap(self.add_view), name=f"{name}_add"))
        if self.edit_form is not None:
            own.append(path("<int:pk>/change/edit/", wrap(self.edit_view), name=f"{name}_edit"))
        if issubclass(self.model, Aggregate):
            comment = wrap(require_POST(self.comment_view))
            own.append(path("<int:pk>/change/comment/", comment, name=f"{name}_comment"))
        if issubclass(self.model, StatefulModel):
            move = wrap(self.transition_view)
            own.append(path("<int:pk>/change/transition/<str:transition>/", move, name=f"{name}_transition"))
        return [*own, *self.extra_urls(wrap, name), *super().get_urls()]

    def extra_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        """URLs that only this record has."""
        return []

    def address(self, obj: Any) -> str:
        """The record's page."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[obj.pk])

    def found(self, request: HttpRequest, pk: Any) -> Any:
        """The record, if the person sees it."""
        return visible_row(self.visible(actor_of(request)), pk)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        only_to_read(request)
        with commands.reading():
            obj = self.found(request, object_id)
            context = {**self.page(request, obj, title=str(obj)), **self.panels(request, obj), **(extra_context or {})}
            return render(request, self.record_template, context)

    def page(self, request: HttpRequest, obj: Any, *, title: str) -> dict[str, Any]:
        """The context of every page of one record."""
        user = actor_of(request)
        stateful = isinstance(obj, StatefulModel)
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "original": obj,
            "record": obj,
            "address": self.address(obj),
            "options": self.options(obj, user) if stateful else [],
            "steps": self.steps(obj) if stateful else [],
            "facts": self.facts(obj),
            "may_edit": self.may_edit(user, obj),
            "may_comment": isinstance(obj, Aggregate) and user.may_comment_on(obj),
            "timeline": self.timeline(request, obj) if isinstance(obj, Aggregate) else None,
        }

    def timeline(self, request: HttpRequest, obj: Aggregate) -> Page[Event] | None:
        """A page of the record's events."""
        events = Paginator(queries.timeline(obj), EVENTS_A_PAGE)
        events.count = obj.event_seq  # the head knows how many there are
        return events.get_page(request.GET.get("events"))

    def options(self, obj: StatefulModel, user: User) -> list[dict[str, Any]]:
        """The transitions that people fire, those along the ordinary path first."""
        ahead = set(self.pipeline[self.pipeline.index(fsm.state_of(obj)) + 1 :] if self.is_on_path(obj) else ())
        buttons = [
            {
                "transition": option.transition,
                "allowed": option.allowed,
                "blockers": [{"reason": each.reason, "cure": self.cures.get(each.code)} for each in option.blockers],
                "is_forward": not ahead.isdisjoint(option.transition.targets),
            }
            for option in queries.options(obj, actor=user, now=timezone.now())
            if option.transition.allow is not fsm.engine_only
        ]
        return sorted(buttons, key=lambda each: (not each["is_forward"], not each["allowed"], each["transition"].final))

    def is_on_path(self, obj: StatefulModel) -> bool:
        """Whether the record is in a state of the ordinary path."""
        return fsm.state_of(obj) in self.pipeline

    def steps(self, obj: StatefulModel) -> list[dict[str, str]]:
        """The pipeline: each state of the ordinary path as past, current or to come; another stands at its end."""
        state = fsm.state_of(obj)
        labels = dict(fsm.state_column(type(obj)).choices)
        place = self.pipeline.index(state) if self.is_on_path(obj) else -1
        steps = [
            {"label": labels[name], "is": "current" if n == place else "past" if n < place else "ahead"}
            for n, name in enumerate(self.pipeline)
        ]
        return steps if self.is_on_path(obj) else [*steps, {"label": labels[state], "is": "aside"}]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if self.add_form is None:
            raise Http404
        if request.method != "POST" and not self.may_add(actor_of(request)):
            raise PermissionDenied
        form = self.bound(self.add_form, request, initial=self.get_changeform_initial_data(request))
        if request.method == "POST" and form.is_valid():
            make = partial(self.create, form.cleaned_data, actor=actor_of(request))
            if made := attempt(request, make, done="", form=form):
                messages.success(request, f"{made} is there.")
                return HttpResponseRedirect(self.address(made))
        return self.form_page(request, form, title=f"New {self.opts.verbose_name}", button="Create")

    def edit_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        obj = self.found(request, pk)
        if self.edit_form is None:
            raise Http404
        if request.method != "POST" and not self.may_edit(actor_of(request), obj):
            raise PermissionDenied
        form = self.bound(self.edit_form, request, initial=self.initial(obj), record=obj)
        if request.method == "POST" and form.is_valid():
            change = partial(self.edit, obj, form.cleaned_data, actor=actor_of(request))
            if attempt(request, change, done="Saved.", form=form):
                return HttpResponseRedirect(self.address(obj))
        return self.form_page(request, form, title=f"Edit {obj}", button="Save", record=obj)

    def comment_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        obj = self.found(request, pk)
        body = request.POST.get("body", "")[:10_000]
        attempt(request, partial(commands.comment, obj, body=body, actor=actor_of(request)), done="Comment added.")
        return back_to(request, self.address(obj))

    def transition_view(self, request: HttpRequest, pk: int, transition: str) -> HttpResponse:
        """GET asks for what the transition needs, or for confirmation; only POST moves the record."""
        obj = self.found(request, pk)
        arrow = fsm.find(obj, transition) if isinstance(obj, StatefulModel) else None
        if arrow is None and request.method != "POST":
            messages.info(request, f"{obj} has moved on.")
            return HttpResponseRedirect(self.address(obj))
        names = (*arrow.required, *arrow.optional) if arrow else ()
        form = self.bound(transition_form(obj, arrow), request)
        if request.method == "POST" and (form.is_valid() or not names):
            fields = {name: form.cleaned_data[name] for name in names if form.cleaned_data.get(name)}
            fire = self.transition_commands.get(transition) or partial(commands.fire, transition=transition)
            act = partial(fire, obj, actor=actor_of(request), now=timezone.now(), **fields)
            attempt(request, act, done=f"{obj}: {arrow.label.lower() if arrow else transition}, done.")
            return HttpResponseRedirect(self.address(obj))
        label = arrow.label if arrow else transition
        doc = arrow.doc if arrow else ""
        extra = {"intro": doc, "final": bool(arrow and arrow.final)}
        button = f"{label} {obj}" if extra["final"] else label
        return self.form_page(request, form, title=f"{label}: {obj}", button=button, record=obj, **extra)

    def bound(self, form: type[forms.Form], request: HttpRequest, **options: Any) -> forms.Form:
        """The form with what was sent; forms that need to know the person take `user` and `record`."""
        sent = request.POST if request.method == "POST" else None
        record = options.pop("record", None)
        if issubclass(form, PersonalForm):
            return form(sent, user=actor_of(request), record=record, **options)
        return form(sent, **options)

    def form_page(self, request: HttpRequest, form: forms.Form, *, record: Any = None, **context: Any) -> HttpResponse:
        """A form on a page of its own, about the record if there is one."""
        list_page = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        back = self.address(record) if record else list_page
        way = {"opts": self.opts, "original": record, "back": back}
        page = {**self.admin_site.each_context(request), **way, "form": form, **context}
        return render(request, "web/form.html", page, status=400 if form.errors else 200)


class PersonalForm(forms.Form):
    """A form whose choices depend on who asks and, for an edit, on the record."""

    def __init__(self, *args: Any, user: User, record: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.choose(user, record)

    def choose(self, user: User, record: Any) -> None:
        """Narrow the choices to what the person sees."""

    def refused(self, refused: Refused) -> bool:
        """Say why in the form's own words, and ask for what is missing; False where the command's words do."""
        return False


def transition_form(obj: Any, arrow: fsm.Transition | None) -> type[forms.Form]:
    """A form with a transition's own fields: a choice where the model has choices, else a text."""
    fields: dict[str, forms.Field] = {}
    required = arrow.required if arrow else ()
    for name in (*required, *(arrow.optional if arrow else ())):
        column = next((f for f in obj._meta.concrete_fields if f.name == name), None)
        if column is not None and column.choices:
            nothing = [] if name in required else [("", "not said")]
            fields[name] = forms.ChoiceField(choices=[*nothing, *column.choices], required=name in required)
        else:
            fields[name] = forms.CharField(widget=forms.Textarea(attrs={"rows": 4}), required=name in required)
    return type("TransitionForm", (forms.Form,), fields)
