"""Who may call at all, and which query parameters a list knows."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, cast

import django_filters
from django.db.models import QuerySet
from rest_framework.exceptions import NotAuthenticated, ValidationError
from rest_framework.filters import SearchFilter
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from releasemgmt.web.parsing import check_text
from releasemgmt.workflow.errors import NotPermitted

if TYPE_CHECKING:
    from releasemgmt.accounts.models import User


class ScopedAccess(BasePermission):
    """Signed in; to change something a token needs the scope that the view declares."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not getattr(request.user, "pk", None):
            raise NotAuthenticated("Show a token, or sign in.")
        if request.method in SAFE_METHODS:
            return True
        if not any(cast("User", request.user).has_scope(scope) for scope in view.scopes):
            raise NotPermitted(f"This token lacks the scope {' or '.join(view.scopes)}.")
        return True


def check_query(request: Request, known: Collection[str]) -> None:
    """Refuse a query parameter that means nothing here, and texts that no database takes."""
    for name, values in request.query_params.lists():
        if name not in known:
            raise ValidationError({name: ["There is no such filter."]}, code="unknown_filter")
        for value in values:
            check_text(value)


class StrictFilterBackend:
    """Filters, `search` and `ordering` as the view declares them; any other query parameter is an error."""

    own = {"cursor", "page_size", "ordering", "search"}

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        filters: type[django_filters.FilterSet] | None = getattr(view, "filterset_class", None)
        known = set(filters.base_filters) if filters else set()
        check_query(request, known | self.own | set(getattr(view, "query_parameters", ())))
        if filters:
            bound = filters(request.query_params, queryset=queryset, request=request)
            if not bound.is_valid():
                raise ValidationError(bound.errors)
            queryset = bound.qs
        return SearchFilter().filter_queryset(request, queryset, view)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """The same, for the API's description."""
        filters: type[django_filters.FilterSet] | None = getattr(view, "filterset_class", None)
        found = [_parameter(name, one) for name, one in (filters.base_filters.items() if filters else ())]
        if getattr(view, "search_fields", None):
            found.append(_parameter("search"))
        if orderings := getattr(view, "orderings", None):
            enum = [sign + name for name in orderings for sign in ("", "-")]
            found.append({**_parameter("ordering"), "schema": {"type": "string", "enum": enum}})
        return found


def _parameter(name: str, one: Any = None) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "boolean" if isinstance(one, django_filters.BooleanFilter) else "string"}
    choices = (one.extra.get("choices") if one is not None else None) or ()
    if choices:
        schema["enum"] = [value for value, _label in choices]
    many = isinstance(one, django_filters.MultipleChoiceFilter)
    return {"name": name, "in": "query", "schema": {"type": "array", "items": schema} if many else schema}
