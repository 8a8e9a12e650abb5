"""The change schedule as a page: a month or a week of days, or a list; it needs no script."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import render
from django.utils import timezone

from deployments.queries import Entry, schedule
from deployments.queries.schedule import Place
from releasemgmt.catalog.models import Environment
from releasemgmt.portal import calendar
from releasemgmt.portal.calendar import DAY, WEEK
from releasemgmt.web.admin import actor_of
from releasemgmt.workflow.errors import Invalid

TITLE = "Schedule"
VIEWS = (("month", "Month"), ("week", "Week"), ("list", "List"))
#: How many days the list shows, and how many entries of them at once.
AHEAD, LISTED = timedelta(days=30), 100
#: So many entries a calendar holds; where there are more, it says so.
HELD = 600
#: So many of a day a month shows.
A_DAY = 4


class AskedForm(forms.Form):
    """Which view, of which environment, around which day."""

    view = forms.ChoiceField(choices=VIEWS, required=False)
    on = forms.DateField(required=False)
    environment = forms.ModelChoiceField(
        Environment.objects.all(), required=False, to_field_name="key", empty_label="Every environment"
    )


@dataclass(frozen=True)
class Asked:
    """What the reader asks to see."""

    view: str
    on: date
    environment: Environment | None

    def query(self, **other: Any) -> str:
        """The same by another view or day, as an address."""
        given = {"view": self.view, "on": self.on, "environment": self.environment and self.environment.key, **other}
        return urlencode({name: value for name, value in given.items() if value})

    @property
    def span(self) -> tuple[date, date]:
        """The days that are shown."""
        if self.view == "month":
            return calendar.weeks_of(self.on)
        first = calendar.monday(self.on) if self.view == "week" else self.on
        return first, first + (WEEK if self.view == "week" else AHEAD)

    @property
    def before(self) -> date:
        """A day of what comes before."""
        return calendar.month_of(self.on)[0] - DAY if self.view == "month" else self.span[0] - (self._length)

    @property
    def after(self) -> date:
        """A day of what comes next."""
        return calendar.month_of(self.on)[1] if self.view == "month" else self.span[1]

    @property
    def _length(self) -> timedelta:
        return WEEK if self.view == "week" else AHEAD


def schedule_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """What is scheduled, as the reader asks for it; what makes no sense is shown as the month of today."""
    form = AskedForm(request.GET)
    form.is_valid()
    given, today = form.cleaned_data, timezone.localdate()
    on = min(max(given.get("on") or today, calendar.FIRST), calendar.LAST)
    asked = Asked(given.get("view") or "month", on, given.get("environment"))
    zone = timezone.get_current_timezone()
    begin, end = asked.span
    since, until = calendar.midnight(begin, zone), calendar.midnight(end, zone)
    try:
        beyond = Place.read(request.GET["after"]) if request.GET.get("after") else None
    except Invalid as refused:
        return HttpResponseBadRequest(str(refused.detail))
    size = LISTED if asked.view == "list" else HELD
    found = schedule(actor_of(request), begin=since, end=until, size=size, environment=asked.environment, beyond=beyond)
    shown: dict[str, Any] = {
        "asked": asked,
        "begin": begin,
        "last": end - DAY,
        "form": form,
        "more": found.more,
        "is_empty": not found.entries,
        "today": today,
        "a_day": A_DAY,
        "ways": _ways(request, asked, today),
    }
    if asked.view == "list":
        shown["groups"] = _by_day(found.entries, begin)
        shown["next"] = asked.query(after=found.entries[-1].place) if found.more else ""
    else:
        shown["days"] = calendar.days(begin, end, found.entries, zone=zone, today=today)
        if asked.view == "month":
            for each in shown["days"]:
                each.is_aside = each.day.month != asked.on.month
    return render(request, "portal/schedule.html", {**context, **shown, "title": TITLE})


def _ways(request: HttpRequest, asked: Asked, today: date) -> dict[str, Any]:
    """The addresses of the views, and of what comes before, now and next."""
    views = [(name, label, asked.query(view=name)) for name, label in VIEWS]
    days = {"before": asked.before, "now": today, "after": asked.after}
    return {"views": views, **{name: asked.query(on=day) for name, day in days.items()}}


def _by_day(entries: list[Entry], begin: date) -> list[tuple[date, list[Entry]]]:
    """The entries of each day on which they begin; what is on already stands on the first day."""

    def day(entry: Entry) -> date:
        return max(timezone.localtime(entry.starts_at).date(), begin)

    return [(on, list(each)) for on, each in groupby(entries, key=day)]
