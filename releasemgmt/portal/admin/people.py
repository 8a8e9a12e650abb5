"""People: users, teams, their roles, and API tokens that are shown once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_POST

from releasemgmt.accounts import commands, roles
from releasemgmt.accounts.models import ApiToken, Role, Scope, Team, User
from releasemgmt.web.admin import RecordAdmin, actor_of, attempt
from releasemgmt.workflow.models import Aggregate


class TeamForm(forms.Form):
    """A new team."""

    key = forms.SlugField(max_length=40)
    name = forms.CharField(max_length=100)


class TeamEditForm(forms.Form):
    """A team's name."""

    name = forms.CharField(max_length=100)


class UserForm(forms.Form):
    """A new person or service account."""

    username = forms.CharField(max_length=150)
    name = forms.CharField(max_length=200, required=False)
    email = forms.EmailField(required=False)
    kind = forms.ChoiceField(choices=[(User.Kind.HUMAN, "Person"), (User.Kind.SERVICE, "Service account")])
    password = forms.CharField(widget=forms.PasswordInput, required=False, help_text="For a person.")
    time_zone = forms.CharField(max_length=64, initial="UTC")


class UserEditForm(forms.Form):
    """What people say of themselves."""

    name = forms.CharField(max_length=200, required=False)
    email = forms.EmailField(required=False)
    time_zone = forms.CharField(max_length=64, help_text="For instance Europe/Berlin; pages show times in it.")


class PasswordForm(forms.Form):
    """A new password for somebody who can't sign in any more."""

    password = forms.CharField(widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}))


class RoleForm(forms.Form):
    """A role in a team or everywhere."""

    role = forms.ChoiceField(choices=Role.choices)
    team = forms.ModelChoiceField(Team.objects.all(), required=False, help_text="Empty means every team.")


class TokenForm(forms.Form):
    """A new API token."""

    name = forms.CharField(max_length=100, help_text="What it is for.")
    scopes = forms.MultipleChoiceField(choices=Scope.choices, widget=forms.CheckboxSelectMultiple, required=False)
    days = forms.IntegerField(min_value=1, max_value=366, initial=90, help_text="How long it is valid.")


@admin.register(Team)
class TeamAdmin(RecordAdmin):
    """Teams."""

    record_template = "portal/team.html"
    list_display = ("key", "name")
    search_fields = ("key", "name")
    ordering = ("key",)
    add_form = TeamForm
    edit_form = TeamEditForm

    def visible(self, user: User) -> QuerySet[Team]:
        return roles.visible_to(user, Team.objects.all(), team="pk")

    def may_add(self, user: User) -> bool:
        return roles.administrate.somewhere(user)

    def may_edit(self, user: User, obj: Team) -> bool:
        return roles.administrate(user, obj)

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        return commands.create_team(actor=actor, **fields)

    def edit(self, obj: Team, fields: dict[str, Any], *, actor: User) -> Any:
        return commands.rename_team(obj, actor=actor, **fields)

    def facts(self, obj: Team) -> list[tuple[str, Any]]:
        return [("Key", obj.key), ("Name", obj.name)]

    def panels(self, request: HttpRequest, obj: Team) -> dict[str, Any]:
        return {
            "assignments": obj.role_assignments.select_related("user").order_by("role", "user__username"),
            "products": obj.products.order_by("key"),
        }


