"""Who is asked: the people who hold a stage's role, those among them who may not judge, and who hears of a round."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from approvals import policies
from approvals.models import ApprovalRound, ChangeRequest
from approvals.queries.content import Subject, riding
from releasemgmt.accounts.models import RoleAssignment, User
from releasemgmt.releases.models import ReleaseCommit
from releasemgmt.workflow.models import Event

#: stream → its last event that was looked at, and the people who had worked on what is signed until then.
Work = dict[str, dict[str, Any]]
#: person → what they are that keeps them from judging: “requester of REL-1”.
Conflicts = Mapping[int, Sequence[str]]
#: Rounds looked at in one statement.
CHUNK = 100


def electorate(round: ApprovalRound) -> dict[User, frozenset[str]]:
    """Those who hold one of the stages' roles and held it when the round opened, with the roles. One statement."""
    roles: dict[User, set[str]] = defaultdict(set)
    for held in _held(round.stages).filter(granted_at__lte=round.opened_at).filter(_in_team(round.subject)):
        roles[held.user].add(held.role)
    return {user: frozenset(held) for user, held in roles.items()}


def conflicts(round: ApprovalRound, people: Collection[User], *, changes: Sequence[ChangeRequest]) -> Conflicts:
    """Those of the people who had a hand in it, with what they did; `changes` are the riding ones. Two statements."""
    return _conflicts([round], people, changes={round.pk: changes})[round.pk]


def work_on(records: Iterable[Subject], *, known: Work) -> Work:
    """Who has worked on what is signed of these records; only events after those that `known` covers are read."""
    records = list(records)
    since = {record.stream: known.get(record.stream, {}).get("seq", 0) for record in records}
    people = {record.stream: set(known.get(record.stream, {}).get("people", ())) for record in records}
    for stream, _seq, editors in _edits(since.items()):
        people[stream] |= editors
    return {record.stream: {"seq": record.event_seq, "people": sorted(people[record.stream])} for record in records}


def waiting_for(user: User) -> list[ApprovalRound]:
    """The open rounds that wait for this person's vote, the oldest first."""
    if user.kind != User.Kind.HUMAN or not user.is_active:
        return []
    voted = ApprovalRound.objects.filter(votes__voter=user, votes__revoked_at=None)
    rounds = ApprovalRound.objects.open().visible_to(user).exclude(pk__in=voted.values("pk")).with_subject()
    held = list(user.role_assignments.values_list("role", "team_id", "granted_at"))
    asked = [
        round
        for round in rounds.order_by("opened_at", "pk")
        if any(
            role in [stage["role"] for stage in round.stages]
            and team in (None, round.subject.owning_team_id)
            and granted_at <= round.opened_at
            for role, team, granted_at in held
        )
    ]
    chunks = [asked[begin : begin + CHUNK] for begin in range(0, len(asked), CHUNK)]
    return [round for chunk in chunks for round in _unconflicted(chunk, user)]


def eligible_voters(event: Event) -> list[User]:
    """Those whose vote a round asks for: the audience of its opening."""
    round = _round_of(event)
    people = electorate(round)
    barred = conflicts(round, people, changes=riding(round.subject))
    return [person for person in people if person.pk not in barred]


def askers(event: Event) -> QuerySet[User, Any]:
    """Those who wait for a round's outcome: who asked for the record, who answers for it, and who opened the round."""
    round = _round_of(event)
    subject = round.subject
    waiting = {round.opened_by_id, subject.created_by_id, subject.requested_by_id}
    waiting.add(subject.implementer_id if isinstance(subject, ChangeRequest) else subject.release_manager_id)
    return User.objects.filter(pk__in=[pk for pk in waiting if pk])


def _round_of(event: Event) -> ApprovalRound:
    return ApprovalRound.objects.with_subject().get(pk=event.data["round"])


