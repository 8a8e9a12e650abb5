"""The roof: where each app's URLs hang."""

from django.contrib import admin
from django.urls import include, path, re_path

from releasemgmt.web import errors

handler404 = errors.absent
handler500 = errors.failed

urlpatterns = [
    path("", include("releasemgmt.web.urls")),
    path("", include("releasemgmt.portal.urls")),
    path("accounts/", include("allauth.account.urls")),
    path("admin/", admin.site.urls),
    # What an app above serves under a path of one below comes first: `environments/matrix/` is no environment.
    path("api/v1/", include("deployments.urls")),
    path("api/v1/", include("releasemgmt.accounts.urls")),
    path("api/v1/", include("releasemgmt.catalog.urls")),
    path("api/v1/", include("releasemgmt.releases.urls")),
    path("api/v1/", include("releasemgmt.notifications.urls")),
    path("api/v1/", include("approvals.urls")),
    re_path(r"^api/", errors.no_such_address),
]
