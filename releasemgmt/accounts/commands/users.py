"""Users, teams and tokens."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from allauth.mfa.models import Authenticator
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from releasemgmt.accounts import roles
from releasemgmt.accounts.commands.roles import grant_role
from releasemgmt.accounts.models import ApiToken, Role, RoleAssignment, Scope, Team, User
from releasemgmt.workflow.commands import command, create, edit, lock, permit, record, validate
from releasemgmt.workflow.errors import Conflict, Invalid
from releasemgmt.workflow.prepared import prepared

#: Makes a leaked token recognisable to secret scanners.
TOKEN_PREFIX = "rmt_"  # noqa: S105 - it is the public part


def system() -> User:
    """The one user as which the engine acts; without password, session or token."""
    user = _the_system().first()
    if user is not None:
        return user
    with command():
        user = User(username="system", first_name="System", kind=User.Kind.SYSTEM, is_active=True)
        user.set_unusable_password()
        user.save(force_insert=True)
        record(lock(user), "accounts.user.create", actor=user, data={"bootstrap": True})
        return lock(user)


@prepared
def _the_system() -> QuerySet[User]:
    return User.objects.filter(kind=User.Kind.SYSTEM)


def create_team(*, key: str, name: str, actor: User) -> Team:
    """A new team; its roles are granted one by one."""
    with command():
        permit(actor, actor, roles.administrate_or_system, to="create a team")
        if Team.objects.filter(key=key).exists():
            raise Conflict(f"There is a team {key} already.", code="exists")
        team = Team(key=key, name=name)
        validate(team)
        return create(team, actor=actor, data={"key": key, "name": name})


def rename_team(team: Team, *, name: str, actor: User) -> Team:
    """Call a team something else; its key stays."""
    with command():
        permit(actor, team, roles.administrate_or_system, to="rename teams")
        team = edit(team, actor=actor, changes={"name": name})
        validate(team, ["name"])
        return team


def bootstrap_administrator(*, username: str, password: str, now: datetime, name: str = "", email: str = "") -> User:
    """The first administrators, made at the command line and marked `bootstrap`; from the second on they do it."""
    with command():
        engine = system()
        lock(engine)
        active = RoleAssignment.objects.filter(role=Role.ADMINISTRATOR, team=None, user__is_active=True)
        if active.count() >= 2:
            raise Conflict("There are two administrators; they create others in the admin.", code="bootstrapped")
        user = create_user(username=username, name=name, email=email, password=password, actor=engine)
        grant_role(user, role=Role.ADMINISTRATOR, team=None, actor=engine, now=now)
        record(user, "accounts.user.bootstrap", actor=engine, data={"bootstrap": True})
        return user


def create_user(
    *,
    username: str,
    actor: User,
    name: str = "",
    email: str = "",
    kind: str = User.Kind.HUMAN,
    password: str | None = None,
    time_zone: str = "UTC",
) -> User:
    """A new person or service account; a service has no password."""
    with command():
        permit(actor, actor, roles.administrate_or_system, to="create a user")
        if User.objects.filter(username=username).exists():
            raise Conflict(f"There is a user {username} already.", code="exists")
        user = User(username=username, email=email, kind=kind, time_zone=time_zone, is_staff=kind == User.Kind.HUMAN)
        user.first_name, user.last_name = _split(name)
        if password:
            _check_password(user, password)
        user.set_password(password or None)
        validate(user)
        return create(user, actor=actor, data={"username": username, "kind": kind})


def edit_user(user: User, *, changes: Mapping[str, str], actor: User) -> User:
    """Change name, e-mail and time zone: one's own, or as an administrator anybody's. Former addresses still count."""
    with command():
        if actor != user:
            permit(actor, actor, roles.administrate_or_system, to="edit somebody else")
        new: dict[str, Any] = dict(changes)
        if "name" in new:
            new["first_name"], new["last_name"] = _split(new.pop("name"))
        user = lock(user)
        if user.email and new.get("email", user.email) != user.email:
            new["former_emails"] = sorted({*user.former_emails, user.email})
        user = edit(user, actor=actor, changes=new)
        validate(user, new)
        return user


def set_password(user: User, *, password: str, actor: User) -> User:
    """Set a person's password: one's own, or as an administrator anybody's; other sessions of the person end."""
    with command():
        if actor != user:
            permit(actor, actor, roles.administrate_or_system, to="set somebody else's password")
        user = lock(user)
        _check_password(user, password)
        user.set_password(password)
        record(user, "accounts.user.set_password", actor=actor, save=["password"])
        return user


