"""Who hears of what happens in a round: those whose vote it asks for, those who wait for it, those who can help."""

from __future__ import annotations

from django.db.models import QuerySet

from approvals.models import SUBJECTS, ApprovalRound
from approvals.queries.rounds import standing
from approvals.queries.seats import seats_in
from releasemgmt.accounts.models import Role, User
from releasemgmt.notifications.queries import people_in
from releasemgmt.workflow.models import Event


def eligible_voters(event: Event) -> list[User]:
    """Those whose vote a round asks for now, and those who may vote in their place."""
    round = _round_of(event)
    stands = standing(round, subject=round.subject)
    asked = stands.waiting
    places = {person.pk for person in asked}
    standing_in = [each for each in stands.delegations if each.delegator_id in places and each.covers(event.at)]
    return [*asked, *(each.delegate for each in standing_in if not stands.reasons_against(each.delegate))]


def askers(event: Event) -> QuerySet[User, User]:
    """Those who wait for a round's outcome: who asked for the record, who answers for it, and who opened the round."""
    return User.objects.filter(pk__in=_round_of(event).awaited_by)


def those_who_can_help(event: Event) -> list[User]:
    """Those who can help a round on: who waits for it, and the release managers and chairs of the team."""
    round = _round_of(event)
    roles = [{"role": role.value} for role in (Role.RELEASE_MANAGER, Role.CAB_CHAIR)]
    return [*askers(event), *seats_in(roles, round.subject.owning_team_id, at=event.at)]  # type: ignore[arg-type]


def release_managers(event: Event) -> QuerySet[User, User]:
    """The release managers of the record's team."""
    return people_in(event.team_id, Role.RELEASE_MANAGER)


def hear_comment(event: Event) -> QuerySet[User, User]:
    """While a round on the record is open: those who wait for it, and those who have said something since."""
    model, _, pk = event.stream.partition(":")
    field = {kind._meta.model_name: field for kind, field in SUBJECTS.items()}.get(model)
    round = field and ApprovalRound.objects.open().filter(**{field: pk}).with_subject().first()
    if not round:
        return User.objects.none()
    said = Event.objects.filter(stream=event.stream, kind="comment", at__gte=round.opened_at, seq__lt=event.seq)
    return User.objects.filter(pk__in={*round.awaited_by, *said.values_list("actor", flat=True)})


def _round_of(event: Event) -> ApprovalRound:
    return ApprovalRound.objects.with_subject().get(pk=event.data["round"])
