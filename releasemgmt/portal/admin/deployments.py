"""Deployments as they happened, and what runs where."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from deployments.models import Deployment
from deployments.queries import what_is_where
from releasemgmt.web.admin import ReadOnlyAdmin, actor_of


@admin.register(Deployment)
class DeploymentAdmin(ReadOnlyAdmin):
    """Deployments: a list, one to read, and the matrix."""

    list_display = ("started_at", "product", "release", "environment", "kind", "status", "origin", "unauthorised")
    list_filter = ("status", "environment", "kind", "origin", "unauthorised", "product")
    search_fields = ("release__version", "product__key", "external_id")
    list_select_related = ("product", "release", "environment")
    ordering = ("-started_at", "-id")
    fields = (*list_display, "plan", "builds", "external_id", "remediates", "finished_at", "reported_by", "recorded_at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deployment]:
        return Deployment.objects.visible_to(actor_of(request))

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
