"""The app configuration of web."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    """The app as Django knows it."""

    name = "releasemgmt.web"
