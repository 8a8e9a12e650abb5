"""The app configuration of deployments."""

from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    """The app as Django knows it."""

    name = "deployments"