def _held(stages: Iterable[policies.Stage]) -> QuerySet[RoleAssignment]:
    people = {"user__is_active": True, "user__kind": User.Kind.HUMAN}
    return RoleAssignment.objects.filter(role__in=[stage["role"] for stage in stages], **people).select_related("user")


def _in_team(subject: Subject) -> Q:
    return Q(team=None) | Q(team=subject.owning_team_id)


def _unconflicted(rounds: Sequence[ApprovalRound], user: User) -> list[ApprovalRound]:
    changes: dict[int, list[ChangeRequest]] = defaultdict(list)
    releases = {round.release_id: round.pk for round in rounds if round.release_id}
    links = ChangeRequest.releases.through.objects.filter(release__in=list(releases))
    for link in links.select_related("changerequest").order_by("changerequest"):
        changes[releases[link.release_id]].append(link.changerequest)
    found = _conflicts(rounds, [user], changes=changes)
    return [round for round in rounds if user.pk not in found[round.pk]]


def _conflicts(
    rounds: Sequence[ApprovalRound], people: Collection[User], *, changes: Mapping[int, Sequence[ChangeRequest]]
) -> dict[int, dict[int, list[str]]]:
    records = {round.pk: [round.subject, *changes.get(round.pk, ())] for round in rounds}
    since = [
        (record.stream, round.editors.get(record.stream, {}).get("seq", 0))
        for round in rounds
        for record in records[round.pk]
    ]
    edits = _edits(since)
    authors = _authors([round.release_id for round in rounds if round.release_id], people)
    found: dict[int, dict[int, list[str]]] = {}
    for round in rounds:
        why: dict[int, list[str]] = defaultdict(list)
        for record in records[round.pk]:
            _note(why, record, round.editors.get(record.stream, {}), edits)
        for author in authors[round.release_id]:
            why[author].append(f"author of commits of {round.subject}")
        known = {person.pk for person in people}
        found[round.pk] = {person: reasons for person, reasons in why.items() if person in known}
    return found


def _note(
    why: dict[int, list[str]], record: Subject, known: Mapping[str, Any], edits: Iterable[tuple[str, int, set[int]]]
) -> None:
    for person in {record.created_by_id, record.requested_by_id}:
        if person:
            why[person].append(f"requester of {record}")
    if isinstance(record, ChangeRequest) and record.implementer_id:
        why[record.implementer_id].append(f"implementer of {record}")
    since, editors = known.get("seq", 0), set(known.get("people", ()))
    for stream, seq, editing in edits:
        if stream == record.stream and seq > since:
            editors |= editing
    for person in sorted(editors):
        why[person].append(f"editor of {record}")


def _edits(since: Iterable[tuple[str, int]]) -> list[tuple[str, int, set[int]]]:
    """Work on what is signed, after these places in these streams, as (stream, seq, people). One statement."""
    after = Q(pk=None)
    for stream, seq in since:
        after |= Q(stream=stream, seq__gt=seq)
    events = Event.objects.filter(after, kind__in=list(policies.EDITS))
    return [
        (stream, seq, {actor, behalf} - {None})
        for stream, seq, kind, facts, actor, behalf in events.values_list(
            "stream", "seq", "kind", "data", "actor", "on_behalf_of"
        )
        if policies.is_edit(kind, facts)
    ]


def _authors(releases: Collection[int], people: Collection[User]) -> dict[int | None, list[int]]:
    """For each release those whose address is the author of one of its commits. One statement."""
    addresses: dict[str, list[int]] = defaultdict(list)
    for person in people:
        if person.email:
            addresses[person.email.lower()].append(person.pk)
    written = ReleaseCommit.objects.filter(release__in=releases).annotate(author=Lower("commit__author"))
    found: dict[int | None, list[int]] = defaultdict(list)
    if releases and addresses:
        for release, author in written.filter(author__in=list(addresses)).values_list("release", "author").distinct():
            found[release] += addresses[author]
    return found
