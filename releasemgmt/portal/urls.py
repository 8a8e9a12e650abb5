"""The URLs of the portal."""

from allauth.socialaccount.views import login_cancelled
from django.urls import URLPattern, URLResolver, path

from releasemgmt.portal import api, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.start, name="start"),
    path("accounts/password/none/", views.no_password, name="account_set_password"),
    path("accounts/oidc/cancelled/", login_cancelled, name="socialaccount_login_cancelled"),
    path("accounts/oidc/<str:provider_id>/login/", views.provider_sign_in),
    path("demo/sign-in/", views.demo_sign_in, name="demo_sign_in"),
    path("api/v1/releases/<str:number>/evidence/", api.EvidenceViewSet.as_view({"get": "retrieve"}), name="evidence"),
    path("api/v1/population/", api.PopulationViewSet.as_view({"get": "list"}), name="population"),
]
