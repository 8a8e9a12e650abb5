"""The URLs of releases, known defects, and what pipelines bring."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from releasemgmt.releases.api.defect import DefectViewSet
from releasemgmt.releases.api.evidence import BuildViewSet, CommitViewSet, TestRunViewSet
from releasemgmt.releases.api.release import ReleaseViewSet

router = SimpleRouter()
router.register("releases", ReleaseViewSet, basename="release")
router.register("known-defects", DefectViewSet, basename="known-defect")
router.register("builds", BuildViewSet, basename="build")
router.register("test-runs", TestRunViewSet, basename="test-run")

urlpatterns: list[URLPattern | URLResolver] = [
    path("commits/bulk/", CommitViewSet.as_view({"post": "bulk"}), name="commits-bulk"),
    *router.urls,
]
