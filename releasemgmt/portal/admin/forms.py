"""What forms of several records share: fields for texts and instants, choices to tick, and consent to void votes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.db.models import QuerySet

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Product
from releasemgmt.web.admin import PersonalForm
from releasemgmt.workflow.errors import Conflict, Refused


def text(rows: int = 4, **options: Any) -> forms.CharField:
    """A field for some paragraphs."""
    return forms.CharField(widget=forms.Textarea(attrs={"rows": rows}), required=False, **options)


def instant(**options: Any) -> forms.DateTimeField:
    """A day and a time in the person's own zone."""
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(widget=widget, **options)


def day() -> forms.DateField:
    """A day, not needed."""
    return forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))


def several(rows: QuerySet[Any], **options: Any) -> forms.ModelMultipleChoiceField[Any]:
    """Rows to tick."""
    return forms.ModelMultipleChoiceField(rows, required=False, widget=forms.CheckboxSelectMultiple, **options)


def offer(form: forms.Form, name: str, rows: Iterable[Any], label: Callable[[Any], str] | None = None) -> None:
    """Let a field offer these rows, called so."""
    field: Any = form.fields[name]
    field.queryset = rows
    if label is not None:
        field.label_from_instance = label


def visible_products(user: User) -> QuerySet[Product]:
    """The products that a person can choose."""
    return roles.visible_to(user, Product.objects.all(), team="team")


class VoidingForm(PersonalForm):
    """An edit that may void votes: it is said when it would, and asked whether that is meant."""

    void_signoffs = forms.BooleanField(required=False, widget=forms.HiddenInput, label="Void these votes")

    def refused(self, refused: Refused) -> bool:
        if not isinstance(refused, Conflict) or refused.code != "voids_signoffs":
            return False
        votes: Any = refused.facts["votes"]
        people = ", ".join(sorted({vote["voter"] for vote in votes}))
        consent = self.fields.pop("void_signoffs")
        consent.widget = forms.CheckboxInput()
        self.fields["void_signoffs"] = consent  # shown, and last
        self.add_error(None, f"This would void what {people} signed; they would be asked again. Tick the box to do it.")
        return True
