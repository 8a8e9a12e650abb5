"""The app configuration of portal, and the admin with its own site."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class PortalConfig(AppConfig):
    """The app as Django knows it."""

    name = "releasemgmt.portal"
    default = True


class SiteConfig(admin_apps.AdminConfig):
    """Django's admin with our site in the place of its own."""

    default_site = "releasemgmt.portal.site.PortalSite"
    default = False
