"""People: users, teams, their roles, and API tokens that are shown once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from allauth.socialaccount.adapter import get_adapter
from django import forms
from django.contrib import admin, messages
from django.core.paginator import Page
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_POST

from releasemgmt.accounts import commands, roles
from releasemgmt.accounts.adapter import LINKING
from releasemgmt.accounts.authentication import is_fresh, sign_in_again
from releasemgmt.accounts.models import ApiToken, Role, RoleAssignment, RoleRequest, Scope, Team, User
from releasemgmt.accounts.queries import has_second_factor, is_linked
from releasemgmt.portal.admin.consent import open_requests
from releasemgmt.portal.admin.forms import offer, visible_teams
from releasemgmt.web.admin import PersonalForm, RecordAdmin, actor_of, attempt
from releasemgmt.workflow.models import Aggregate, Event


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


class RoleForm(PersonalForm):
    """A role in a team or everywhere."""

    role = forms.ChoiceField(choices=Role.choices)
    team = forms.ModelChoiceField(Team.objects.none(), required=False, empty_label="Every team")
    reason = forms.CharField(max_length=500, required=False, help_text="For the administrator who has to agree.")

    def choose(self, user: User, record: Any) -> None:
        offer(self, "team", visible_teams(user))


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
        return roles.administrate(user, user)

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


def roles_in_sight(user: User) -> QuerySet[RoleAssignment]:
    """The roles that people hold in the user's teams, and in every team."""
    teams, rows = user.visible_team_ids(), RoleAssignment.objects.all()
    return rows if teams is None else rows.filter(Q(team=None) | Q(team__in=teams))


def _roles_of(user: User, *, seen_by: User) -> QuerySet[RoleAssignment]:
    held = roles_in_sight(seen_by).filter(user=user)
    return held.select_related("team", "mapping").order_by("role", "team__key")


class RoleHeld(admin.SimpleListFilter):
    """Those who hold a role, as far as the person sees where."""

    title = "role"
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(Role.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        held = roles_in_sight(actor_of(request)).filter(role=self.value())
        return queryset.filter(pk__in=held.values("user")) if self.value() else queryset


@admin.register(User)
class UserAdmin(RecordAdmin):
    """Users: people, service accounts, and the system."""

    record_template = "portal/user.html"
    list_display = ("username", "__str__", "kind", "is_active", "last_login")
    list_filter = ("kind", "is_active", RoleHeld)
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
        return roles.administrate(user, user)

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

    def timeline(self, request: HttpRequest, obj: Aggregate) -> Page[Event] | None:
        """One's own; another's tells of every team that they work in, so it is for roles that are held everywhere."""
        user = actor_of(request)
        return super().timeline(request, obj) if user == obj or user.visible_team_ids() is None else None

    def panels(self, request: HttpRequest, obj: User) -> dict[str, Any]:
        user = actor_of(request)
        administrates = roles.administrate(user, user)
        return {
            "assignments": _roles_of(obj, seen_by=user),
            "requests": open_requests(user).filter(user=obj) if administrates else [],
            "tokens": obj.api_tokens.order_by("-created_at") if administrates or obj == user else [],
            "shows_tokens": obj.kind != User.Kind.SYSTEM and (administrates or obj == user),
            "administrates": administrates,
            "may_make_token": obj == user or (administrates and obj.kind == User.Kind.SERVICE),
            "providers": get_adapter(request).list_providers(request),
            "is_linked": is_linked(obj),
            "has_second_factor": has_second_factor(obj),
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
            path("<int:pk>/change/link/", wrap(require_POST(self.link_view)), name=f"{name}_link"),
            path("<int:pk>/change/unlink/", wrap(require_POST(self.unlink_view)), name=f"{name}_unlink"),
            path("<int:pk>/change/second-factor/", wrap(require_POST(self.second_factor_view)), name=f"{name}_factor"),
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
        """Grant a role, or ask for it."""
        user = self.found(request, pk)
        form = self.bound(RoleForm, request)
        if request.method == "POST" and form.is_valid():
            act = partial(commands.grant_role, user, actor=actor_of(request), now=timezone.now(), **form.cleaned_data)
            if made := attempt(request, act, done="", form=form):
                waits = isinstance(made, RoleRequest)
                said = "Another administrator has to agree; until then nothing changes." if waits else "It is granted."
                messages.success(request, said)
                return HttpResponseRedirect(self.address(user))
        intro = "The roles of CAB chair, deployer and administrator wait until another administrator agrees."
        return self.form_page(request, form, title=f"Role for {user}", button="Grant", intro=intro, record=user)

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
            if Scope.APPROVE in fields["scopes"] and not is_fresh(request, now=now):
                return sign_in_again(request)
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

    def link_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Lead to the identity provider, from where the person comes back linked."""
        user = self.found(request, pk)
        provider = next(iter(get_adapter(request).list_providers(request)), None)
        if user != actor_of(request) or provider is None:
            raise Http404
        if not is_fresh(request, now=timezone.now()):
            return sign_in_again(request)
        request.session[LINKING] = True
        way = provider.get_login_url(request, process="connect", next=self.address(user))
        answer = render(request, "portal/link.html", {**self.admin_site.each_context(request), "way": way})
        answer["Refresh"] = f"0; url={way}"  # a form may not lead to another site
        return answer

    def unlink_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """End the sign-in by the provider."""
        user = self.found(request, pk)
        attempt(request, partial(commands.unlink_identity, user, actor=actor_of(request)), done="Unlinked.")
        return HttpResponseRedirect(self.address(user))

    def second_factor_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Let somebody who lost their second factor in without."""
        user = self.found(request, pk)
        act = partial(commands.remove_second_factor, user, actor=actor_of(request))
        attempt(request, act, done=f"{user} signs in without a second factor, until they set up another one.")
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
