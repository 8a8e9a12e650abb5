"""Pre-approval: one round on a model stands behind its releases, as long as it holds; what ends it is said."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals.commands import end_pre_approval, open_round, vote
from approvals.models import ApprovalRound
from approvals.policies import over_ceiling
from approvals.queries import model_approval, pre_approval, sign_off_blockers
from deployments.commands import create_plan, start
from releasemgmt.accounts.commands import revoke_role
from releasemgmt.accounts.models import User
from releasemgmt.catalog.commands import create_model
from releasemgmt.catalog.models import ReleaseModel
from releasemgmt.releases.commands import accept, advance, edit_release
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Blocked, Conflict, Invalid, NotPermitted
from releasemgmt.workflow.models import Event
from tests.approvals.world import World, picture, say, state_of
from tests.conftest import NOW
from tests.factories import ProductFactory, someone
from tests.web.world import Caller
from tests.web.world import picture as row

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
WENT = {"record": (0, 0)}


@pytest.fixture(autouse=True)
def facts(settings: Any) -> None:
    """How deployments went is what a test says."""
    WENT["record"] = (0, 0)
    settings.PRE_APPROVAL_FACTS = f"{__name__}.track_record"


def track_record(model: ReleaseModel) -> tuple[int, int]:
    return WENT["record"]


def broken(model: ReleaseModel) -> tuple[int, int]:
    raise RuntimeError("Nobody knows.")


@pytest.fixture
def world(db: None) -> World:
    return World(ProductFactory(default_model=ReleaseModel.objects.get(key="continuous")))


@pytest.fixture
def chair() -> User:
    """Chair of every team's changes: a model belongs to none."""
    return someone("cab_chair", username="chair")


def approved(model: ReleaseModel, chair: User, *, now: Any = NOW) -> ApprovalRound:
    """The round on a model, which the chair has approved."""
    round = open_round(model, actor=someone("administrator"), now=now)
    vote(round, decision="approve", digest=round.digest, actor=chair, now=now)
    return ApprovalRound.objects.get(pk=round.pk)


def waiting(world: World, version: str = "1.0", **fields: Any) -> Release:
    """A release that waits for its acceptance, without anybody's round."""
    return world.release(version, **fields)


def reasons(release: Release, *, now: Any = NOW) -> str:
    """Why its sign-off does not hold, as the 409 says it; the record stays as it is."""
    release = Release.objects.get(pk=release.pk)
    before = picture(release)
    found = sign_off_blockers(release, now=now)
    if found:
        with pytest.raises(Blocked):
            accept(release, actor=someone("release_manager"), now=now)
    assert picture(release) == before
    return " ".join(f"{blocker.code}: {blocker.reason}" for blocker in found)


def test_a_release_needs_no_round_of_its_own_and_the_event_names_the_one_behind_it(world: World, chair: User) -> None:
    round = approved(world.product.default_model, chair)
    release = waiting(world)
    assert reasons(release) == ""
    assert advance(NOW) == 1
    assert state_of(release) == "accepted"
    event = Event.objects.get(stream=release.stream, kind="releases.release.accept")
    assert event.data == {"round": round.pk, "pre_approval": "continuous@1"}
    assert event.actor.kind == "system" and event.on_behalf_of is not None
    assert not ApprovalRound.objects.filter(release=release).exists()


def test_without_a_round_on_the_model_the_release_needs_its_own(world: World) -> None:
    release = waiting(world)
    assert "Nobody was asked to pre-approve continuous@1" in reasons(release)
    own = world.signed(release)
    assert reasons(release) == ""
    accept(release, actor=world.manager, now=NOW)
    event = Event.objects.get(stream=release.stream, kind="releases.release.accept")
    assert event.data == {"round": own.pk}


def test_it_is_not_given_before_the_chair_has_voted(world: World, chair: User) -> None:
    round = open_round(world.product.default_model, actor=someone("administrator"), now=NOW)
    release = waiting(world)
    assert "is not given yet" in reasons(release)
    assert advance(NOW) == 0
    say(round, chair, "reject")
    assert "was refused" in reasons(release)


