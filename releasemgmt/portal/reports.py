"""The population report as a page to print, and as a table to download."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.portal import population
from releasemgmt.portal.population import Period
from releasemgmt.web.admin import actor_of
from releasemgmt.workflow.errors import Invalid

MONTH = timedelta(days=30)
ON_PAPER = 200


class PeriodForm(forms.Form):
    """From a day to a day, both in it, in the reader's time zone."""

    begin = forms.DateField(label="From", widget=forms.DateInput(attrs={"type": "date"}))
    end = forms.DateField(label="To", widget=forms.DateInput(attrs={"type": "date"}))
    product = forms.ModelChoiceField(Product.objects.none(), required=False)

    def __init__(self, *args: Any, user: User, **options: Any) -> None:
        super().__init__(*args, **options)
        products: Any = self.fields["product"]
        products.queryset = roles.visible_to(user, Product.objects.all(), team="team")

    def clean(self) -> dict[str, Any]:
        """The days in their order."""
        given = dict(self.cleaned_data)
        if given.get("begin") and given.get("end") and given["end"] < given["begin"]:
            raise forms.ValidationError("It ends before it begins.")
        return given

    def period(self) -> Period:
        """The instants at which it begins and ends."""
        asked = self.cleaned_data
        return Period(_midnight(asked["begin"]), _midnight(asked["end"] + timedelta(days=1)), asked["product"])


def population_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The report of a period, by default of the last thirty days, page by page."""
    form = _form(request)
    if not form.is_valid():
        return render(request, "portal/population.html", {**context, "form": form, "title": TITLE})
    period = form.period()
    try:
        found, following = population.page(actor_of(request), period, after=request.GET.get("after", ""), size=ON_PAPER)
    except Invalid as refused:
        return HttpResponseBadRequest(str(refused.detail))
    shown = {"form": form, "lines": found, "next": following, "period": period, "last": form.cleaned_data["end"]}
    return render(request, "portal/population.html", {**context, **shown, "query": _query(form), "title": TITLE})


def population_table(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """The whole of it for a spreadsheet, read page by page while it is sent."""
    form = _form(request)
    if not form.is_valid():
        return HttpResponseBadRequest("Say from which day to which.")
    found = population.lines(actor_of(request), form.period())
    name = {"Content-Disposition": 'attachment; filename="population.csv"'}
    return StreamingHttpResponse(population.as_csv(found), content_type="text/csv; charset=utf-8", headers=name)


TITLE = "Population report"


def _form(request: HttpRequest) -> PeriodForm:
    today = timezone.localdate()
    given = {"begin": str(today - MONTH), "end": str(today)} | request.GET.dict()
    return PeriodForm(given, user=actor_of(request))


def _query(form: PeriodForm) -> str:
    return urlencode({name: form.data.get(name, "") for name in form.fields})


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, datetime.min.time()))
