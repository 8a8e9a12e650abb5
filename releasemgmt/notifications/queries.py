"""Who hears of an event, and the published log of events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils.module_loading import import_string

from releasemgmt.accounts import roles
from releasemgmt.accounts.models import Role, User
from releasemgmt.workflow.models import Aggregate, Event, OutboxHead
from releasemgmt.workflow.queries import aggregates


def audience(event: Event) -> list[User]:
    """Those whom the event asks for something or tells an outcome: people, active, who see it and didn't do it."""
    path = settings.NOTIFICATION_AUDIENCES.get(event.kind)
    if path is None:
        return []
    named: Iterable[User] = import_string(path)(event)
    in_team = Q(role_assignments__team=None) | Q(role_assignments__team=event.team_id)
    in_sight = in_team if event.team_id else Q()
    people = User.objects.filter(in_sight, kind=User.Kind.HUMAN, is_active=True, role_assignments__isnull=False)
    return list(people.filter(pk__in={user.pk for user in named}).exclude(pk=event.actor_id).distinct().order_by("pk"))


def record_of(event: Event) -> Aggregate:
    """The record in whose stream the event stands."""
    name, _, pk = event.stream.partition(":")
    model = next(model for model in aggregates() if model._meta.model_name == name)
    return model._base_manager.select_related(*model.locked_with).get(pk=pk)


def log_for(user: User) -> QuerySet[Event]:
    """The published log, in its order, as far as the user sees it; what belongs to no team is for global roles."""
    rows = Event.objects.select_related("published", "actor", "on_behalf_of").order_by("published__position")
    return roles.visible_to(user, rows, team="team_id")


def last_position() -> int:
    """How far the published log reaches."""
    return OutboxHead.objects.values_list("position", flat=True).first() or 0


def people_in(team_id: int | None, *wanted: Role) -> QuerySet[User, Any]:
    """Those who hold one of the roles in the team or globally; for the audiences of the apps above."""
    held = Q(role_assignments__team=None) | Q(role_assignments__team=team_id)
    return User.objects.filter(held, role_assignments__role__in=wanted).distinct()
