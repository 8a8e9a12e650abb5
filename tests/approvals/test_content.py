"""What is signed: each part of it, changed alone, voids; nothing else does; put back, the votes count again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from approvals import policies
from approvals.commands import edit_change
from approvals.models import ApprovalRound, ChangeModel, ChangeRequest
from approvals.queries import content, digest, live_votes, sign_off_blockers
from releasemgmt.catalog.models import Component, ReleaseModel
from releasemgmt.releases.commands import create_defect, edit_defect, edit_release, link_defect, write_document
from releasemgmt.releases.models import Release
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted
from tests.approvals.world import World, holds, picture, say
from tests.conftest import NOW
from tests.factories import ProductFactory

Alter = Callable[[World, Any], object]

#: Every material field and another value for it, written past all commands: not even that keeps a vote alive.
RELEASE: dict[str, Alter] = {
    "product": lambda world, release: ProductFactory(),
    "version": lambda world, release: "1.1",
    "type": lambda world, release: "major",
    "model": lambda world, release: ReleaseModel.objects.create(key="other", name="Other"),
    "database_change": lambda world, release: "reversible",
    "risk": lambda world, release: "medium",
    "cycle": lambda world, release: 2,
    "components": lambda world, release: [Component.objects.create(product=world.product, key="two", name="Two")],
    "builds": lambda world, release: [],
}
CHANGE: dict[str, Alter] = {
    "type": lambda world, change: "emergency",
    "model": lambda world, change: world.recipe(),
    "risk": lambda world, change: "medium",
    "implementation_plan": lambda world, change: "Otherwise.",
    "test_plan": lambda world, change: "Otherwise.",
    "backout_plan": lambda world, change: "Otherwise.",
    "components": lambda world, change: list(world.product.components.all()),
    "environments": lambda world, change: [world.production],
    "planned_start": lambda world, change: NOW - timedelta(minutes=1),
    "planned_end": lambda world, change: NOW + timedelta(minutes=1),
    "outage_expected": lambda world, change: True,
    "outage_minutes": lambda world, change: 5,
}


def write(record: Any, field: str, value: object) -> None:
    if isinstance(value, list):
        getattr(record, field).set(value)
    else:
        extra: dict[str, Any] = {"outage_expected": True} if field == "outage_minutes" else {}
        extra |= {"type": "standard"} if isinstance(value, ChangeModel) else {}
        type(record).objects.filter(pk=record.pk).update(**{field: value}, **extra)


def test_the_lists_above_name_every_material_field() -> None:
    assert set(RELEASE) == {name for name, is_material in policies.RELEASE_FIELDS.items() if is_material}
    assert set(CHANGE) == {name for name, is_material in policies.CHANGE_FIELDS.items() if is_material}


@pytest.mark.parametrize("field", RELEASE)
def test_a_material_field_of_a_release_voids(world: World, field: str) -> None:
    release = world.release()
    world.signed(release)
    assert holds(release)
    write(release, field, RELEASE[field](world, release))
    assert not holds(release)
    now_there = Release.objects.get(pk=release.pk)
    assert list(policies.diff(ApprovalRound.objects.get().content, content(now_there))) == [field]
    assert [blocker.code for blocker in sign_off_blockers(now_there, now=NOW)] == ["sign_off_stale"]


@pytest.mark.parametrize("field", CHANGE)
def test_a_material_field_of_a_change_voids_its_round_and_that_of_its_release(world: World, field: str) -> None:
    alone, release = world.assessed(), world.release()
    riding = world.assessed(releases=[release])
    for subject, change in ((alone, alone), (release, riding)):
        world.signed(subject)
        assert holds(subject)
        write(change, field, CHANGE[field](world, change))
        assert not holds(subject)


IMMATERIAL = {
    "title": "Other",
    "description": "Other",
    "target_date": NOW.date(),
    "planned_start": NOW,
    "train": "June",
    "on_hold": True,
    "review": "Fine.",
    "state": "accepted",
    "released_at": NOW,
}


@pytest.mark.parametrize("field", IMMATERIAL)
def test_another_field_of_a_release_does_not(world: World, field: str) -> None:
    release = world.release()
    world.signed(release)
    extra = {"hold_reason": "Wait."} if field == "on_hold" else {}
    Release.objects.filter(pk=release.pk).update(**{field: IMMATERIAL[field]}, **extra)
    assert holds(release)


@pytest.mark.parametrize("field", ["title", "justification", "impact", "incident_reference", "review"])
def test_another_field_of_a_change_does_not(world: World, field: str) -> None:
    change = world.assessed()
    world.signed(change)
    ChangeRequest.objects.filter(pk=change.pk).update(**{field: "Other"})
    assert holds(change)


@pytest.mark.parametrize(
    ("kind", "is_signed"),
    [("deployment_procedure", True), ("impact", True), ("workflow_monitoring", False), ("release_notes", False)],
)
def test_of_the_documents_procedure_and_impact_are_signed(world: World, kind: str, is_signed: bool) -> None:
    release = world.release()
    world.signed(release)
    write_document(release, kind=kind, body="New.", actor=world.author, now=NOW, void_signoffs=True)
    assert holds(release) is not is_signed


@pytest.mark.parametrize(
    ("severity", "relation", "is_signed"),
    [
        ("major", "affects", True),
        ("blocker", "affects", True),
        ("minor", "affects", False),
        ("major", "fixed_in", False),
    ],
)
def test_of_the_defects_those_that_matter_are_signed(
    world: World, severity: str, relation: str, is_signed: bool
) -> None:
    release = world.release()
    world.signed(release)
    defect = create_defect(product=world.product, title="Slow", severity=severity, actor=world.author, now=NOW)
    link_defect(release, defect=defect, relation=relation, actor=world.author, now=NOW, void_signoffs=True)
    assert holds(release) is not is_signed


def test_a_defect_that_gets_worse_voids(world: World) -> None:
    release = world.release()
    defect = create_defect(product=world.product, title="Slow", severity="minor", actor=world.author, now=NOW)
    link_defect(release, defect=defect, actor=world.author, now=NOW)
    world.signed(release)
    before = picture(release, defect)
    with pytest.raises(Conflict) as refused:
        edit_defect(defect, changes={"severity": "major"}, actor=world.author, now=NOW)
    assert refused.value.code == "voids_signoffs"
    assert picture(release, defect) == before
    edit_defect(defect, changes={"severity": "major"}, actor=world.manager, now=NOW, void_signoffs=True)
    assert not holds(release)
    with pytest.raises(NotPermitted):
        say(world.round(release), world.manager)


def test_content_put_back_makes_the_votes_count_again(world: World) -> None:
    release = world.release()
    world.signed(release)
    for kind, expected in (("major", False), ("minor", True)):
        edit_release(release, changes={"type": kind}, actor=world.author, now=NOW, void_signoffs=True)
        assert holds(release) is expected


def test_an_edit_that_voids_votes_is_refused_with_their_names_unless_one_means_it(world: World) -> None:
    release = world.release()
    world.signed(release)
    before = picture(release)
    with pytest.raises(Conflict) as refused:
        edit_release(release, changes={"type": "major"}, actor=world.author, now=NOW)
    votes: Any = refused.value.facts["votes"]
    assert refused.value.code == "voids_signoffs" and [vote["voter"] for vote in votes] == [world.signer.username]
    assert picture(release) == before and holds(release)
    edit_release(release, changes={"title": "Summer"}, actor=world.author, now=NOW)
    assert holds(release)
    edit_release(release, changes={"type": "major"}, actor=world.author, now=NOW, void_signoffs=True)
    assert live_votes(Release.objects.get(pk=release.pk)) == []


def test_editing_a_change_protects_the_votes_on_its_release(world: World) -> None:
    release = world.release()
    change = world.assessed(releases=[release])
    world.signed(release)
    before = picture(change, release)
    with pytest.raises(Conflict) as refused:
        edit_change(change, changes={"backout_plan": "None."}, actor=world.author, now=NOW)
    assert refused.value.code == "voids_signoffs"
    assert picture(change, release) == before
    edit_change(change, changes={"title": "Larger"}, actor=world.author, now=NOW)
    assert holds(release)
    edit_change(change, changes={"backout_plan": "None."}, actor=world.author, now=NOW, void_signoffs=True)
    assert not holds(release)


def test_adding_a_change_to_a_release_protects_the_votes_on_it(world: World) -> None:
    release, change = world.release(), world.change()
    world.signed(release)
    before = picture(change, release)
    with pytest.raises(Conflict):
        edit_change(change, changes={"releases": [release]}, actor=world.author, now=NOW)
    assert picture(change, release) == before and not change.releases.exists()
    edit_change(change, changes={"releases": [release]}, actor=world.author, now=NOW, void_signoffs=True)
    assert not holds(release)


def test_people_raise_a_risk_and_never_lower_it(world: World) -> None:
    change = world.change(risk="medium")
    before = picture(change)
    with pytest.raises(Invalid):
        edit_change(change, changes={"risk": "low"}, actor=world.author, now=NOW)
    assert picture(change) == before
    assert edit_change(change, changes={"risk": "high"}, actor=world.author, now=NOW).risk == "high"


@pytest.mark.parametrize("riders", [0, 4])
def test_a_digest_takes_few_statements_however_much_there_is(
    world: World, riders: int, django_assert_max_num_queries: Any
) -> None:
    release = world.release()
    for n in range(riders):
        world.change(title=f"Change {n}", releases=[release], environments=[world.production])
    release = Release.objects.select_related(*Release.locked_with).get(pk=release.pk)
    with django_assert_max_num_queries(4):
        assert digest(release).startswith("sha256:")


def test_instants_are_signed_in_utc_whatever_their_offset(world: World) -> None:
    change = world.change()
    assert change.planned_start is not None
    elsewhere = change.planned_start.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    there = digest(change)
    change.planned_start = elsewhere
    assert digest(change) == there


def test_a_stranger_to_the_team_edits_nothing(world: World) -> None:
    change = world.change()
    before = picture(change)
    with pytest.raises(NotPermitted):
        edit_change(change, changes={"title": "Mine"}, actor=World().author, now=NOW)
    assert picture(change) == before
