"""What forms of several records share: fields for texts and instants, choices to tick, and consent to void votes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from releasemgmt.accounts import queries, roles
from releasemgmt.accounts.models import Team, User
from releasemgmt.catalog.models import Product
from releasemgmt.web.admin import PersonalForm, actor_of
from releasemgmt.workflow.errors import Conflict, Refused
from releasemgmt.workflow.models import instant_is_near


def text(rows: int = 4, **options: Any) -> forms.CharField:
    """A field for some paragraphs."""
    return forms.CharField(widget=forms.Textarea(attrs={"rows": rows}), required=False, **options)


def instant(**options: Any) -> forms.DateTimeField:
    """A day and a time in the person's own zone."""
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(widget=widget, validators=[instant_is_near], **options)


def day() -> forms.DateField:
    """A day, not needed."""
    return forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))


def span(minutes: int) -> str:
    """So many minutes, in the largest unit that fits."""
    for unit, length in (("day", 24 * 60), ("hour", 60)):
        if minutes % length == 0:
            return f"{minutes // length} {unit}{'s' if minutes > length else ''}"
    return f"{minutes} minutes"


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


def visible_teams(user: User) -> QuerySet[Team]:
    """The teams that a person can choose."""
    return roles.visible_to(user, Team.objects.order_by("key"), team="pk")


def colleagues(user: User) -> QuerySet[User]:
    """The people with a role among those whom a person can name."""
    people = queries.colleagues(user).filter(kind=User.Kind.HUMAN, role_assignments__isnull=False)
    return people.distinct().order_by("first_name", "username")


class OwnProducts(admin.RelatedFieldListFilter):
    """Products to filter by: those that the person sees."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(str(product.pk), str(product)) for product in visible_products(actor_of(request))]


class OwnTeams(admin.RelatedFieldListFilter):
    """Teams to filter by: those that the person sees."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(str(team.pk), str(team)) for team in visible_teams(actor_of(request))]


class VoidingForm(PersonalForm):
    """An edit that may void votes: it is said when it would, and asked whether that is meant."""

    void_signoffs = forms.BooleanField(required=False, widget=forms.HiddenInput, label="Void these votes")

    def refused(self, refused: Refused) -> bool:
        if not isinstance(refused, Conflict) or refused.code != "voids_signoffs":
            return False
        votes: Any = refused.facts["votes"]
        people = ", ".join(sorted({vote["voter"] for vote in votes}))
        records = ", ".join(sorted({vote["subject"] for vote in votes}))
        consent = self.fields.pop("void_signoffs")
        consent.widget = forms.CheckboxInput()
        self.fields["void_signoffs"] = consent  # shown, and last
        told = f"This would void what {people} signed of {records}; they would be asked again. Tick the box to do it."
        self.add_error(None, told)
        return True
