"""The evidence pack of a release: all that is recorded of it, so that somebody else can check it without us.

A pack is flat: lists of rows as the tables hold them, each with an `id` that is unique in its list. `manifest` has the
digest of each row, `hash` is over everything, and `signature` over everything but these two. How it is checked stands
in management/commands/verify_evidence.py, which needs nothing but Python.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import reduce
from hashlib import sha256
from itertools import chain
from operator import or_
from typing import Any

from django.conf import settings
from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.functions import Cast

from approvals import policies
from approvals.models import ApprovalRound, ChangeRequest, Condition, Vote
from approvals.queries import content, contents, current_round, riding, signed_off_by, standing
from deployments.models import Deployment, DeploymentPlan, DeploymentTask, Incident, Verification
from deployments.models.preparation import name_of
from deployments.queries import incidents_of
from releasemgmt.accounts.models import User
from releasemgmt.catalog.models import Component, ReleaseModel
from releasemgmt.portal import story
from releasemgmt.portal.covers import covers, in_words
from releasemgmt.portal.management.commands.verify_evidence import FORMAT, PACK_PREFIX, digest, manifest
from releasemgmt.releases import queries
from releasemgmt.releases.models import Build, Commit, DefectLink, Document, Exposure, Release, TestRun
from releasemgmt.workflow import signatures
from releasemgmt.workflow.commands import canonical, event_body
from releasemgmt.workflow.models import Aggregate, Event, StatefulModel

Row = dict[str, Any]

#: Where the API has the records.
API = {Release: "releases", ChangeRequest: "changes", DeploymentPlan: "deployment-plans", Incident: "incidents"}

#: Events of the product's stream that belong to a release if they name one of its builds.
OF_BUILDS = ("releases.build.register", "releases.test_run.record", "deployments.deployment.report")
#: What an auditor asks about: work sent back, given up, held up, taken back, refused.
DEVIATIONS = {
    "approvals.changerequest.cancel",
    "approvals.changerequest.record",
    "approvals.changerequest.reject",
    "approvals.changerequest.revise",
    "approvals.round.reject",
    "approvals.round.withdraw",
    "approvals.round.expire",
    "approvals.round.lose_quorum",
    "approvals.vote.revoke",
    "deployments.deploymentplan.back_out",
    "deployments.deploymentplan.cancel",
    "deployments.deploymentplan.fail",
    "deployments.deploymentplan.hold_up",
    "deployments.deploymentplan.miss",
    "deployments.preparation.refute",
    "deployments.task.fail",
    "deployments.task.skip",
    "releases.release.cancel",
    "releases.release.rework",
    "releases.release.roll_back",
    "workflow.refused",
}


def pack(release: Release, *, now: datetime) -> dict[str, Any]:
    """Everything about the release, hashed, and signed where a key is configured. A constant number of statements."""
    body = {"format": FORMAT, "made_at": _plain(now), **_sections(release, now=now)}
    body["manifest"] = manifest(body)
    key = settings.CHECKPOINT_KEY
    value = signatures.sign(PACK_PREFIX + canonical(body), key=key) if key else ""
    body["signature"] = {"public_key": signatures.public_key(key), "value": value} if key else None
    return {**body, "hash": digest(body)}


def to_read(pack: Mapping[str, Any]) -> dict[str, Any]:
    """The pack as a page to print shows it: votes by round, tasks by plan, events as sentences with names."""
    names = {person["id"]: person["name"] for person in pack["people"]}
    called = {person["username"]: person["name"] for person in pack["people"]}
    conditions, tasks = _by(pack["conditions"], "vote"), _by(pack["tasks"], "plan")
    verified = _by(pack["verifications"], "plan")
    votes = _by([{**vote, "conditions": conditions[vote["id"]]} for vote in pack["votes"]], "round")
    return {
        **pack,
        "rounds": [{**round, "votes": votes[round["id"]]} for round in pack["rounds"]],
        "plans": [_plan_to_read(plan, tasks, verified) for plan in pack["plans"]],
        "deployments": [{**each, "cover": _cover_of(each)} for each in pack["deployments"]],
        "deviations": [{**each, "who": called[each["by"]]} for each in pack["deviations"]],
        "events": [
            {
                **event,
                "who": names[event["actor"]],
                "told": story.sentence(Event(kind=event["kind"], data=event["data"])),
            }
            for event in pack["events"]
        ],
    }


def _plan_to_read(plan: Row, tasks: Mapping[Any, list[Row]], verified: Mapping[Any, list[Row]]) -> Row:
    number = plan["number"]
    said = [{**each, "item": name_of(each["kind"], each["title"])} for each in verified[number]]
    return {**plan, "tasks": tasks[number], "verifications": said}


def _told_of(event: Row) -> str:
    return story.sentence(Event(kind=event["kind"], data=event["data"]))


def _cover_of(deployment: Row) -> str:
    covered = deployment["covered_by"]
    return "" if covered is None else in_words(covered)


def _by(rows: Iterable[Row], name: str) -> Mapping[Any, list[Row]]:
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[name]].append(row)
    return found


def _sections(release: Release, *, now: datetime) -> dict[str, Any]:
    changes = riding(release)
    about = Q(release=release) | Q(change__in=changes) | Q(model=release.model)
    rounds = list(ApprovalRound.objects.filter(about).order_by("pk"))
    votes = list(Vote.objects.filter(round__in=rounds).order_by("pk"))
    conditions = list(Condition.objects.filter(vote__in=votes).order_by("pk"))
    plans = list(DeploymentPlan.objects.filter(release=release).select_related("environment").order_by("pk"))
    rows = _rows(release, plans)
    digests = [build.digest for build in rows["builds"]]
    events = list(_events(release, [*changes, *plans, *rows["incidents"]], digests=digests, rounds=rounds))
    defects = [link.defect for link in rows["defects"]]
    people = _people(
        [release, *changes, *rounds, *votes, *conditions, *plans, *chain(*rows.values()), *defects, *events]
    )
    write = _Pen(people)
    return {
        "release": {**write(release), "components": sorted(release.components.values_list("key", flat=True))},
        "content": _content(release, changes),
        "model": write(release.model),
        "sign_off": signed_off_by(release, now=now),
        "rounds": [{**write(round), "subject": _subject(round, release.model)} for round in rounds],
        "votes": _votes(release, changes, votes, write),
        "conditions": [write(condition) for condition in conditions],
        "changes": _changes(changes, write),
        "test_plan": _test_plan(release),
        **_told(rows, write),
        "plans": [write(plan) for plan in plans],
        "deviations": [_deviation(event, people) for event in events if _deviates(event)],
        "events": [_event(event) for event in events],
        "people": [
            {"id": person.pk, "username": person.username, "name": str(person), "kind": person.kind}
            for person in people.values()
        ],
    }


def _rows(release: Release, plans: Iterable[DeploymentPlan]) -> dict[str, list[Any]]:
    """The rows that hang on the release, by section; each section is one statement, and one for its members."""
    builds = list(release.builds.select_related("component").order_by("pk"))
    runs = TestRun.objects.filter(builds__in=builds).distinct().select_related("environment")
    tasks = DeploymentTask.objects.filter(plan__in=plans).select_related("endpoint").prefetch_related("depends_on")
    of_it = Q(release=release) | Q(plan__release=release)  # a rollback brings back another one
    deployments = Deployment.objects.filter(of_it).select_related("environment", "release")
    attempts = list(deployments.prefetch_related("builds").order_by("pk"))
    incidents = incidents_of([each for each in attempts if each.release_id == release.pk])
    exposures = Exposure.objects.filter(release=release).select_related("environment")
    return {
        "documents": list(queries.documents(release, Document.Kind.values).values()),
        "test_runs": list(runs.prefetch_related("builds").order_by("pk")),
        "builds": builds,
        "commits": list(Commit.objects.filter(releases=release).order_by("pk")),
        "defects": list(DefectLink.objects.filter(release=release).select_related("defect__component").order_by("pk")),
        "deployments": attempts,
        "incidents": list(incidents.select_related("environment").prefetch_related("components")),
        "tasks": list(tasks.order_by("pk")),
        "verifications": list(Verification.objects.filter(plan__in=plans).order_by("pk")),
        "exposures": list(exposures.order_by("pk")),
    }


def _told(rows: Mapping[str, Iterable[Any]], write: _Pen) -> dict[str, list[Row]]:
    """The rows as they are written, each with what its own table does not say."""
    covered = covers([each for each in rows["deployments"] if each.environment.is_production])
    more: dict[str, Callable[[Any], Row]] = {
        "documents": lambda each: {"id": each.kind, "sha256": f"sha256:{sha256(each.body.encode()).hexdigest()}"},
        "test_runs": lambda run: {"builds": _digests(run.builds.all())},
        "defects": lambda link: {"defect": write(link.defect)},
        "deployments": lambda each: {"builds": _digests(each.builds.all()), "covered_by": covered.get(each.pk)},
        "incidents": lambda each: {"components": _keys(each.components.all()), "suspected": each.suspect_id},
        "tasks": lambda task: {"depends_on": sorted(other.pk for other in task.depends_on.all())},
    }
    return {
        name: [write(row) | (more[name](row) if name in more else {}) for row in found] for name, found in rows.items()
    }


def _test_plan(release: Release) -> list[Row]:
    return [
        {"id": f"{each.suite} in {each.tier}", "gates": each.gates, "passed": each.passed}
        | {"run": each.run.pk if each.run else None}
        for each in queries.test_plan(release)
    ]


def _content(release: Release, changes: Sequence[ChangeRequest]) -> dict[str, Any]:
    now = content(release, changes=changes)
    return {"digest": policies.digest(now), "content": now}


def _changes(changes: Sequence[ChangeRequest], write: _Pen) -> list[Row]:
    signed = contents(changes)
    return [
        {**write(change), "digest": policies.digest(signed[change.pk]), "content": signed[change.pk]}
        for change in changes
    ]


def _votes(release: Release, changes: Sequence[ChangeRequest], votes: Iterable[Vote], write: _Pen) -> list[Row]:
    """Whether a vote counts is said of the release's latest round only: the others decide nothing any more."""
    latest = current_round(release)
    counting = standing(latest, subject=release, changes=changes).counting if latest else []
    counts = {vote.pk for vote in counting}
    return [
        {**write(vote), "counts": vote.pk in counts if latest and vote.round_id == latest.pk else None}
        for vote in votes
    ]


