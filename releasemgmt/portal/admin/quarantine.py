"""Quarantine: rows of imported files that make no sense, repaired or dismissed by administrators."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.utils import timezone
from django.utils.safestring import SafeString

from deployments.commands.quarantine import dismiss_row, repair_row
from deployments.models import QuarantinedRow
from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.integrations.history.rows import HEADER
from releasemgmt.portal.admin.forms import OwnProducts
from releasemgmt.web.admin import RecordAdmin, actor_of, attempt, pill

Source = QuarantinedRow.Source


class RepairForm(forms.Form):
    """What the row should have said."""

    row = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 16, "class": "rm-code", "spellcheck": "false"}), strip=True
    )


class DismissForm(forms.Form):
    """Why it is left out."""

    reason = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}))


@admin.register(QuarantinedRow)
class QuarantinedRowAdmin(RecordAdmin):
    """Quarantined rows."""

    record_template = "portal/quarantined_row.html"
    list_display = ("__str__", "product", "reason", "shown_outcome", "recorded_at")
    list_filter = ("outcome", "source", ("product", OwnProducts))
    search_fields = ("row", "reason")
    list_select_related = ("product",)
    ordering = ("-recorded_at", "-id")

    @admin.display(description="What became of it", ordering="outcome")
    def shown_outcome(self, row: QuarantinedRow) -> SafeString:
        return pill(row.outcome or "open", row.get_outcome_display() or "Waits")

    def visible(self, user: User) -> QuerySet[QuarantinedRow]:
        rows = QuarantinedRow.objects.visible_to(user)
        return rows.select_related("product__team", "recorded_by", "settled_by")

    def facts(self, obj: QuarantinedRow) -> list[tuple[str, Any]]:
        return [
            ("Product", obj.product),
            ("File", obj.get_source_display()),
            ("Line", obj.line),
            ("Read by", obj.recorded_by),
            ("Read at", obj.recorded_at),
        ]

    def panels(self, request: HttpRequest, obj: QuarantinedRow) -> dict[str, Any]:
        may = obj.is_waiting and roles.administrate(actor_of(request), obj.product)
        return {"shown_row": readable(obj), "may_settle": may}

    def extra_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        return [
            path("<int:pk>/change/repair/", wrap(self.repair_view), name=f"{name}_repair"),
            path("<int:pk>/change/dismiss/", wrap(self.dismiss_view), name=f"{name}_dismiss"),
        ]

    def repair_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Put the row right; it goes the way of the file's other rows."""
        row = self.settled_by(request, pk)
        form = self.bound(RepairForm, request, initial={"row": readable(row)})
        form.fields["row"].help_text = _hint(row)
        if request.method == "POST" and form.is_valid():
            act = partial(repair_row, row, text=form.cleaned_data["row"], actor=actor_of(request), now=timezone.now())
            if attempt(request, act, done="Repaired: what it says is recorded.", form=form):
                return HttpResponseRedirect(self.address(row))
        return self.form_page(request, form, title=f"Repair {row}", intro=row.reason, button="Repair", record=row)

    def dismiss_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Leave the row out for good."""
        row = self.settled_by(request, pk)
        form = self.bound(DismissForm, request)
        if request.method == "POST" and form.is_valid():
            reason = form.cleaned_data["reason"]
            act = partial(dismiss_row, row, reason=reason, actor=actor_of(request), now=timezone.now())
            if attempt(request, act, done="Dismissed: it stays out.", form=form):
                return HttpResponseRedirect(self.address(row))
        title = f"Dismiss {row}"
        return self.form_page(request, form, title=title, intro=row.reason, button="Dismiss", record=row, final=True)

    def settled_by(self, request: HttpRequest, pk: int) -> QuarantinedRow:
        """The row, if the person sees it; its forms are shown to whoever may send them."""
        row: QuarantinedRow = self.found(request, pk)
        if request.method != "POST" and not roles.administrate(actor_of(request), row.product):
            raise PermissionDenied
        return row


def readable(row: QuarantinedRow) -> str:
    """The row as it was read; an object of JSON with a line for each of its members, half an emoji as its escape."""
    try:
        value = json.loads(row.row)
    except (ValueError, RecursionError):
        return row.row
    if not isinstance(value, dict):
        return row.row
    return json.dumps(value, ensure_ascii=False, indent=2).encode(errors="backslashreplace").decode()


def _hint(row: QuarantinedRow) -> str:
    """What the form says of its field."""
    if row.source != Source.COMMITS:
        return "JSON; members that you leave alone are taken as they are."
    return f"Columns: {HEADER}. Parents are numbers of the file's rows that it named, or commit hashes."
