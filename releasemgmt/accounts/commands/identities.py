"""People whom the identity provider names: known by its subject alone, with the roles that their groups give."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from allauth.socialaccount.models import SocialAccount

from releasemgmt.accounts import roles
from releasemgmt.accounts.commands.roles import assign, take_away
from releasemgmt.accounts.commands.users import create_user, edit_user, system
from releasemgmt.accounts.models import GroupMapping, Proposal, RoleAssignment, User
from releasemgmt.workflow.commands import command, lock, permit, record
from releasemgmt.workflow.errors import Conflict, NotPermitted


@dataclass(frozen=True)
class Identity:
    """What a provider says of the person who has just signed in there; `email` only where it has verified it."""

    provider: str
    subject: str
    username: str
    name: str
    email: str
    groups: frozenset[str]


def sign_in_by_provider(identity: Identity, *, now: datetime) -> User:
    """The person, with the roles of their groups; somebody new comes in where a mapping lets their groups in.

    An account is found by provider and subject, never by name or address: one that has either already is refused,
    because two accounts of one person could both vote. Its owner links it instead.
    """
    with command():
        mappings = _mappings_of(identity)
        user = _known(identity) or _welcome(identity, mappings)
        if user.is_active:
            _keep_address(user, identity)
            _keep_roles(user, mappings, now=now)
        return user


def link_identity(user: User, identity: Identity, *, actor: User, now: datetime) -> None:
    """Let a person sign in by the provider too; they have proved both, so only they do it."""
    with command():
        if actor != user:
            raise NotPermitted("Only the person links their own account.")
        user = lock(user)
        known = SocialAccount.objects.filter(provider=identity.provider)
        if known.filter(uid=identity.subject).exclude(user=user).exists():
            raise Conflict("That account of the provider belongs to another person here.", code="linked")
        if known.filter(user=user).exclude(uid=identity.subject).exists():
            raise Conflict("You are linked to another account there; unlink that first.", code="linked")
        if not known.filter(user=user).exists():
            _link(user, identity, actor=actor)
        _keep_roles(user, _mappings_of(identity), now=now)


def unlink_identity(user: User, *, actor: User) -> None:
    """End the sign-in by a provider, one's own or as an administrator anybody's, and the roles that groups gave."""
    with command():
        if actor != user:
            permit(actor, actor, roles.administrate_or_system, to="unlink somebody else")
        elif not user.has_usable_password():
            raise Conflict("Without a password you could not sign in any more; ask an administrator.", code="last_way")
        user = lock(user)
        providers = list(SocialAccount.objects.filter(user=user).values_list("provider", flat=True))
        if providers:
            SocialAccount.objects.filter(user=user).delete()
            record(user, "accounts.user.unlink_identity", actor=actor, data={"provider": ", ".join(providers)})
            for held in _by_groups(user):
                take_away(held, actor=actor)


def _known(identity: Identity) -> User | None:
    account = SocialAccount.objects.filter(provider=identity.provider, uid=identity.subject).first()
    return lock(User(pk=account.user_id)) if account else None


def _welcome(identity: Identity, mappings: list[GroupMapping]) -> User:
    lock(system())  # of two first sign-ins at once the second finds the person
    if user := _known(identity):
        return user
    if not mappings:
        raise NotPermitted("None of your groups is let in here; an administrator maps them to roles.", code="no_group")
    if User.objects.filter(username__iexact=identity.username).exists():
        raise Conflict(f"There is an account {identity.username} already; {_LINK}", code="exists")
    if identity.email and any(identity.email.lower() in user.addresses for user in User.objects.filter(kind="human")):
        raise Conflict(f"There is an account with the address {identity.email} already; {_LINK}", code="exists")
    user = create_user(username=identity.username, name=identity.name, email=identity.email, actor=system())
    _link(user, identity, actor=system())
    return user


_LINK = "if it is yours, sign in to it with its password and link it on your page, or ask an administrator."


def _link(user: User, identity: Identity, *, actor: User) -> None:
    SocialAccount.objects.create(user=user, provider=identity.provider, uid=identity.subject)
    data = {"provider": identity.provider, "subject": identity.subject}
    record(user, "accounts.user.link_identity", actor=actor, on_behalf_of=user, data=data)


def _mappings_of(identity: Identity) -> list[GroupMapping]:
    agreed = GroupMapping.objects.filter(state=Proposal.State.ACCEPTED, ended_at=None)
    return list(agreed.filter(group__in=identity.groups).select_related("team").order_by("pk"))


def _keep_address(user: User, identity: Identity) -> None:
    if identity.email and identity.email != user.email:
        edit_user(user, changes={"email": identity.email}, actor=system())


def _keep_roles(user: User, mappings: list[GroupMapping], *, now: datetime) -> None:
    """Give what the groups give and take away what they no longer do; what people granted stays."""
    wanted = {(mapping.role, mapping.team_id): mapping for mapping in reversed(mappings)}
    for held in _by_groups(user):
        mapping = wanted.get((held.role, held.team_id))
        if mapping is None:
            take_away(held, actor=system(), on_behalf_of=user)
        elif mapping.pk != held.mapping_id:
            RoleAssignment.objects.filter(pk=held.pk).update(mapping=mapping)
    for mapping in wanted.values():
        role, team, facts = mapping.role, mapping.team, {"group": mapping.group}
        if not user.role_assignments.filter(role=role, team=team).exists():
            assign(user, role=role, team=team, actor=system(), now=now, mapping=mapping, facts=facts)


def _by_groups(user: User) -> list[RoleAssignment]:
    held = user.role_assignments.exclude(mapping=None)
    return list(held.select_related("user", "team").order_by("pk"))
