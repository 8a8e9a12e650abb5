"""The URLs of notifications."""

from django.urls import URLPattern, URLResolver, path

from releasemgmt.notifications.api import EventViewSet, NotificationViewSet

urlpatterns: list[URLPattern | URLResolver] = [
    path("notifications/", NotificationViewSet.as_view({"get": "list"}), name="notifications"),
    path("notifications/<int:pk>/read/", NotificationViewSet.as_view({"post": "read"}), name="notification-read"),
    path("events/", EventViewSet.as_view({"get": "list"}), name="events"),
]
