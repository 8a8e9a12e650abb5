"""The overview of the figures, and a page for each: its definition, its charts and its very rows."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django import forms
from django.core.paginator import Paginator
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.kpis import queries
from releasemgmt.kpis.definitions import BUCKETS, MEANINGS, VERSION, begin_of
from releasemgmt.kpis.queries import Record, Scope
from releasemgmt.portal.figures import charts
from releasemgmt.portal.figures.charts import Shown
from releasemgmt.portal.figures.words import LEFT_OUT, NOTHING, SECONDS, SHARE, amount, told
from releasemgmt.web.admin import actor_of
from releasemgmt.workflow.errors import Invalid

TITLE = "Figures"
OWN = "own"
PERIODS = (("30", "Last 30 days"), ("90", "Last 90 days"), ("365", "Last year"), (OWN, "From … to …"))
#: Where nothing is said: up to so many days are shown by day, up to so many by week, more by month.
BY_DAY, BY_WEEK = 45, 200
ON_PAGE = 50
DATE = forms.DateInput(attrs={"type": "date"})
OUTSIDE = "Name a day between the years 1970 and 2199."
#: In every zone they are between the instants that can be asked for.
KNOWN_DAYS = [MinValueValidator(date(1970, 1, 2), OUTSIDE), MaxValueValidator(date(2199, 12, 30), OUTSIDE)]

GROUPS = (
    (
        "Delivery",
        (
            *("change_lead_time", "release_cycle_time", "deployment_frequency"),
            *("commits_per_active_day", "commit_volume"),
        ),
    ),
    (
        "Stability",
        (
            *("change_fail_rate", "failed_deployment_recovery_time", "deployment_rework_rate"),
            *("mttr_defects", "time_to_restore", "downtimes"),
        ),
    ),
    (
        "The way to production",
        (
            *("time_in_state", "approval_latency", "first_try_sign_offs", "releases_reworked"),
            *("emergency_changes", "overrides_used", "commits_without_work_item"),
        ),
    ),
)
#: The admin's pages of what rows are made of; a commit has none.
PAGES = {
    "release": "releases_release",
    "deployment": "deployments_deployment",
    "incident": "deployments_incident",
    "defect": "releases_knowndefect",
    "change": "approvals_changerequest",
    "round": "approvals_approvalround",
}

#: Of these figures the value of a row is how long it took.
LASTING = {name for name, meaning in MEANINGS.items() if meaning.unit == SECONDS} | {"downtimes"}


class AskedForm(forms.Form):
    """Which product's figures, of which time, by day, week or month, as known when; by itself the last thirty days."""

    product = forms.ModelChoiceField(
        Product.objects.none(), required=False, to_field_name="key", empty_label="All products"
    )
    period = forms.ChoiceField(choices=PERIODS, required=False)
    begin = forms.DateField(label="From", required=False, widget=DATE, validators=KNOWN_DAYS)
    end = forms.DateField(label="To", required=False, widget=DATE, validators=KNOWN_DAYS)
    bucket = forms.ChoiceField(
        label="By", choices=[("", "Automatic"), *((each, each.capitalize()) for each in BUCKETS)], required=False
    )
    as_of = forms.DateField(label="As known on", required=False, widget=DATE, validators=KNOWN_DAYS)

    def __init__(self, *args: Any, user: User, **options: Any) -> None:
        super().__init__(*args, **options)
        products: Any = self.fields["product"]
        products.queryset = roles.visible_to(user, Product.objects.order_by("name"), team="team")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("period") == OWN and "begin" not in self.errors and not given.get("begin"):
            self.add_error("begin", "Name the first day.")
        return given

    def days(self, today: date) -> tuple[date, date]:
        """The first day and the last one."""
        given = self.cleaned_data
        if given.get("period") == OWN:
            return given["begin"], given.get("end") or today
        return today - timedelta(days=int(given.get("period") or PERIODS[0][0]) - 1), today


class Asked(NamedTuple):
    """What the reader asks for, with its form; `scope` is None where it makes no sense, and the form says why."""

    form: AskedForm
    scope: Scope | None
    query: str


def _asked(request: HttpRequest) -> Asked:
    """What is asked for; a product that the reader does not see is not there."""
    user, now = actor_of(request), timezone.now()
    form = AskedForm({"period": PERIODS[0][0], **request.GET.dict()}, user=user)
    form.is_valid()
    if "product" in form.errors:
        raise Http404
    query = urlencode({name: form.data[name] for name in form.fields if form.data.get(name)})
    if form.errors:
        return Asked(form, None, query)
    try:
        return Asked(form, _scope(form, user, now), query)
    except Invalid as refused:
        for said in refused.errors.values():
            form.add_error(None, said)
        return Asked(form, None, query)


