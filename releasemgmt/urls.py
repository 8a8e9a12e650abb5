"""The roof: where each app's URLs hang."""

from allauth.account.urls import urlpatterns as allauth_urls
from django.contrib import admin
from django.urls import include, path, re_path

from releasemgmt.web import errors

handler404 = errors.absent
handler500 = errors.failed

#: Of allauth's pages those that go through our commands: nobody signs up or changes addresses beside them.
SIGN_IN = {
    "account_login",
    "account_logout",
    "account_inactive",
    "account_signup",
    "account_reauthenticate",
    "account_change_password",
}

urlpatterns = [
    path("", include("releasemgmt.web.urls")),
    path("", include("releasemgmt.portal.urls")),
    path("accounts/", include([each for each in allauth_urls if each.name in SIGN_IN])),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("accounts/", include("allauth.socialaccount.providers.openid_connect.urls")),
    path("admin/", admin.site.urls),
    # What an app above serves under a path of one below comes first: `environments/matrix/` is no environment.
    path("api/v1/", include("releasemgmt.kpis.urls")),
    path("api/v1/", include("deployments.urls")),
    path("api/v1/", include("releasemgmt.accounts.urls")),
    path("api/v1/", include("releasemgmt.catalog.urls")),
    path("api/v1/", include("releasemgmt.releases.urls")),
    path("api/v1/", include("releasemgmt.notifications.urls")),
    path("api/v1/", include("approvals.urls")),
    re_path(r"^api/", errors.no_such_address),
]
