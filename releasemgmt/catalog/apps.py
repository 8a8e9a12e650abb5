"""The catalog's app configuration."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """Products, components, environments and release models as a Django app."""

    name = "releasemgmt.catalog"
