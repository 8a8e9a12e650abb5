"""Windows and freezes: when they are on, made with a preview of their times."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.safestring import SafeString

from deployments import commands
from deployments.models import Window
from deployments.models.window import LONGEST_MINUTES
from deployments.queries import times_ahead
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Environment, Product, Tier
from releasemgmt.integrations import recurrence
from releasemgmt.portal import calendar
from releasemgmt.portal.admin.forms import OwnProducts, colleagues, day, offer, span, text, visible_products
from releasemgmt.web.admin import PersonalForm, RecordAdmin, actor_of, attempt, pill
from releasemgmt.workflow.models import Aggregate

SHOWN = 8
#: How many months its calendar shows.
MONTHS = 3


class WindowEditForm(PersonalForm):
    """When a window is on, and what is said of it."""

    name = forms.CharField(max_length=100)
    reason = text(3, help_text="What people read who have to wait.")
    first_on = day()
    start_time = forms.TimeField(
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"), label="Begins at", initial="22:00"
    )
    duration_minutes = forms.IntegerField(
        min_value=1, max_value=LONGEST_MINUTES, initial=8 * 60, label="Minutes that it lasts"
    )
    time_zone = forms.CharField(max_length=64, help_text="Of the clock on the wall, for instance Europe/Berlin.")
    rule = forms.CharField(
        max_length=200,
        required=False,
        label="Comes again",
        help_text="As in calendars: FREQ=WEEKLY;BYDAY=TU,TH is every Tuesday and Thursday, FREQ=MONTHLY;BYDAY=-1SA "
        "the last Saturday of each month; with UNTIL=20271231 until then. Empty: once.",
    )
    owner = forms.ModelChoiceField(User.objects.none(), help_text="Who answers for it.")

    def choose(self, user: User, record: Any) -> None:
        self.fields["first_on"].label = "First on"
        self.fields["first_on"].required = True
        self.fields["reason"].required = True
        self.initial.setdefault("time_zone", user.time_zone)
        self.initial.setdefault("owner", user.pk)
        offer(self, "owner", colleagues(user) | User.objects.filter(pk=user.pk).distinct())


class WindowForm(WindowEditForm):
    """A new window."""

    kind = forms.ChoiceField(choices=Window.Kind.choices)
    product = forms.ModelChoiceField(Product.objects.none(), required=False, empty_label="Every product")
    environment = forms.ModelChoiceField(Environment.objects.all(), required=False, empty_label="Every environment")
    tier = forms.ChoiceField(choices=[("", "Any"), *Tier.choices], required=False, label="Or each of a tier")
    field_order = ("kind", "name", "reason", "product", "environment", "tier")

    def choose(self, user: User, record: Any) -> None:
        super().choose(user, record)
        offer(self, "product", visible_products(user))
        if not roles.run_windows.somewhere(user):  # others ask for freezes, which a chair approves
            self.fields["kind"].choices = [(Window.Kind.DENY.value, Window.Kind.DENY.label)]  # type: ignore[attr-defined]


@admin.register(Window)
class WindowAdmin(RecordAdmin):
    """Windows and freezes."""

    record_template = "portal/window.html"
    pipeline = ("requested", "in_force", "ended")
    list_display = ("number", "name", "shown_kind", "scope", "shown_times", "shown_state")
    list_filter = ("state", "kind", "environment", ("product", OwnProducts))
    search_fields = ("name", "reason", "product__key")
    list_select_related = ("product", "environment")
    ordering = ("-created_at", "-id")
    add_form = WindowForm
    edit_form = WindowEditForm
    transition_commands = commands.WINDOW_TRANSITIONS

    @admin.display(description="Kind", ordering="kind")
    def shown_kind(self, window: Window) -> SafeString:
        return pill(window.kind, window.get_kind_display())

    @admin.display(description="When")
    def shown_times(self, window: Window) -> str:
        return _when(window)

    def visible(self, user: User) -> QuerySet[Window]:
        rows = Window.objects.visible_to(user)
        return rows.select_related("product__team", "environment", "owner", "created_by")

    def may_add(self, user: User) -> bool:
        return roles.run_windows.somewhere(user) or roles.request_windows.somewhere(user)

    def may_edit(self, user: User, obj: Window) -> bool:
        is_live = obj.state in (Window.State.REQUESTED, Window.State.IN_FORCE)
        return is_live and roles.run_windows(user, obj)

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        return commands.create_window(actor=actor, now=timezone.now(), **fields)

    def edit(self, obj: Window, fields: dict[str, Any], *, actor: User) -> Any:
        return commands.edit_window(obj, changes=fields, actor=actor, now=timezone.now())

    def facts(self, obj: Window) -> list[tuple[str, Any]]:
        return [
            ("Kind", obj.get_kind_display()),
            ("Counts for", obj.scope),
            ("When", _when(obj)),
            ("Lasts", span(obj.duration_minutes)),
            ("Time zone", obj.time_zone),
            ("Owner", obj.owner),
            ("Asked for by", obj.created_by),
        ]

    def panels(self, request: HttpRequest, obj: Window) -> dict[str, Any]:
        now = timezone.now()
        ahead = [] if obj.state in ("declined", "withdrawn", "ended") else times_ahead(obj, now, SHOWN)
        zone = ZoneInfo(obj.time_zone)
        today = now.astimezone(zone).date()
        past = obj.occurrences.filter(ends_at__lte=now).order_by("-starts_at")[:SHOWN]
        return {
            "months": calendar.months(self.times(obj, today, zone), zone=zone, today=today, most=MONTHS),
            "ahead": _told(ahead, obj.time_zone, now),
            "past": _told([(each.starts_at, each.ends_at) for each in past], obj.time_zone, now),
            "overrides": obj.overrides.visible_to(actor_of(request))
            .select_related("release__product", "environment", "requested_by")
            .order_by("-requested_at")[:SHOWN],
            "now": now,
        }

    def times(self, window: Window, today: date, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
        """When it is on in the months that its page shows: as laid out, or by its rule where it is only asked for."""
        begin = calendar.midnight(today.replace(day=1), zone)
        end = begin + MONTHS * timedelta(days=31)
        if window.state == Window.State.REQUESTED:
            return window.times(begin, end)
        rows = window.occurrences.overlapping(begin, end, longest=window.duration)
        return [(each.starts_at, each.ends_at) for each in rows]

    def form_page(self, request: HttpRequest, form: forms.Form, *, record: Any = None, **context: Any) -> HttpResponse:
        """Its own forms with a button that shows the next times, and with what that found."""
        if not isinstance(form, WindowEditForm):
            return super().form_page(request, form, record=record, **context)
        found = self.preview(request, form, record) if "preview" in request.POST else None
        way = {"opts": self.opts, "original": record, "back": self.address(record) if record else "../"}
        page = {**self.admin_site.each_context(request), **way, "form": form, "times": found, **context}
        return render(request, "portal/window_form.html", page, status=400 if form.errors else 200)

    def preview(self, request: HttpRequest, form: WindowEditForm, record: Window | None) -> Any:
        """The next times of what the form says; what is wrong with it stands at its fields."""
        if not form.is_valid():
            return None
        window = self.found(request, record.pk) if record else Window(created_by=actor_of(request))
        for name, value in form.cleaned_data.items():
            setattr(window, name, value)
        now = timezone.now()
        times = attempt(request, lambda: commands.preview_window(window, now=now, most=SHOWN), done="", form=form)
        return _told(times, window.time_zone, now) if times else None

    def add_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "preview" in request.POST and self.may_add(actor_of(request)):
            form = self.bound(WindowForm, request)
            return self.form_page(request, form, title=f"New {self.opts.verbose_name}", button="Create")
        return super().add_view(request, *args, **kwargs)

    def edit_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        obj = self.found(request, pk)
        if "preview" in request.POST and self.may_edit(actor_of(request), obj):
            form = self.bound(WindowEditForm, request, record=obj)
            return self.form_page(request, form, title=f"Edit {obj}", button="Save", record=obj)
        return super().edit_view(request, pk)


def _when(window: Window) -> str:
    """On which days it begins and at what hour, in words."""
    days = recurrence.words(window.rule) if window.rule else f"once, on {window.first_on:%-d %B %Y}"
    return f"{days}, {window.start_time:%H:%M}"


def _told(times: list[tuple[datetime, datetime]], zone: str, now: datetime) -> list[dict[str, Any]]:
    """Each time as the clock at its place shows it; the instants themselves are for the column of UTC."""
    return [
        {
            "begins": begin.astimezone(ZoneInfo(zone)),
            "ends": end.astimezone(ZoneInfo(zone)),
            "begins_at": begin,
            "ends_at": end,
            "is_on": begin <= now < end,
        }
        for begin, end in times
    ]