def test_it_expires(world: World, chair: User) -> None:
    approved(world.product.default_model, chair)
    release = waiting(world)
    last = NOW + 90 * DAY - timedelta(seconds=1)
    assert reasons(release, now=last) == ""
    assert "The pre-approval of continuous@1 expired on 2026-05-31 09:00 UTC" in reasons(release, now=NOW + 90 * DAY)
    again = approved(world.product.default_model, chair, now=NOW + 90 * DAY)
    assert reasons(release, now=NOW + 91 * DAY) == ""
    assert open_round(world.product.default_model, actor=someone("administrator"), now=NOW + 91 * DAY) == again


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"risk": "medium"}, "Its risk is medium: REL"),
        ({"risk": "high"}, "Its risk is high: REL"),
        ({"database_change": "irreversible"}, "Its risk is high (Its change of the database can't be taken back.)"),
        ({"type": "emergency"}, "Its risk is high (It is an emergency.)"),
    ],
)
def test_only_low_risk_is_covered(world: World, chair: User, facts: dict[str, str], why: str) -> None:
    approved(world.product.default_model, chair)
    release = waiting(world)
    edit_release(release, changes=facts, actor=world.author, now=NOW)
    assert why in reasons(release)
    assert Release.objects.get(pk=release.pk).risk == facts.get("risk", "low")


@pytest.mark.parametrize(
    ("known", "wrong", "is_over"),
    [(0, 0, False), (4, 4, False), (5, 0, False), (5, 1, True), (20, 2, False), (20, 3, True), (7, 1, False)],
)
def test_the_ceiling(known: int, wrong: int, is_over: bool) -> None:
    assert over_ceiling(known, wrong, ceiling=15) == is_over


def test_it_ends_where_too_many_deployments_went_wrong(world: World, chair: User) -> None:
    approved(world.product.default_model, chair)
    release = waiting(world)
    WENT["record"] = (20, 3)
    said = reasons(release)
    assert (
        "Of the last 20 production deployments under continuous 3 went wrong, and the pre-approval ends at 15 %" in said
    )
    WENT["record"] = (20, 2)
    assert reasons(release) == ""


def test_an_error_in_the_facts_is_no_pre_approval(world: World, chair: User, settings: Any) -> None:
    approved(world.product.default_model, chair)
    release = waiting(world)
    settings.PRE_APPROVAL_FACTS = f"{__name__}.broken"
    assert "can't be told" in reasons(release)
    world.signed(release)
    assert reasons(release) == ""


def test_one_person_ends_it_with_a_reason(world: World, chair: User) -> None:
    model = world.product.default_model
    release = waiting(world)
    with pytest.raises(Conflict):
        end_pre_approval(model, reason="Why not?", actor=world.manager, now=NOW)
    approved(model, chair)
    with pytest.raises(Invalid):
        end_pre_approval(model, reason=" ", actor=world.manager, now=NOW)
    with pytest.raises(NotPermitted):
        end_pre_approval(model, reason="No.", actor=world.author, now=NOW)
    assert reasons(release) == ""
    end_pre_approval(model, reason="Too many incidents.", actor=world.manager, now=NOW)
    assert "was taken back" in reasons(release)
    assert Event.objects.get(kind="approvals.pre_approval.end").data["reason"] == "Too many incidents."


def test_it_is_lost_with_the_role_of_who_gave_it(world: World, chair: User) -> None:
    approved(world.product.default_model, chair)
    release = waiting(world)
    revoke_role(chair.role_assignments.get(), actor=someone("administrator"))
    assert "is lost, as too few of its votes still count" in reasons(release)


