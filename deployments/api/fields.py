"""Fields and filters that name deployments' surroundings."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from deployments.models import Deployment
from releasemgmt.releases.queries import get_release
from releasemgmt.web.api import StrictSerializer
from releasemgmt.web.parsing import check_text


class DeploymentField(serializers.IntegerField):
    """A deployment by its id; one of another team does not exist."""

    def to_internal_value(self, data: Any) -> Any:
        pk = super().to_internal_value(data)
        found = Deployment.objects.visible_to(self.context["request"].user).filter(pk=pk).first()
        if found is None:
            raise ValidationError(f"There is no deployment {pk}.", code="unknown")
        return found


class ReleaseFilter(django_filters.CharFilter):
    """Rows of the release of that number or alias; of one that does not exist there are none."""

    def filter(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        if not value:
            return rows
        found = get_release(value, self.parent.request.user)
        return rows.filter(release=found) if found else rows.none()


class Asked(StrictSerializer):
    """What a GET asks for by query parameters; unknown ones are errors."""

    @classmethod
    def of(cls, view: Any) -> dict[str, Any]:
        given = view.request.query_params
        for value in given.values():
            check_text(value)
        bound = cls(data=given.dict(), context=view.get_serializer_context())
        bound.is_valid(raise_exception=True)
        return dict(bound.validated_data)
