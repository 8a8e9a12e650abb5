"""The kernel's app configuration: it lets every app's `checks.py` register its system checks."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class WorkflowConfig(AppConfig):
    """The kernel as a Django app."""

    name = "releasemgmt.workflow"

    def ready(self) -> None:
        autodiscover_modules("checks")