def _subject(round: ApprovalRound, model: ReleaseModel) -> str:
    if round.model_id:
        return model.number
    kind, key = (Release, round.release_id) if round.release_id else (ChangeRequest, round.change_id)
    return f"{kind.NUMBER_PREFIX}-{key}"


def _digests(builds: Iterable[Build]) -> list[str]:
    return sorted(build.digest for build in builds)


def _keys(components: Iterable[Component]) -> list[str]:
    return sorted(component.key for component in components)


def _events(
    release: Release,
    others: Iterable[Aggregate],
    *,
    digests: Iterable[str],
    rounds: Iterable[ApprovalRound],
) -> QuerySet[Event]:
    """Their whole streams, what the product's says of these builds, and refusals that name one of them."""
    records = [release, *others]
    whole = Q(stream__in=[release.model.stream, *(record.stream for record in records)])
    said = reduce(or_, (Q(said__contains=each) for each in digests), Q(pk=None))
    product = Q(stream=release.product.stream, kind__in=OF_BUILDS) & said
    at = reduce(or_, (Q(data__subject__startswith=each) for each in _addresses(records, rounds)))
    events = Event.objects.annotate(said=Cast("data", TextField()))
    return events.filter(whole | product | Q(kind="workflow.refused") & at).order_by("stream", "seq")


