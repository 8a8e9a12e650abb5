"""How allauth signs people in here: no sign-up, only active people, by our own commands, an event for each sign-in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.totp.internal.auth import generate_totp_secret
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone

from releasemgmt.accounts import commands
from releasemgmt.accounts.authentication import PROVED_AT, is_fresh
from releasemgmt.accounts.commands import Identity
from releasemgmt.accounts.models import User
from releasemgmt.workflow.commands import command, lock, record
from releasemgmt.workflow.errors import NotPermitted, Refused
from releasemgmt.workflow.sealing import Unreadable, seal, unseal

#: What allauth tells of a second factor → kind of event.
SECOND_FACTOR = {
    "mfa/email/totp_activated": "accounts.user.add_second_factor",
    "mfa/email/totp_deactivated": "accounts.user.remove_second_factor",
    "mfa/email/recovery_codes_generated": "accounts.user.renew_recovery_codes",
}
#: What the secrets of second factors are sealed for.
SECOND = "second_factor"
#: In the session of a person who has just asked to link their account at the provider.
LINKING = "accounts.linking"


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
        self.note_sign_in(user, by=[proof["method"] for proof in get_authentication_records(request, user)])
        response: HttpResponse = super().post_login(request, user, **kwargs)
        return response

    def set_password(self, user: User, password: str) -> None:
        """A new password is a command like every change; the caller's object keeps the session alive."""
        user.password = commands.set_password(user, password=password, actor=user).password

    def get_client_ip(self, request: HttpRequest) -> str:
        """Whose attempts are counted; a request that came round the configured proxies counts for its own address."""
        try:
            return str(super().get_client_ip(request))
        except ImproperlyConfigured:
            return str(request.META["REMOTE_ADDR"])

    def send_notification_mail(self, template_prefix: str, user: User, *args: Any, **kwargs: Any) -> None:
        """What allauth would write to the person about stands on their stream."""
        if kind := SECOND_FACTOR.get(template_prefix):
            with command():
                record(lock(user), kind, actor=user)
        super().send_notification_mail(template_prefix, user, *args, **kwargs)

    def note_sign_in(self, user: User, *, by: list[str]) -> None:
        """Every way in is an event on the person's stream, with what was proved."""
        with command():
            record(lock(user), "accounts.user.sign_in", actor=user, data={"by": by})


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth carries no types
    """Keeps the secrets of second factors unreadable in a copy of the database."""

    def get_totp_issuer(self) -> str:
        return "Release management"

    def get_totp_label(self, user: User) -> str:
        return user.username

    def encrypt(self, text: str) -> str:
        return seal(text, purpose=SECOND)

    def decrypt(self, encrypted_text: str) -> str:
        try:
            return unseal(encrypted_text, purpose=SECOND)
        except Unreadable:
            return str(generate_totp_secret())  # the installation's key is another one now: no code fits any more


class ProviderAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth carries no types
    """Hands whom the identity provider names to our commands; allauth itself makes and links nobody."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        try:
            if sociallogin.state.get("process") == "connect":
                _link(request, identity_of(sociallogin))
                raise ImmediateHttpResponse(HttpResponseRedirect(sociallogin.get_redirect_url(request) or "/"))
            sociallogin.user = commands.sign_in_by_provider(identity_of(sociallogin), now=timezone.now())
            proved_at = _claims(sociallogin).get("auth_time")
            request.session[PROVED_AT] = proved_at if isinstance(proved_at, int) else int(timezone.now().timestamp())
        except Refused as refused:
            page = {"reason": refused.detail, "auth_error": {"provider": sociallogin.provider}}
            answer = render(request, "socialaccount/authentication_error.html", page, status=403)
            raise ImmediateHttpResponse(answer) from refused


def identity_of(sociallogin: SocialLogin) -> Identity:
    """What the provider says of the person; an address counts where it says that it has verified it."""
    account, claims = sociallogin.account, _claims(sociallogin)
    groups = claims.get("groups")
    return Identity(
        provider=account.provider,
        subject=account.uid,
        username=str(claims.get("preferred_username") or account.uid)[:150],
        name=str(claims.get("name") or ""),
        email=str(claims.get("email") or "") if claims.get("email_verified") is True else "",
        groups=frozenset(str(group) for group in groups) if isinstance(groups, list) else frozenset(),
    )


def _claims(sociallogin: SocialLogin) -> Mapping[str, Any]:
    facts = sociallogin.account.extra_data
    token, userinfo = facts.get("id_token", {}), facts.get("userinfo", {})
    if token and userinfo and token.get("sub") != userinfo.get("sub"):
        raise NotPermitted("The provider names two different people.", audited=False)
    return {**token, **userinfo}


def _link(request: HttpRequest, identity: Identity) -> None:
    now = timezone.now()
    if not request.user.is_authenticated or not request.session.pop(LINKING, False) or not is_fresh(request, now=now):
        raise NotPermitted("Linking begins on your own page, with a sign-in that is fresh.", audited=False)
    commands.link_identity(request.user, identity, actor=request.user, now=now)
    messages.success(request, "Linked: you can sign in by it from now on.")
