"""The URLs of change requests, rounds, votes and policies."""

from typing import Any

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from approvals.api.change import ChangeViewSet
from approvals.api.round import ChangeRoundView, PolicyViewSet, ReleaseRoundView, RoundViewSet

router = SimpleRouter()
router.register("changes", ChangeViewSet, basename="change")
router.register("approvals", RoundViewSet, basename="approval")
router.register("approval-policies", PolicyViewSet, basename="approval-policy")

actions: dict[str, Any] = {"get": "show", "post": "open"}
urlpatterns: list[URLPattern | URLResolver] = [
    path("releases/<str:number>/approval/", ReleaseRoundView.as_view(actions), name="release-approval"),
    path("changes/<str:number>/approval/", ChangeRoundView.as_view(actions), name="change-approval"),
    *router.urls,
]
