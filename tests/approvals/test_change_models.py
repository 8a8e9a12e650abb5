"""Standard changes: models are approved once, and lose that by time, by failures, and by what they don't cover."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from approvals.commands import close, create_change_model, edit_change, finish, implement, open_round, revise, submit
from approvals.models import ApprovalRound, ChangeModel, ChangeRequest
from approvals.policies import success_rate
from approvals.queries import change_pre_approval, get_change_model, waiting_for
from releasemgmt.workflow import queries as workflow
from releasemgmt.workflow.errors import Blocked, Conflict, Invalid, NotPermitted
from tests.approvals.world import World, picture, say
from tests.conftest import NOW
from tests.factories import ProductFactory, someone


def codes(refused: Any) -> list[str]:
    return [blocker.code for blocker in refused.value.blockers]


def standard(world: World, model: ChangeModel | None, **fields: Any) -> ChangeRequest:
    return world.change(type="standard", model=model, **fields)


def carried_out(world: World, model: ChangeModel, outcome: str) -> ChangeRequest:
    worker = world.someone("deployer")
    change = submit(standard(world, model, implementer=worker), actor=world.author, now=NOW)
    implement(change, actor=worker, now=NOW)
    return finish(change, actor=worker, now=NOW, outcome=outcome)


def test_a_standard_change_is_scheduled_at_once(world: World, now: datetime) -> None:
    worker = world.someone("deployer")
    change = submit(standard(world, world.approved_recipe(), implementer=worker), actor=world.author, now=now)
    assert change.state == "scheduled"
    assert not ApprovalRound.objects.filter(change=change).exists()
    implement(change, actor=worker, now=now)
    change = finish(change, actor=worker, now=now, outcome="successful")
    assert change.retrospective_due_at is None
    assert close(change, actor=world.manager, now=now).state == "closed"
    assert list(workflow.breaks()) == []


def test_it_takes_the_models_texts_where_it_has_none(world: World, now: datetime) -> None:
    change = standard(world, world.recipe(), implementation_plan="My own way.", test_plan="")
    assert (change.implementation_plan, change.test_plan, change.impact) == ("My own way.", "Look.", "A minute.")
    later = world.change(impact="", backout_plan=" ")
    later = edit_change(later, changes={"type": "standard", "model": world.recipe()}, actor=world.author, now=now)
    assert (later.impact, later.backout_plan, later.implementation_plan) == ("A minute.", "Back.", "As usual.")


def test_only_a_standard_change_follows_a_model(world: World, now: datetime) -> None:
    model = world.recipe()
    with pytest.raises(Invalid) as refused:
        world.change(model=model)
    assert list(refused.value.errors) == ["model"]
    change = standard(world, model)
    before = picture(change)
    with pytest.raises(Invalid):
        edit_change(change, changes={"type": "normal"}, actor=world.author, now=now)
    assert picture(change) == before
    assert edit_change(change, changes={"type": "normal", "model": None}, actor=world.author, now=now).model is None


def test_a_model_is_for_its_product(world: World) -> None:
    other = World()
    with pytest.raises(Invalid) as refused:
        standard(other, world.recipe())
    assert list(refused.value.errors) == ["model"]


def refused_on_submit(world: World, change: ChangeRequest, *, at: datetime = NOW) -> list[str]:
    before = picture(change)
    with pytest.raises(Blocked) as refused:
        submit(change, actor=world.author, now=at)
    assert picture(change) == before
    return codes(refused)


def test_without_a_model_it_is_not_submitted(world: World) -> None:
    assert refused_on_submit(world, standard(world, None)) == ["model_missing"]


def test_without_an_approval_of_its_model_it_is_not_submitted(world: World, now: datetime) -> None:
    model = world.recipe()
    change = standard(world, model)
    assert refused_on_submit(world, change) == ["model_not_approved"]
    round = open_round(model, actor=world.manager, now=now)
    assert refused_on_submit(world, change) == ["model_not_approved"]
    say(round, world.chair, "reject")
    assert refused_on_submit(world, change) == ["model_not_approved"]
    say(open_round(model, actor=world.manager, now=now), world.chair)
    assert submit(change, actor=world.author, now=now).state == "scheduled"


def test_without_an_interval_it_is_not_submitted(world: World) -> None:
    assert refused_on_submit(world, standard(world, world.approved_recipe(), planned_end=None)) == ["interval_missing"]


def test_what_the_model_does_not_cover_is_not_submitted(world: World, now: datetime) -> None:
    model = world.approved_recipe(tiers=["test"], components=[])
    change = standard(world, model, environments=[world.production])
    assert refused_on_submit(world, change) == ["outside_model"]
    test = world.product.environments.get(key="test")
    edit_change(change, changes={"environments": [test]}, actor=world.author, now=now)
    assert submit(change, actor=world.author, now=now).state == "scheduled"


def test_what_is_risky_is_no_standard_change(world: World) -> None:
    model = world.approved_recipe()
    change = standard(world, model, environments=[world.production], outage_expected=True)
    assert refused_on_submit(world, change) == ["risk_too_high"]
    assert refused_on_submit(world, standard(world, model, risk="medium")) == ["risk_too_high"]


@pytest.mark.parametrize(("days", "holds"), [(29, True), (30, False)])
def test_a_pre_approval_expires(world: World, now: datetime, days: int, holds: bool) -> None:
    model = world.approved_recipe(pre_approval_days=30)
    at = now + timedelta(days=days)
    assert change_pre_approval(model, now=at).holds is holds
    if not holds:
        assert refused_on_submit(world, standard(world, model), at=at) == ["pre_approval_expired"]


def test_it_is_asked_again_when_the_work_begins(world: World, now: datetime) -> None:
    worker = world.someone("deployer")
    later = {"planned_start": now + timedelta(days=40), "planned_end": now + timedelta(days=41)}
    model = world.approved_recipe(pre_approval_days=30)
    change = submit(standard(world, model, implementer=worker, **later), actor=world.author, now=now)
    before = picture(change)
    with pytest.raises(Blocked) as refused:
        implement(change, actor=worker, now=now + timedelta(days=40))
    assert codes(refused) == ["pre_approval_expired"] and picture(change) == before


def test_an_expired_pre_approval_is_given_again(world: World, now: datetime) -> None:
    model = world.approved_recipe(pre_approval_days=30)
    at = now + timedelta(days=31)
    round = open_round(model, actor=world.manager, now=at)
    assert round.opened_at == at
    say(round, world.chair, now=at)
    assert change_pre_approval(model, now=at).holds


def test_a_model_whose_changes_fail_loses_its_pre_approval(world: World, now: datetime) -> None:
    model = world.approved_recipe(success_floor=80)
    for outcome in ("successful", "unsuccessful", "successful_with_issues", "unsuccessful"):
        carried_out(world, model, outcome)
    assert change_pre_approval(model, now=now).holds
    waiting = submit(standard(world, model, implementer=world.manager), actor=world.author, now=now)
    carried_out(world, model, "successful")
    found = change_pre_approval(model, now=now)
    assert (found.success_rate, [blocker.code for blocker in found.blockers]) == (60, ["success_rate_low"])
    assert refused_on_submit(world, standard(world, model)) == ["success_rate_low"]
    before = picture(waiting)
    with pytest.raises(Blocked) as refused:
        implement(waiting, actor=world.manager, now=now)
    assert codes(refused) == ["success_rate_low"] and picture(waiting) == before
    assert change_pre_approval(world.approved_recipe(), now=now).holds


@pytest.mark.parametrize(
    ("outcomes", "rate"),
    [
        ([], None),
        (["unsuccessful"] * 4, None),
        (["unsuccessful"] * 5, 0),
        (["successful"] * 4 + ["unsuccessful"], 80),
        (["successful_with_issues"] * 5, 100),
        (["successful"] * 2 + ["unsuccessful"], None),
        (["successful"] * 13 + ["unsuccessful"] * 7, 65),
    ],
)
def test_the_success_rate(outcomes: list[str], rate: int | None) -> None:
    assert success_rate(outcomes) == rate


def test_the_next_version_is_approved_on_its_own(world: World, now: datetime) -> None:
    first = world.approved_recipe()
    second = world.recipe()
    assert (first.number, second.number) == ("disk-swap@1", "disk-swap@2")
    assert change_pre_approval(first, now=now).holds and not change_pre_approval(second, now=now).holds
    assert get_change_model("disk-swap", world.author) == second


# --- who ------------------------------------------------------------------------------------------------------------


def test_the_chair_is_asked_and_not_who_asks(world: World, now: datetime) -> None:
    model = world.recipe()
    asking = world.someone("release_manager", "cab_chair")
    round = open_round(model, actor=asking, now=now)
    assert round in waiting_for(world.chair, now)
    with pytest.raises(NotPermitted) as refused:
        say(round, asking)
    assert refused.value.code == "conflict_of_interest"
    stranger = World()
    assert round not in waiting_for(stranger.chair, now)
    with pytest.raises(NotPermitted):
        say(round, stranger.chair)


@pytest.mark.parametrize("role", ["contributor", "release_manager", "deployer", "cab_chair", "auditor", "service"])
def test_models_are_written_by_administrators(world: World, role: str) -> None:
    with pytest.raises(NotPermitted):
        create_change_model(
            key="k", name="K", product=world.product, implementation_plan="A", backout_plan="B", actor=someone(role)
        )
    assert not ChangeModel.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("implementation_plan", " "),
        ("backout_plan", ""),
        ("tiers", ["moon"]),
        ("components", ["unheard-of"]),
        ("key", "Not a key"),
        ("success_floor", 0),
        ("pre_approval_days", 1000),
    ],
)
def test_a_model_that_makes_no_sense_is_refused(world: World, field: str, value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        world.recipe(**{field: value})
    assert list(refused.value.errors) == [field]
    assert not ChangeModel.objects.exists()


def test_the_key_of_another_products_model_is_taken(world: World) -> None:
    world.recipe()
    everywhere = someone("administrator")
    with pytest.raises(Conflict):
        create_change_model(
            key="disk-swap",
            name="K",
            product=ProductFactory(),
            implementation_plan="A",
            backout_plan="B",
            actor=everywhere,
        )


def test_an_edit_that_leaves_the_model_is_caught_when_the_work_begins(world: World, now: datetime) -> None:
    worker = world.someone("deployer")
    model = world.approved_recipe(tiers=["test"])
    change = submit(standard(world, model, implementer=worker), actor=world.author, now=now)
    edit_change(change, changes={"environments": [world.production]}, actor=world.author, now=now)
    before = picture(change)
    with pytest.raises(Blocked) as refused:
        implement(change, actor=worker, now=now)
    assert codes(refused) == ["outside_model"] and picture(change) == before
    assert revise(change, actor=world.author, now=now, reason="Not like this.").state == "draft"
