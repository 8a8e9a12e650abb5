"""The app configuration of portal."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """The app as Django knows it."""

    name = "releasemgmt.portal"
