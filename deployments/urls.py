"""The URLs of plans, deployments, incidents, the schedule, and what is where."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from deployments.api.deployment import DeploymentViewSet
from deployments.api.endpoints import EndpointViewSet
from deployments.api.incident import IncidentViewSet
from deployments.api.observations import ObservationView
from deployments.api.outlook import MatrixView, OutlookView
from deployments.api.overrides import OverrideViewSet, StopViewSet
from deployments.api.plan import PlanViewSet
from deployments.api.preparation import PreparationView
from deployments.api.schedule import ScheduleView
from deployments.api.windows import StatusView, WindowViewSet
from deployments.inbound import CallbackViewSet

router = SimpleRouter()
router.register("deployment-plans", PlanViewSet, basename="deployment-plan")
router.register("deployments", DeploymentViewSet, basename="deployment")
router.register("incidents", IncidentViewSet, basename="incident")
router.register("webhook-endpoints", EndpointViewSet, basename="webhook-endpoint")
router.register("windows", WindowViewSet, basename="window")
router.register("window-overrides", OverrideViewSet, basename="window-override")
router.register("line-stops", StopViewSet, basename="line-stop")

urlpatterns: list[URLPattern | URLResolver] = [
    path("environments/matrix/", MatrixView.as_view({"get": "list"}), name="environments-matrix"),
    path(
        "environments/<str:number>/observations/",
        ObservationView.as_view({"get": "list", "post": "create"}),
        name="environment-observations",
    ),
    path(
        "products/<str:number>/preparation/",
        PreparationView.as_view({"get": "list"}),
        name="product-preparation",
    ),
    path(
        "products/<str:number>/preparation/<str:tier>/",
        PreparationView.as_view({"put": "update"}),
        name="product-preparation-list",
    ),
    path("releases/<str:number>/comparison/", OutlookView.as_view({"get": "comparison"}), name="release-comparison"),
    path("releases/<str:number>/readiness/", OutlookView.as_view({"get": "readiness"}), name="release-readiness"),
    path("schedule/", ScheduleView.as_view({"get": "list"}), name="schedule"),
    path("webhook-endpoints/<int:pk>/callbacks/", CallbackViewSet.as_view({"post": "create"}), name="webhook-callback"),
    path("windows/status/", StatusView.as_view({"get": "status"}), name="windows-status"),
    *router.urls,
]
