"""The app configuration of approvals."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """The app as Django knows it."""

    name = "approvals"
