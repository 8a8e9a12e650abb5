"""The app configuration of notifications."""

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """The app as Django knows it."""

    name = "releasemgmt.notifications"
