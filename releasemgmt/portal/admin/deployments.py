"""Deployments as they happened, and what runs where."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from deployments.models import Deployment
from deployments.queries import what_is_where
from releasemgmt.accounts.models import User
from releasemgmt.portal.admin.forms import OwnProducts
from releasemgmt.web.admin import RecordAdmin, actor_of, pill


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
        return rows.select_related("product", "release__product", "environment", "plan", "remediates", "reported_by")

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
        return {"builds": obj.builds.select_related("component").order_by("component__key")}

    def get_urls(self) -> list[Any]:
        matrix = self.admin_site.admin_view(self.matrix_view)
        return [path("matrix/", matrix, name="deployments_deployment_matrix"), *super().get_urls()]

    def matrix_view(self, request: HttpRequest) -> HttpResponse:
        """Components against environments: what runs in each, and since when."""
        rows: dict[tuple[str, str], dict[int, Any]] = {}
        environments: dict[int, Any] = {}
        for each in what_is_where(user=actor_of(request)):
            environments[each.environment_id] = each.environment
            row = rows.setdefault((str(each.deployment.product), each.component.key), {})
            row[each.environment_id] = each
        ordered = sorted(environments.values(), key=lambda environment: (environment.rank, environment.key))
        table = [
            {"product": product, "component": component, "cells": [row.get(one.pk) for one in ordered]}
            for (product, component), row in sorted(rows.items())
        ]
        context = {**self.admin_site.each_context(request), "title": "What runs where"}
        return render(request, "portal/matrix.html", {**context, "environments": ordered, "rows": table})
