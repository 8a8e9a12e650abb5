"""Who is asked: the people who hold a stage's role, and those among them who may not judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any, TypeVar

from django.db.models import Model as Row
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from approvals import policies
from approvals.models import ApprovalRound, ChangeRequest, Delegation, Model, Subject
from approvals.queries.seats import seats_in
from releasemgmt.accounts.models import User
from releasemgmt.accounts.queries import colleagues
from releasemgmt.catalog.models import Product
from releasemgmt.releases.models import Release, ReleaseCommit
from releasemgmt.workflow.models import Event
from releasemgmt.workflow.prepared import prepared

R = TypeVar("R", bound=Row)

#: stream → its last event that was looked at, and the people who had worked on what is signed until then.
Work = dict[str, dict[str, Any]]
#: person → what they are that keeps them from judging: “requester of REL-1”.
Conflicts = Mapping[int, Sequence[str]]
#: Places in streams that one statement asks about: SQLite takes an expression of a thousand.
PLACES = 512


def electorate(round: ApprovalRound) -> dict[User, frozenset[str]]:
    """Those who could fill one of the stages' seats and could when the round opened. One statement, two with boards."""
    return seats_in(round.stages, round.subject.owning_team_id, at=round.opened_at)


def delegations(round: ApprovalRound, people: Collection[User]) -> list[Delegation]:
    """What these people have delegated since the round opened, to whoever is still active. At most two statements."""
    if not people:
        return []
    given = _given_by(tuple(person.pk for person in people), round.opened_at)
    return with_people(given, "delegate", "delegator", known=people)


@prepared
def _given_by(people: tuple[int, ...], after: datetime) -> QuerySet[Delegation]:
    return Delegation.objects.filter(delegator__pk__in=people, ends_at__gt=after, delegate__is_active=True)


def with_people(rows: Iterable[R], *columns: str, known: Iterable[User]) -> list[R]:
    """The rows with the people whom these columns name, read once each, and not again if they are known.

    One statement, two where somebody is not known.
    """
    found, people = list(rows), {person.pk: person for person in known}
    named = {getattr(row, f"{column}_id") for row in found for column in columns} - {None}
    if unknown := named - set(people):
        people |= User.objects.in_bulk(unknown)
    for row in found:
        for column in columns:
            if (key := getattr(row, f"{column}_id")) is not None:
                setattr(row, column, people[key])
    return found


def conflicts(round: ApprovalRound, people: Collection[User], *, changes: Sequence[ChangeRequest]) -> Conflicts:
    """Those of the people who had a hand in it, with what they did; `changes` are the riding ones. Two statements."""
    authors = _authors([round.release_id] if round.release_id else [], people)
    return conflicts_in([round], people, changes={round.pk: changes}, authors=authors)[round.pk]


def work_on(records: Iterable[Subject], *, known: Work) -> Work:
    """Who has worked on what is signed of these records; only events after those that `known` covers are read."""
    parts = [part for record in records for part in _parts(record)]
    since = {record.stream: known.get(record.stream, {}).get("seq", 0) for record in parts}
    people = {record.stream: set(known.get(record.stream, {}).get("people", ())) for record in parts}
    for stream, _seq, editors in _edits(since.items()):
        people[stream] |= editors
    return {record.stream: {"seq": record.event_seq, "people": sorted(people[record.stream])} for record in parts}


def conflicts_in(
    rounds: Sequence[ApprovalRound],
    people: Collection[User],
    *,
    changes: Mapping[int, Sequence[ChangeRequest]],
    authors: Mapping[int | None, Sequence[int]],
) -> dict[int, Conflicts]:
    """The same for several rounds; `authors` of each release are those of the people who wrote its commits."""
    records = {round.pk: [*_parts(round.subject), *changes.get(round.pk, ())] for round in rounds}
    since = [
        (record.stream, round.editors.get(record.stream, {}).get("seq", 0))
        for round in rounds
        for record in records[round.pk]
    ]
    edits = _edits(since)
    known = {person.pk for person in people}
    found: dict[int, Conflicts] = {}
    for round in rounds:
        why: dict[int, list[str]] = defaultdict(list)
        if isinstance(round.subject, Model):
            why[round.opened_by.pk].append(f"the one who asks for the pre-approval of {round.subject}")
        for record in records[round.pk]:
            _note(why, record, round.editors.get(record.stream, {}), edits)
        for author in authors.get(round.release_id, ()):
            why[author].append(f"author of commits of {round.subject}")
        found[round.pk] = {person: reasons for person, reasons in why.items() if person in known}
    return found


def _parts(record: Subject) -> list[Subject | Product]:
    """The record, and its product where it inherits documents of it: work on these is work on what is signed."""
    return [record, record.product] if isinstance(record, Release) and record.model.inherited else [record]


def _note(
    why: dict[int, list[str]],
    record: Subject | Product,
    known: Mapping[str, Any],
    edits: Iterable[tuple[str, int, set[int]]],
) -> None:
    asking = {record.created_by_id, record.requested_by_id} if isinstance(record, Release | ChangeRequest) else set()
    for person in filter(None, asking):
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
    places, found = list(since), []
    for begin in range(0, len(places), PLACES):
        streams, seqs = zip(*places[begin : begin + PLACES], strict=True)
        found += [
            (stream, seq, {actor, behalf} - {None})
            for stream, seq, kind, data, actor, behalf in _edits_after(streams, seqs)
            if policies.is_edit(kind, data)
        ]
    return found


@prepared
def _edits_after(streams: tuple[str, ...], seqs: tuple[int, ...]) -> QuerySet[Event, tuple[Any, ...]]:
    places = (Q(stream=stream, seq__gt=seq) for stream, seq in zip(streams, seqs, strict=True))
    events = Event.objects.filter(reduce(or_, places), kind__in=list(policies.EDITS))
    return events.values_list("stream", "seq", "kind", "data", "actor", "on_behalf_of")


def _authors(releases: Collection[int], people: Collection[User]) -> dict[int | None, list[int]]:
    """For each release those of whom an address, present or former, is the author of a commit. One statement."""
    addresses: dict[str, list[int]] = defaultdict(list)
    for person in people:
        for address in person.addresses:
            addresses[address].append(person.pk)
    written = ReleaseCommit.objects.filter(release__in=releases).annotate(author=Lower("commit__author"))
    found: dict[int | None, list[int]] = defaultdict(list)
    if releases and addresses:
        for release, author in written.filter(author__in=list(addresses)).values_list("release", "author").distinct():
            found[release] += addresses[author]
    return found


def in_sight(people: Iterable[User], *, of: Subject, user: User) -> list[User]:
    """Those of the people asked of whom the user is told: of what belongs to no team, only whom they can name."""
    found = list(people)
    if not found or of.owning_team_id is not None or user.visible_team_ids() is None:
        return found
    seen = set(colleagues(user).filter(pk__in=[person.pk for person in found]).values_list("pk", flat=True))
    return [person for person in found if person.pk in seen]
