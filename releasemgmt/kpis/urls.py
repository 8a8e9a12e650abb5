"""The URLs of the figures."""

from django.urls import URLPattern, URLResolver, path

from releasemgmt.kpis import gauges
from releasemgmt.kpis.api import FiguresView

#: Importing them registers them with /metrics.
__all__ = ["gauges", "urlpatterns"]

urlpatterns: list[URLPattern | URLResolver] = [
    path("kpis/", FiguresView.as_view({"get": "list"}), name="kpis"),
    path("kpis/<str:figure>/", FiguresView.as_view({"get": "retrieve"}), name="kpi"),
    path("kpis/<str:figure>/rows/", FiguresView.as_view({"get": "rows"}), name="kpi-rows"),
]
