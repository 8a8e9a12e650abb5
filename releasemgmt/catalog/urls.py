"""The URLs of the catalog."""

from rest_framework.routers import SimpleRouter

from releasemgmt.catalog.api import EnvironmentViewSet, ProductViewSet, ReleaseModelViewSet

router = SimpleRouter()
router.register("products", ProductViewSet, basename="product")
router.register("environments", EnvironmentViewSet, basename="environment")
router.register("release-models", ReleaseModelViewSet, basename="release-model")
urlpatterns = router.urls
