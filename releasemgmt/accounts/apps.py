"""The accounts' app configuration."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users, teams and roles as a Django app."""

    name = "releasemgmt.accounts"
