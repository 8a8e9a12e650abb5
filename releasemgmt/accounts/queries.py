"""Reading people: whom one can name, who hears that a second person is needed, and how people sign in."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db.models import Q, QuerySet

from releasemgmt.accounts.models import Role, RoleAssignment, User
from releasemgmt.workflow.models import Event


def colleagues(user: User) -> QuerySet[User, User]:
    """Those whom a user can name: themselves, and who is active with a role in one of their teams or in every team."""
    everybody = User.objects.filter(is_active=True).exclude(kind=User.Kind.SYSTEM)
    teams = user.visible_team_ids()
    if teams is None:
        return everybody
    held = RoleAssignment.objects.filter(Q(team=None) | Q(team__in=teams))
    return everybody.filter(Q(pk=user.pk) | Q(pk__in=held.values("user")))


def administrators() -> QuerySet[User, User]:
    """Those who can be the second person in what concerns every team."""
    held = {"role_assignments__role": Role.ADMINISTRATOR, "role_assignments__team": None}
    return User.objects.filter(**held, is_active=True).order_by("first_name", "username")


def other_administrators(event: Event) -> QuerySet[User, User]:
    """The administrators who can agree to what another one asks for: not the person whom it is for."""
    subject = int(event.stream.partition(":")[2])
    return administrators().exclude(pk__in=[event.actor_id, subject])


def second_people(event: Event) -> QuerySet[User, User]:
    """The administrators who can agree to what one of them proposes; nobody where it took effect at once."""
    return User.objects.none() if event.data.get("bootstrap") else administrators().exclude(pk=event.actor_id)


def is_linked(user: User) -> bool:
    """Whether the person signs in by the identity provider."""
    return bool(SocialAccount.objects.filter(user=user).exists())


def has_second_factor(user: User) -> bool:
    """Whether signing in takes a code of an authenticator app."""
    return bool(Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists())
