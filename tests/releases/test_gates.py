"""What keeps a release from moving on, each gate closed and open."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from releasemgmt.accounts.commands import system
from releasemgmt.catalog.commands import write_product_document
from releasemgmt.catalog.models import ReleaseModel
from releasemgmt.releases.commands import (
    close,
    edit_release,
    expose,
    link_defect,
    register_build,
    set_builds,
    write_document,
)
from releasemgmt.releases.models import Build, Document, Release
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Blocked, Conflict, Invalid, NotPermitted, WrongState
from releasemgmt.workflow.gates import blockers
from tests.conftest import NOW
from tests.factories import EnvironmentFactory, ProductFactory
from tests.releases.world import SUITES, World
from tests.web.world import picture

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def world() -> World:
    return World(ProductFactory(components=["app", "worker"]))


@pytest.fixture
def unsigned(settings: Any) -> None:
    """Acceptance without approvals: their own tests hold that gate."""
    gates = settings.WORKFLOW_GATES["releases.Release.accept"]
    ours = [gate for gate in gates if gate.startswith("releasemgmt.")]
    settings.WORKFLOW_GATES = {**settings.WORKFLOW_GATES, "releases.Release.accept": ours}


def codes(release: Any, transition: str, actor: Any, *, at: Any = NOW) -> list[str]:
    before = picture(release)
    with pytest.raises(Blocked) as refused:
        fire(release, transition, actor=actor, now=at)
    assert picture(release) == before
    return [blocker.code for blocker in refused.value.blockers]


def test_each_component_needs_a_build(world: World) -> None:
    release = world.planned(components=list(world.product.components.all()))
    assert codes(release, "build", world.ci) == ["build_missing", "build_missing"]
    set_builds(release, builds=[world.build(1), world.build(2, component="worker")], actor=world.ci, now=NOW)
    assert fire(release, "build", actor=world.ci, now=NOW).state == "built"


def test_a_release_without_a_component_is_not_built(world: World) -> None:
    assert codes(world.planned(components=[]), "build", world.ci) == ["no_components"]


def test_each_suite_must_have_passed_on_exactly_these_builds(world: World) -> None:
    release = world.built()
    assert codes(release, "pass_integration", world.ci) == ["suite_not_passed"] * 3
    for suite, environment in SUITES:
        world.run(release, suite, environment)
    set_builds(release, builds=[world.build(2)], actor=world.ci, now=NOW)
    fire(release, "build", actor=world.ci, now=NOW)
    assert codes(release, "pass_integration", world.ci) == ["suite_not_passed"] * 3


@pytest.mark.parametrize("counts", [{"failed": 1}, {"errors": 1}, {"passed": 0}, {"passed": 0, "skipped": 9}])
def test_the_latest_run_decides(world: World, counts: dict[str, int]) -> None:
    release = world.built()
    for suite, environment in SUITES:
        world.run(release, suite, environment)
    world.run(release, "smoke", "test", at=LATER, **counts)
    assert codes(release, "pass_integration", world.ci) == ["suite_not_passed"]
    world.run(release, "smoke", "test", at=LATER + timedelta(hours=1))
    assert fire(release, "pass_integration", actor=world.ci, now=NOW).state == "integration_tested"


def test_a_run_in_another_tier_does_not_count(world: World) -> None:
    release = world.built()
    for suite, _environment in SUITES:
        world.run(release, suite, "development")
    assert codes(release, "pass_integration", world.ci) == ["suite_not_passed"] * 3


def test_acceptance_needs_suite_documents_and_no_grave_defect(world: World, unsigned: None) -> None:
    release = world.tested()
    link_defect(release, defect=world.defect(), actor=world.author, now=NOW)
    closed = codes(release, "accept", world.manager)
    assert closed == ["suite_not_passed", *["document_missing"] * 4, "blocking_defect"]
    world.run(release, "acceptance", "staging")
    world.document(release)
    assert codes(release, "accept", world.manager) == ["blocking_defect"]


def test_an_accepted_defect_blocks_again_when_the_acceptance_expires(world: World, unsigned: None) -> None:
    release, defect = world.tested(), world.defect()
    world.run(release, "acceptance", "staging")
    world.document(release)
    accepting: dict[str, Any] = {"disposition": "accepted", "reason": "A workaround is known.", "accepted_until": LATER}
    link_defect(release, defect=defect, actor=world.manager, now=NOW, **accepting)
    assert codes(release, "accept", world.manager, at=LATER) == ["blocking_defect"]
    assert fire(release, "accept", actor=world.manager, now=NOW).state == "accepted"


def test_a_fixed_defect_blocks_no_more(world: World, unsigned: None) -> None:
    release, defect = world.tested(), world.defect()
    link_defect(release, defect=defect, actor=world.author, now=NOW)
    world.run(release, "acceptance", "staging")
    world.document(release)
    fire(defect, "fix", actor=world.author, now=NOW)
    assert fire(release, "accept", actor=world.manager, now=NOW).state == "accepted"


def test_nobody_accepts_the_defect_they_reported(world: World) -> None:
    release, defect = world.tested(), world.defect()
    reporter = world.someone("release_manager")
    own = world.defect(title="Mine", severity="blocker")
    type(own).objects.filter(pk=own.pk).update(reported_by=reporter)
    own.refresh_from_db()
    before = picture(release)
    accepting: dict[str, Any] = {"disposition": "accepted", "reason": "Fine.", "accepted_until": LATER, "now": NOW}
    with pytest.raises(NotPermitted):
        link_defect(release, defect=own, actor=reporter, **accepting)
    with pytest.raises(NotPermitted):
        link_defect(release, defect=defect, actor=world.author, **accepting)
    with pytest.raises(Invalid):
        link_defect(release, defect=defect, actor=world.manager, **{**accepting, "reason": " "})
    with pytest.raises(Invalid):
        link_defect(release, defect=defect, actor=world.manager, **{**accepting, "accepted_until": NOW})
    assert picture(release) == before


def test_on_hold_closes_the_way_forward_and_leaves_the_way_back(world: World) -> None:
    release = world.built()
    edit_release(release, changes={"on_hold": True, "hold_reason": "Audit"}, actor=world.manager, now=NOW)
    assert codes(release, "pass_integration", world.ci)[0] == "on_hold"
    assert fire(release, "rework", actor=world.ci, now=NOW, reason="Anyway.").state == "planned"


def test_hold_needs_a_reason(world: World) -> None:
    release = world.built()
    before = picture(release)
    with pytest.raises(Invalid):
        edit_release(release, changes={"on_hold": True}, actor=world.manager, now=NOW)
    assert picture(release) == before


def test_other_builds_are_a_rework_until_acceptance_and_then_refused(world: World, unsigned: None) -> None:
    release = set_builds(world.built(), builds=[world.build(7)], actor=world.ci, now=NOW)
    assert (release.state, release.cycle) == ("planned", 2)
    accepted = world.accepted("2.0")
    before = picture(accepted)
    with pytest.raises(WrongState):
        set_builds(accepted, builds=[world.build(8)], actor=world.ci, now=NOW)
    assert picture(accepted) == before


def test_a_build_is_what_it_was_registered_as(world: World) -> None:
    build = world.build()
    assert world.build() == build
    facts: dict[str, Any] = {"product": world.product, "component": build.component, "built_at": NOW, "now": NOW}
    facts |= {"commit_sha": build.commit_sha, "artifact_uri": build.artifact_uri, "actor": world.ci}
    with pytest.raises(Conflict):
        register_build(**facts, digest="sha256:" + "f" * 64, ci_url="")
    with pytest.raises(Conflict):
        register_build(**{**facts, "commit_sha": "e" * 40}, digest=build.digest, ci_url="")
    with pytest.raises(Invalid):
        register_build(**facts, digest="", ci_url="")
    assert Build.objects.count() == 1


def test_a_foreign_build_or_two_of_a_component_are_refused(world: World) -> None:
    release, before = world.planned(), None
    before = picture(release)
    stranger = World(ProductFactory()).build(9)
    for builds in ([stranger], [world.build(1), world.build(2)]):
        with pytest.raises(Invalid):
            set_builds(release, builds=builds, actor=world.ci, now=NOW)
    assert picture(release) == before


def test_risk_is_raised_by_people_and_never_lowered(world: World) -> None:
    release = edit_release(world.planned(), changes={"risk": "high"}, actor=world.author, now=NOW)
    before = picture(release)
    with pytest.raises(Invalid):
        edit_release(release, changes={"risk": "low"}, actor=world.manager, now=NOW)
    assert picture(release) == before


def test_open_defects_follow_to_the_next_release(world: World) -> None:
    defect, fixed = world.defect(), world.defect(title="Gone")
    fire(fixed, "fix", actor=world.author, now=NOW)
    World().defect(title="Of another product")
    release = world.planned("2.0")
    assert [link.defect for link in release.defect_links.all()] == [defect]


def test_a_release_can_not_depend_on_itself(world: World) -> None:
    first = world.planned("1.0")
    second = world.planned("2.0", depends_on=[first])
    before = picture(first)
    with pytest.raises(Invalid):
        edit_release(first, changes={"depends_on": [second]}, actor=world.manager, now=NOW)
    assert picture(first) == before


def test_exposure_belongs_to_what_is_deployed(world: World) -> None:
    release, deployer = world.planned(), world.someone("deployer")
    before = picture(release)
    with pytest.raises(WrongState):
        expose(release, environment=EnvironmentFactory(), percent=50, actor=deployer, now=NOW)
    with pytest.raises(WrongState):
        close(release, review="", actor=world.manager, now=NOW)
    assert picture(release) == before


def test_a_model_whose_tiers_the_product_lacks_is_refused() -> None:
    world = World()
    world.product.environments.set([EnvironmentFactory(key="production")])
    other = type(world.product.default_model).objects.create(
        key="strict", name="Strict", suites=[{"suite": "smoke", "tier": "test", "gates": "accept"}]
    )
    with pytest.raises(Invalid):
        world.planned(model=other)


def under(key: str) -> World:
    return World(ProductFactory(default_model=ReleaseModel.objects.get(key=key)))


def integrated(world: World, suite: str) -> Release:
    """A release that passed the one suite that its model asks for."""
    release = world.built()
    world.run(release, suite, "test")
    return fire(release, "pass_integration", actor=world.ci, now=NOW)


def test_a_release_inherits_the_documents_of_its_product(unsigned: None) -> None:
    world = under("continuous")
    release = integrated(world, "integration")
    assert codes(release, "accept", world.manager) == ["document_missing"] * 3
    for kind in release.model.inherited:
        write_product_document(world.product, kind=kind, body="As always.", actor=world.author)
    assert codes_of(release, "accept") == []
    write_product_document(world.product, kind="impact", body=" ", actor=world.author)
    assert codes_of(release, "accept") == ["document_missing"]
    write_document(release, kind="impact", body="Its own.", actor=world.author, now=NOW)
    assert codes_of(release, "accept") == []


def test_a_model_whose_documents_are_the_releases_own_inherits_none(world: World, unsigned: None) -> None:
    release = world.tested()
    for kind in Document.Kind.values:
        write_product_document(world.product, kind=kind, body="As always.", actor=world.author)
    assert codes_of(release, "accept").count("document_missing") == 4


def test_in_an_emergency_some_documents_come_with_the_look_back(unsigned: None) -> None:
    world = under("emergency")
    release = integrated(world, "smoke")
    for kind in ("deployment_procedure", "impact"):
        write_document(release, kind=kind, body="Now.", actor=world.author, now=NOW)
    fire(release, "accept", actor=world.manager, now=NOW)
    release = fire(release, "deploy", actor=system(), now=NOW)
    expose(release, environment=EnvironmentFactory(key="production"), percent=100, actor=system(), now=NOW)
    closed = codes(release, "close", world.manager)
    assert closed == ["document_missing", "document_missing", "review_missing"]
    before = picture(release)
    with pytest.raises(WrongState):
        write_document(release, kind="impact", body="Other.", actor=world.author, now=NOW)
    assert picture(release) == before
    for kind in ("workflow_monitoring", "release_notes"):
        write_document(release, kind=kind, body="Later.", actor=world.author, now=NOW)
    assert close(release, review="It went well.", actor=world.manager, now=NOW).state == "closed"


def codes_of(release: Release, transition: str) -> list[str]:
    return [blocker.code for blocker in blockers(Release.objects.get(pk=release.pk), transition, now=NOW)]