def _scope(form: AskedForm, user: User, now: datetime) -> Scope:
    """From the midnight of the first day to that of the day after the last one, at most until now; as it was known at
    the end of a day.
    """
    product = form.cleaned_data["product"]
    zone = ZoneInfo(product.time_zone if product else "UTC")
    first, last = form.days(now.astimezone(zone).date())
    begin, end = begin_of(first, zone), begin_of(last + timedelta(days=1), zone)
    if begin < now:
        end = min(end, now)
    bucket = form.cleaned_data["bucket"] or _bucket((end - begin).days)
    known_on = form.cleaned_data["as_of"]
    return queries.asked(
        user,
        begin=begin,
        end=end,
        now=now,
        product=product,
        bucket=bucket,
        as_of=known_on and begin_of(known_on + timedelta(days=1), zone),
        time_zone=zone.key,
    )


def _bucket(days: int) -> str:
    return "day" if days <= BY_DAY else "week" if days <= BY_WEEK else "month"


def _shown(scope: Scope) -> Shown:
    (_span, whole), *parts = queries.answer(scope)
    return Shown(scope, whole, parts)


def _context(asked: Asked) -> dict[str, Any]:
    """What both pages say of what is asked for."""
    scope = asked.scope
    found: dict[str, Any] = {"form": asked.form, "scope": scope, "query": asked.query}
    found["zone"] = scope.zone if scope else None
    if scope:
        found["last"] = scope.span.end - timedelta(microseconds=1)
        found["as_csv"] = _as_csv(scope)
    return found


def _as_csv(scope: Scope) -> str:
    """The same question to the API, as a table."""
    asked = {"from": scope.span.begin.isoformat(), "to": scope.span.end.isoformat(), "time_zone": scope.zone.key}
    asked |= {"product": scope.product.key} if scope.product else {}
    asked |= {"as_of": scope.as_of.isoformat()} if scope.looks_back else {}
    return urlencode({**asked, "format": "csv"})


def overview_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """All figures of a product, or of all that the reader sees, with the charts that say most."""
    asked = _asked(request)
    page = {**context, **_context(asked), "title": TITLE}
    if asked.scope is None:
        return render(request, "portal/figures.html", page)
    shown = _shown(asked.scope)
    groups = [
        (title, [told(name, shown.whole[name], bucket=asked.scope.bucket) for name in names]) for title, names in GROUPS
    ]
    drawn = [chart(shown) for chart in charts.OVERVIEW]
    page |= {
        "groups": groups,
        "charts": [chart for chart in drawn if not chart.is_empty],
        "empty": [chart.title for chart in drawn if chart.is_empty],
    }
    return render(request, "portal/figures.html", page)


def figure_page(request: HttpRequest, figure: str, context: dict[str, Any]) -> HttpResponse:
    """One figure: what it means, how it went, and the rows that it is made of, page by page."""
    if figure not in MEANINGS:
        raise Http404
    asked, meaning = _asked(request), MEANINGS[figure]
    page = {**context, **_context(asked), "title": meaning.label, "meaning": meaning, "name": figure}
    page["version"] = VERSION
    if asked.scope is None:
        return render(request, "portal/figure.html", page)
    shown = _shown(asked.scope)
    pages = Paginator(shown.rows(figure)[::-1], ON_PAGE)
    here = pages.get_page(request.GET.get("page"))
    page |= {
        "told": told(figure, shown.whole[figure], bucket=asked.scope.bucket),
        "charts": [chart for chart in charts.of_figure(shown, figure) if not chart.is_empty],
        "page": here,
        "lines": [_line(record, figure) for record in queries.described(here)],
        "value": _heading(figure) if any(row.value is not None for row in here) else "",
    }
    return render(request, "portal/figure.html", page)


class Line(NamedTuple):
    """A row of a figure, as its page shows it."""

    at: datetime
    kind: str
    number: str
    title: str
    product: str
    value: str
    left_out: str
    address: str


def _heading(figure: str) -> str:
    """What the value of a row says."""
    unit = MEANINGS[figure].unit
    return "Took" if figure in LASTING else "Counts as" if unit == SHARE else "Value"


def _line(record: Record, figure: str) -> Line:
    row = record.row
    page = PAGES.get(row.kind)
    return Line(
        at=row.at,
        kind=row.kind,
        number=record.number[:12] if row.kind == "commit" else record.number,
        title=record.title,
        product=record.product,
        value=NOTHING if row.value is None else amount(row.value, SECONDS if figure in LASTING else ""),
        left_out=LEFT_OUT.get(row.left_out, row.left_out),
        address=reverse(f"admin:{page}_change", args=[row.pk]) if page else "",
    )