def test_it_is_for_exactly_this_version(world: World, chair: User) -> None:
    approved(world.product.default_model, chair)
    later = create_model(key="continuous", name="Continuous", sign_off="pre_approved", actor=someone("administrator"))
    assert "Nobody was asked to pre-approve continuous@2" in reasons(waiting(world, model=later))
    assert model_approval(world.product.default_model, now=NOW).holds


def test_what_reviewers_rejected_it_does_not_let_through(world: World, chair: User) -> None:
    release = waiting(world)
    round = world.round(release)
    for person in (world.signer, world.manager):
        say(round, person, "reject")
    approved(world.product.default_model, chair)
    assert "sign_off_rejected" in reasons(release)
    edit_release(release, changes={"database_change": "reversible"}, actor=world.author, now=NOW)
    assert reasons(release) == ""


def test_an_open_round_of_its_own_is_said_beside_the_reason(world: World) -> None:
    release = waiting(world)
    world.round(release)
    said = reasons(release)
    assert "no_pre_approval" in said and "Approvals are missing: 1 release manager" in said


def test_a_start_names_what_stands_behind_it_and_is_blocked_once_that_is_gone(
    world: World, chair: User, settings: Any
) -> None:
    settings.WORKFLOW_GATES = {"deployments.DeploymentPlan.start": ["deployments.gates.sign_off_holds"]}
    round = approved(world.product.default_model, chair)
    deployer = world.someone("deployer")
    plans = []
    for version in ("1.0", "2.0"):
        release = accept(waiting(world, version), actor=world.manager, now=NOW)
        times: dict[str, Any] = {"planned_start": NOW, "latest_start": NOW + DAY}
        tasks: dict[str, Any] = {"tasks": [], "backout_tasks": []}
        plan = create_plan(
            release=release, environment=world.production, actor=world.manager, now=NOW, **times, **tasks
        )
        for name in ("prepare", "schedule"):
            plan = fire(plan, name, actor=world.manager, now=NOW)
        plans.append(plan)
    started = start(plans[0], actor=deployer, now=NOW)
    event = Event.objects.get(stream=started.stream, kind="deployments.deploymentplan.start")
    assert event.data == {"round": round.pk, "pre_approval": "continuous@1"}
    end_pre_approval(world.product.default_model, reason="Stop.", actor=world.manager, now=NOW)
    with pytest.raises(Blocked) as refused:
        start(plans[1], actor=deployer, now=NOW)
    assert [blocker.code for blocker in refused.value.blockers] == ["no_pre_approval"]


def test_the_verdict_takes_a_bounded_number_of_statements(
    world: World, chair: User, django_assert_max_num_queries: Any
) -> None:
    approved(world.product.default_model, chair)
    release = Release.objects.select_related("product", "model").get(pk=waiting(world).pk)
    with django_assert_max_num_queries(16):
        assert pre_approval(release, now=NOW).holds


def test_how_it_stands_is_read_and_it_is_ended_over_rest(world: World, chair: User) -> None:
    address = "/api/v1/release-models/continuous@1/pre-approval/"
    round = approved(world.product.default_model, chair, now=timezone.now())
    caller = Caller(world.manager)
    found = caller.get(address).json()
    assert (found["holds"], found["round"], found["reasons"]) == (True, round.pk, [])
    assert (found["known"], found["wrong"], found["fail_rate_ceiling"]) == (0, 0, 15)
    before = row(world.product.default_model)
    caller.refused("post", f"{address}end/", {"reason": ""}, status=400)
    Caller(world.author).refused("post", f"{address}end/", {"reason": "Mine."}, status=403)
    caller.refused("get", "/api/v1/release-models/unheard-of/pre-approval/", status=404)
    assert row(world.product.default_model) == before
    ended = caller.post(f"{address}end/", {"reason": "Audit."}).json()
    assert (ended["holds"], ended["reasons"]) == (False, ["the pre-approval of continuous@1 was taken back"])
    assert caller.refused("post", f"{address}end/", {"reason": "Again."}, status=409)["code"] == "no_pre_approval"