def remove_second_factor(user: User, *, actor: User) -> None:
    """Let somebody who has lost their second factor sign in without, as an administrator; they set up another one."""
    with command():
        permit(actor, actor, roles.administrate_or_system, to="remove somebody's second factor")
        user = lock(user)
        if Authenticator.objects.filter(user=user).delete()[0]:
            record(user, "accounts.user.remove_second_factor", actor=actor)


def create_token(
    user: User, *, name: str, scopes: Sequence[str], expires_at: datetime, actor: User, now: datetime
) -> tuple[ApiToken, str]:
    """A new API token and its secret, which is shown this once and stored as a digest only."""
    with command():
        user = lock(user)
        if actor != user or actor.kind != User.Kind.HUMAN:
            permit(actor, actor, roles.administrate_or_system, to="create a token for somebody else")
        if actor != user and user.kind == User.Kind.HUMAN and actor.kind != User.Kind.SYSTEM:
            raise Invalid({"user": "A person makes their own tokens; administrators make those of services."})
        if user.kind == User.Kind.SYSTEM or not user.is_active:
            raise Invalid({"user": "Neither the system user nor one who is deactivated has a token."})
        if expires_at <= now:
            raise Invalid({"expires_at": "Choose an instant in the future."})
        if unknown := sorted(set(scopes) - set(Scope.values)):
            raise Invalid({"scopes": f"Unknown scope {', '.join(unknown)}; there are {', '.join(Scope.values)}."})
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        token = ApiToken(
            user=user,
            name=name,
            prefix=secret[:10],
            digest=token_digest(secret),
            scopes=sorted(set(scopes)),
            expires_at=expires_at,
            created_by=actor,
        )
        validate(token)
        token.save(force_insert=True)
        record(user, "accounts.user.create_token", actor=actor, data=token.as_data())
        return token, secret


def revoke_token(token: ApiToken, *, actor: User, now: datetime) -> None:
    """End a token at once; its owner or an administrator may."""
    with command():
        if actor != token.user:
            permit(actor, actor, roles.administrate_or_system, to="revoke somebody else's token")
        user = lock(token.user)
        if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
            record(user, "accounts.user.revoke_token", actor=actor, data=token.as_data())


def deactivate(user: User, *, actor: User, now: datetime) -> User:
    """End a user's access: sessions and tokens stop working at once, votes stop counting."""
    with command():
        permit(actor, actor, roles.administrate_or_system, to="deactivate a user")
        user = lock(user)
        if user.kind == User.Kind.SYSTEM:
            raise Invalid({"user": "The system user stays."})
        if user.is_active:
            user.is_active = False
            user.session_generation += 1
            ApiToken.objects.filter(user=user, revoked_at=None).update(revoked_at=now)
            record(user, "accounts.user.deactivate", actor=actor, save=["is_active", "session_generation"])
        return user


def reactivate(user: User, *, actor: User) -> User:
    """Let a user in again, with the roles that they hold still; sessions and tokens of before stay ended."""
    with command():
        permit(actor, actor, roles.administrate_or_system, to="reactivate a user")
        user = lock(user)
        if not user.is_active:
            user.is_active = True
            record(user, "accounts.user.reactivate", actor=actor, save=["is_active"])
        return user


def token_digest(secret: str) -> str:
    """How a token is stored and looked up: SHA-256 of a 256-bit random secret needs no slow hash."""
    return sha256(secret.encode()).hexdigest()


def _split(name: str) -> tuple[str, str]:
    first, _, last = name.partition(" ")
    return first, last


def _check_password(user: User, password: str) -> None:
    if user.kind != User.Kind.HUMAN:
        raise Invalid({"password": "A service account has tokens, no password."})
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid({"password": " ".join(error.messages)}) from error
