"""The URLs of the portal."""

from django.urls import URLPattern, URLResolver, path

from releasemgmt.portal import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.start, name="start"),
    path("demo/sign-in/", views.demo_sign_in, name="demo_sign_in"),
]
