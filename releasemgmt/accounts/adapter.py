"""How allauth signs people in here: no sign-up, only active people, and an event for each sign-in."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest, HttpResponse

from releasemgmt.accounts import commands
from releasemgmt.accounts.models import User
from releasemgmt.workflow.commands import command, lock, record


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth carries no types
    """Closes sign-up and records sign-ins."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse | None:
        response: HttpResponse | None = super().pre_login(request, user, **kwargs)
        if user.kind != User.Kind.HUMAN:
            return self.respond_user_inactive(request, user)  # type: ignore[no-any-return]
        return response

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        self.note_sign_in(user)
        response: HttpResponse = super().post_login(request, user, **kwargs)
        return response

    def set_password(self, user: User, password: str) -> None:
        """A new password is a command like every change; the caller's object keeps the session alive."""
        user.password = commands.set_password(user, password=password, actor=user).password

    def note_sign_in(self, user: User) -> None:
        """Every way in is an event on the person's stream."""
        with command():
            record(lock(user), "accounts.user.sign_in", actor=user)
