"""Who could fill which seat: the people who hold a role, belong to a team or sit on a board, and since when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import F, Q, QuerySet

from approvals import policies
from approvals.models import ApprovalRound, BoardMember, Delegation
from approvals.policies import Stage
from releasemgmt.accounts.models import Role, RoleAssignment, Team, User
from releasemgmt.workflow.prepared import prepared

#: Roles by which somebody belongs to a team: those who only read or administrate don't speak for it.
OF_A_TEAM = [Role.CONTRIBUTOR, Role.RELEASE_MANAGER, Role.CAB_MEMBER, Role.CAB_CHAIR, Role.DEPLOYER]


class Claim(NamedTuple):
    """That a person could fill a seat, for records of one team (None = of every team), since an instant."""

    user: User
    seat: str
    team_id: int | None
    since: datetime


#: Those in whose place a person could vote, themselves first, with what each could fill.
Places = Mapping[User, Sequence[Claim]]


def seats_in(stages: Sequence[Stage], team_id: int | None, *, at: datetime) -> dict[User, frozenset[str]]:
    """Who could fill one of the stages' seats, for a record of that team, and could at that instant."""
    return seats_of(claims(stages), team_id, at=at)


def seats_of(held: Iterable[Claim], team_id: int | None, *, at: datetime) -> dict[User, frozenset[str]]:
    """The same, of claims that are read already."""
    seats: dict[User, set[str]] = defaultdict(set)
    for claim in held:
        if claim.since <= at and (claim.team_id is None or team_id in (None, claim.team_id)):
            seats[claim.user].add(claim.seat)
    return {user: frozenset(held) for user, held in seats.items()}


def pools(stages: Sequence[Stage], teams: Iterable[Team], *, at: datetime) -> list[tuple[str, policies.People]]:
    """The people who could fill the stages' seats, team by team. A constant number of statements."""
    held = [claim for claim in claims(stages) if claim.since <= at]
    found: list[tuple[str, policies.People]] = []
    for team in teams:
        people: dict[int, set[str]] = defaultdict(set)
        for claim in held:
            if claim.team_id in (None, team.pk):
                people[claim.user.pk].add(claim.seat)
        found.append((team.name, {person: frozenset(seats) for person, seats in people.items()}))
    return found


def claims(stages: Iterable[Stage], people: Iterable[User] | None = None) -> list[Claim]:
    """Every claim to one of the stages' seats, by whomever or by these people. One statement, two with boards."""
    stages = list(stages)
    roles = {stage["role"] for stage in stages if "role" in stage}
    teams = {stage["team"] for stage in stages if "team" in stage}
    found = []
    for row in _held(roles, teams, people):
        if row.role in roles:
            found.append(Claim(row.user, row.role, row.team_id, row.granted_at))
        if teams and row.team and row.team.key in teams:
            found.append(Claim(row.user, f"team:{row.team.key}", None, row.granted_at))
    return found + _on_boards({stage["board"] for stage in stages if "board" in stage}, people)


def _held(roles: Collection[str], teams: Collection[str], people: Iterable[User] | None) -> Iterable[RoleAssignment]:
    """What is held by active people of these roles, and of those by which one belongs to these teams."""
    if roles and not teams and people is None:
        return _of_roles(tuple(roles))
    wanted = Q(role__in=roles) | (Q(team__key__in=teams, role__in=OF_A_TEAM) if teams else Q(pk=None))
    held = _by_people(wanted).select_related(*(["team"] if teams else []))
    return held if people is None else held.filter(user__in=people)


@prepared
def _of_roles(roles: tuple[str, ...]) -> QuerySet[RoleAssignment]:
    return _by_people(Q(role__in=roles))


def _by_people(wanted: Q) -> QuerySet[RoleAssignment]:
    held = RoleAssignment.objects.filter(wanted, user__is_active=True, user__kind=User.Kind.HUMAN)
    return held.select_related("user")


def _on_boards(boards: Collection[str], people: Iterable[User] | None) -> list[Claim]:
    """Those who sit on a board of that key, or of that kind, and still hold a role that lets them."""
    if not boards:
        return []
    sitting = BoardMember.objects.seated().filter(Q(board__key__in=boards) | Q(board__kind__in=boards))
    if people is not None:
        sitting = sitting.filter(user__in=people)
    return [
        Claim(seat.user, f"board:{name}", seat.board.team_id, seat.since)
        for seat in sitting.select_related("user", "board")
        for name in boards
        if name in (seat.board.key, seat.board.kind)
    ]


def places_of(user: User, now: datetime) -> Places:
    """In whose place a person could vote now, with every claim: their own, and those delegated. One statement."""
    found: dict[User, list[Claim]] = {user: []}
    for row in user.roles_held():
        found[user].append(Claim(user, row.role, row.team_id, row.granted_at))
        if row.team and row.role in OF_A_TEAM:
            found[user].append(Claim(user, f"team:{row.team.key}", None, row.granted_at))
    held = "delegator__role_assignments__"
    given = Delegation.objects.filter(delegate=user, starts_at__lte=now, ends_at__gt=now, delegator__is_active=True)
    lent: Any = given.annotate(role=F(f"{held}role"), team=F(f"{held}team"), since=F(f"{held}granted_at"))
    for each in lent.select_related("delegator"):
        if each.covers(now) and each.role in each.roles:
            found.setdefault(each.delegator, []).append(Claim(each.delegator, each.role, each.team, each.since))
    return found


def on_boards(places: Places, user: User, stages: Iterable[Stage]) -> Places:
    """The places, with the person's own seats on the boards that are asked. A statement where there are any."""
    seats = _on_boards({stage["board"] for stage in stages if "board" in stage}, [user])
    return {**places, user: [*places[user], *seats]}


def asked_in(round: ApprovalRound, places: Places) -> list[User]:
    """Those of the places from which the round asks for a vote at the step that is open."""
    seats = {policies.seat(stage) for stage in policies.until(round.stages, round.step)}
    team = round.subject.owning_team_id
    return [
        owner
        for owner, held in places.items()
        if any(
            claim.seat in seats
            and claim.since <= round.opened_at
            and (claim.team_id is None or team in (None, claim.team_id))
            for claim in held
        )
    ]
