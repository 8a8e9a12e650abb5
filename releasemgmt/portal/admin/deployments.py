"""Deployments as they happened, and what runs where."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from deployments.models import Deployment, Incident
from deployments.queries import what_is_where
from releasemgmt.accounts.models import User
from releasemgmt.portal.admin.forms import OwnProducts, instant
from releasemgmt.web.admin import RecordAdmin, actor_of, pill


class InstantForm(forms.Form):
    """A past instant, in the reader's time zone; without one it is now."""

    at = instant(required=False, label="As of")


@admin.register(Deployment)
class DeploymentAdmin(RecordAdmin):
    """Deployments: a list, one to read, and the matrix."""

    record_template = "portal/deployment.html"
    list_display = ("started_at", "product", "release", "environment", "kind", "shown_status", "origin")
    list_filter = ("status", "environment", "kind", "origin", "unauthorised", ("product", OwnProducts))
    search_fields = ("release__version", "product__key", "external_id")
    list_select_related = ("product", "release", "environment")
    ordering = ("-started_at", "-id")

    @admin.display(description="Status", ordering="status")
    def shown_status(self, deployment: Deployment) -> SafeString:
        unauthorised = pill("failed", "Unauthorised") if deployment.unauthorised else ""
        return format_html("{} {}", pill(deployment.status, deployment.get_status_display()), unauthorised)

    def visible(self, user: User) -> QuerySet[Deployment]:
        rows = Deployment.objects.visible_to(user)
        return rows.select_related(
            "product", "release__product", "environment", "plan", "remediates", "reported_by", "change"
        )

    def facts(self, obj: Deployment) -> list[tuple[str, Any]]:
        return [
            ("Product", obj.product),
            ("Environment", obj.environment),
            ("Kind", obj.get_kind_display()),
            ("Origin", obj.get_origin_display()),
            ("Started", obj.started_at),
            ("Finished", obj.finished_at),
            ("Reported by", obj.reported_by),
            ("Recorded", obj.recorded_at),
            ("External id", obj.external_id),
        ]

    def panels(self, request: HttpRequest, obj: Deployment) -> dict[str, Any]:
        harm = Incident.objects.standing().filter(caused_by=obj).order_by("-started_at", "-pk")
        return {
            "builds": obj.builds.select_related("component").order_by("component__key"),
            "unregistered": [each.digest for each in obj.unregistered.order_by("digest")],
            "incidents": harm,
            "remediations": obj.remediations.select_related("release", "product", "environment").order_by("pk"),
        }

    def get_urls(self) -> list[Any]:
        matrix = self.admin_site.admin_view(self.matrix_view)
        return [path("matrix/", matrix, name="deployments_deployment_matrix"), *super().get_urls()]

    def matrix_view(self, request: HttpRequest) -> HttpResponse:
        """Components against environments: what runs in each, since when, and whether that is what was seen."""
        form = InstantForm(request.GET or None)
        at = form.cleaned_data["at"] if form.is_valid() else None
        places = [] if form.errors else what_is_where(at, user=actor_of(request))
        environments = list({place.environment: None for place in places})
        rows: dict[Any, dict[Any, Any]] = {}
        for place in sorted(places, key=lambda place: (str(place.product), place.component.key)):
            rows.setdefault(place.component, {})[place.environment] = place
        table = [
            {"component": component, "cells": [(one, row.get(one)) for one in environments]}
            for component, row in rows.items()
        ]
        told = {
            "differing": [place for place in places if place.differs],
            "doubtful": [place for place in places if place.unregistered],
        }
        shown = {"environments": environments, "rows": table, "form": form, "at": at, **told}
        title = {"title": "What runs where", "now": timezone.now()}
        return render(request, "portal/matrix.html", {**self.admin_site.each_context(request), **title, **shown})
