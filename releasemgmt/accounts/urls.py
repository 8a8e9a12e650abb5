"""The URLs of accounts."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from releasemgmt.accounts.api import MeViewSet, TeamViewSet

router = SimpleRouter()
router.register("teams", TeamViewSet, basename="team")
urlpatterns: list[URLPattern | URLResolver] = [path("me/", MeViewSet.as_view({"get": "show"}), name="me"), *router.urls]