def _addresses(records: Iterable[Aggregate], rounds: Iterable[ApprovalRound]) -> Iterator[str]:
    """Where the records and their rounds are reached: a refusal says which address was called."""
    for record in records:
        for name in _names(record):
            yield f"/api/v1/{API[type(record)]}/{name}/"
        yield f"/admin/{record._meta.app_label}/{record._meta.model_name}/{record.pk}/"
    for round in rounds:
        yield f"/api/v1/approvals/{round.pk}/"
        yield f"/admin/approvals/approvalround/{round.pk}/"


def _names(record: Aggregate) -> Iterator[str]:
    yield record.number
    if isinstance(record, Release):
        yield f"{record.product.key}@{record.version}"


def _deviates(event: Event) -> bool:
    held = event.kind == "releases.release.edit" and "on_hold" in event.data["changes"]
    return event.kind in DEVIATIONS or held or bool(event.data.get("unauthorised")) or "override" in event.kind


def _deviation(event: Event, people: Mapping[int, User]) -> Row:
    what = story.sentence(event)
    told = {"id": f"{event.stream}/{event.seq}", "at": _plain(event.at), "by": people[event.actor_id].username}
    return told | {"what": what, "reason": event.data.get("reason", "")}


def _event(event: Event) -> Row:
    """An event as it is hashed, its instant as text."""
    body = event_body(event)
    stream, seq, prev = body.pop("stream"), body.pop("seq"), body.pop("prev")
    first = {"id": f"{stream}/{seq}", "stream": stream, "seq": seq}
    return first | body | {"at": _plain(event.at), "prev_hash": prev, "hash": event.hash}


def _people(rows: Iterable[Model]) -> dict[int, User]:
    """Everybody whom the rows name. One statement."""
    keys = {getattr(row, field.attname) for row in rows for field in row._meta.concrete_fields if _is_person(field)}
    return {person.pk: person for person in User.objects.filter(pk__in=keys - {None}).order_by("pk")}


def _is_person(field: Any) -> bool:
    return field.is_relation and field.related_model is User


class _Pen:
    """Writes a row with all its columns; people by their user name, records by their number or key."""

    def __init__(self, people: Mapping[int, User]) -> None:
        self.people = people

    def __call__(self, row: Model) -> Row:
        number = {"number": row.number} if isinstance(row, Aggregate) else {}
        return {"id": row.pk, **number, **{field.name: self._cell(row, field) for field in row._meta.concrete_fields}}

    def _cell(self, row: Model, field: Any) -> Any:
        value = getattr(row, field.attname)
        if value is None or not field.is_relation:
            return _plain(value)
        if _is_person(field):
            return self.people[value].username
        if issubclass(field.related_model, StatefulModel):
            return f"{field.related_model.NUMBER_PREFIX}-{value}"
        related = getattr(row, field.name) if field.is_cached(row) else None
        return getattr(related, "number", None) or getattr(related, "key", value)


def _plain(value: Any) -> Any:
    """A value as JSON holds it; instants with their microseconds, in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else value
