"""The releases' app configuration."""

from django.apps import AppConfig


class ReleasesConfig(AppConfig):
    """Release records as a Django app."""

    name = "releasemgmt.releases"