@admin.register(User)
class UserAdmin(RecordAdmin):
    """Users: people, service accounts, and the system."""

    record_template = "portal/user.html"
    list_display = ("username", "__str__", "kind", "is_active", "last_login")
    list_filter = ("kind", "is_active", "role_assignments__role")
    search_fields = ("username", "first_name", "last_name", "email")
    ordering = ("username",)
    add_form = UserForm
    edit_form = UserEditForm

    def visible(self, user: User) -> QuerySet[User]:
        teams = user.visible_team_ids()
        rows = User.objects.all()
        if teams is None:
            return rows
        return rows.filter(Q(pk=user.pk) | Q(role_assignments__team__in=teams)).distinct()

    def may_add(self, user: User) -> bool:
        return roles.administrate.somewhere(user)

    def may_edit(self, user: User, obj: User) -> bool:
        return user.pk == obj.pk or (roles.administrate(user, user) and obj.kind != User.Kind.SYSTEM)

    def create(self, fields: dict[str, Any], *, actor: User) -> Aggregate:
        return commands.create_user(actor=actor, **fields)

    def edit(self, obj: User, fields: dict[str, Any], *, actor: User) -> Any:
        return commands.edit_user(obj, changes=fields, actor=actor)

    def initial(self, obj: User) -> dict[str, Any]:
        return {"name": obj.get_full_name(), "email": obj.email, "time_zone": obj.time_zone}

    def facts(self, obj: User) -> list[tuple[str, Any]]:
        return [
            ("Username", obj.username),
            ("Kind", obj.get_kind_display()),
            ("E-mail", obj.email),
            ("Time zone", obj.time_zone),
            ("Active", "yes" if obj.is_active else "no"),
            ("Last sign-in", obj.last_login),
        ]

    def panels(self, request: HttpRequest, obj: User) -> dict[str, Any]:
        user = actor_of(request)
        administrates = roles.administrate(user, user)
        return {
            "assignments": obj.role_assignments.select_related("team").order_by("role", "team__key"),
            "tokens": obj.api_tokens.order_by("-created_at") if administrates or obj == user else [],
            "shows_tokens": obj.kind != User.Kind.SYSTEM and (administrates or obj == user),
            "administrates": administrates,
            "may_make_token": obj == user or (administrates and obj.kind == User.Kind.SERVICE),
            "now": timezone.now(),
        }

    def extra_urls(self, wrap: Callable[..., Any], name: str) -> list[Any]:
        return [
            path("me/", wrap(self.me_view), name=f"{name}_me"),
            path("<int:pk>/change/roles/", wrap(self.role_view), name=f"{name}_role"),
            path(
                "<int:pk>/change/roles/<int:role>/revoke/",
                wrap(require_POST(self.revoke_role_view)),
                name=f"{name}_unrole",
            ),
            path("<int:pk>/change/tokens/", wrap(self.token_view), name=f"{name}_token"),
            path("<int:pk>/change/tokens/<int:token>/revoke/", wrap(require_POST(self.revoke_token_view))),
            path("<int:pk>/change/password/", wrap(self.password_view), name=f"{name}_password"),
            path("<int:pk>/change/deactivate/", wrap(self.deactivate_view), name=f"{name}_deactivate"),
            path("<int:pk>/change/reactivate/", wrap(require_POST(self.reactivate_view)), name=f"{name}_reactivate"),
        ]

    def me_view(self, request: HttpRequest) -> HttpResponse:
        """One's own page."""
        return HttpResponseRedirect(self.address(actor_of(request)))

    def password_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Set somebody's password."""
        user = self.found(request, pk)
        form = self.bound(PasswordForm, request)
        if request.method == "POST" and form.is_valid():
            act = partial(commands.set_password, user, actor=actor_of(request), **form.cleaned_data)
            if attempt(request, act, done="The password is set; other sessions have ended.", form=form):
                return HttpResponseRedirect(self.address(user))
        return self.form_page(request, form, title=f"Password of {user}", button="Set", record=user)

    def role_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Grant a role."""
        user = self.found(request, pk)
        form = self.bound(RoleForm, request)
        if request.method == "POST" and form.is_valid():
            act = partial(commands.grant_role, user, actor=actor_of(request), now=timezone.now(), **form.cleaned_data)
            if attempt(request, act, done="The role is granted.", form=form):
                return HttpResponseRedirect(self.address(user))
        return self.form_page(request, form, title=f"Role for {user}", button="Grant", record=user)

    def revoke_role_view(self, request: HttpRequest, pk: int, role: int) -> HttpResponse:
        """Take a role away."""
        user = self.found(request, pk)
        held = user.role_assignments.filter(pk=role).first()
        if held is None:
            raise Http404
        attempt(request, partial(commands.revoke_role, held, actor=actor_of(request)), done="The role is taken away.")
        return HttpResponseRedirect(self.address(user))

    def token_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Make a token; its secret is on the answer's page and nowhere else, ever."""
        user = self.found(request, pk)
        form = self.bound(TokenForm, request)
        if request.method == "POST" and form.is_valid():
            now = timezone.now()
            fields = dict(form.cleaned_data)
            expires_at = now + timedelta(days=fields.pop("days"))
            act = partial(
                commands.create_token, user, actor=actor_of(request), now=now, expires_at=expires_at, **fields
            )
            if made := attempt(request, act, done="", form=form):
                context = {**self.admin_site.each_context(request), "title": "New API token", "secret": made[1]}
                response = render(request, "portal/token.html", {**context, "back": self.address(user)})
                response["Cache-Control"] = "no-store"
                return response
        return self.form_page(request, form, title=f"API token of {user}", button="Create", record=user)

    def revoke_token_view(self, request: HttpRequest, pk: int, token: int) -> HttpResponse:
        """End a token."""
        user = self.found(request, pk)
        found = ApiToken.objects.filter(user=user, pk=token).first()
        if found is None:
            raise Http404
        act = partial(commands.revoke_token, found, actor=actor_of(request), now=timezone.now())
        attempt(request, act, done="The token is revoked.")
        return HttpResponseRedirect(self.address(user))

    def deactivate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """End a user's access, once it is confirmed."""
        user = self.found(request, pk)
        if request.method != "POST":
            intro = "Sessions and API tokens end at once, and votes that have been given stop counting."
            page = {"title": f"Deactivate {user}", "button": "Deactivate", "intro": intro, "record": user}
            return self.form_page(request, forms.Form(), **page)
        act = partial(commands.deactivate, user, actor=actor_of(request), now=timezone.now())
        attempt(request, act, done=f"{user} can no longer sign in.")
        return HttpResponseRedirect(self.address(user))

    def reactivate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Let a user in again."""
        user = self.found(request, pk)
        act = partial(commands.reactivate, user, actor=actor_of(request))
        attempt(request, act, done=f"{user} can sign in again; tokens stay revoked.")
        return HttpResponseRedirect(self.address(user))
