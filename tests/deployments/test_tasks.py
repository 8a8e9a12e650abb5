"""Tasks: worked on in their order, by their assignees or a deployer, while the plan is in progress."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.commands import TaskDraft, fail, fail_task, finish_task, hand_over_task, retry_task, skip_task
from deployments.models import DeploymentPlan
from releasemgmt.workflow.errors import Blocked, Invalid, NotPermitted, WrongState
from releasemgmt.workflow.models import Event
from tests.deployments.world import Shop, at, codes, kinds, refused, task
from tests.factories import ProductFactory, TeamFactory, someone

FIRST, SECOND = "Swap the image", "Look at the graphs"


@pytest.fixture
def plan(shop: Shop) -> DeploymentPlan:
    return shop.started(shop.release("1.0"))


def states(plan: DeploymentPlan) -> list[str]:
    return list(plan.tasks.filter(is_backout=False).values_list("state", flat=True))


def test_it_is_the_turn_of_what_waits_for_nothing(plan: DeploymentPlan) -> None:
    assert states(plan) == ["in_progress", "pending"]
    assert task(plan, "Swap it back").state == "pending"


def test_a_tick_gives_the_turn_to_what_waited(shop: Shop, plan: DeploymentPlan) -> None:
    done = finish_task(task(plan, FIRST), actor=shop.deployer, now=at(70), evidence="https://example.org/log")
    assert (done.state, done.evidence, done.finished_by, done.finished_at) == (
        "done",
        "https://example.org/log",
        shop.deployer,
        at(70),
    )
    assert states(plan) == ["done", "in_progress"]
    assert kinds(plan)[0] == "done"


def test_the_same_tick_again_changes_nothing(shop: Shop, plan: DeploymentPlan) -> None:
    finish_task(task(plan, FIRST), actor=shop.deployer, now=at(70))
    before = kinds(plan)
    assert finish_task(task(plan, FIRST), actor=shop.deployer, now=at(80)).finished_at == at(70)
    assert kinds(plan) == before


def test_what_waits_is_not_ticked_early(shop: Shop, plan: DeploymentPlan) -> None:
    with refused(Blocked, plan) as caught:
        finish_task(task(plan, SECOND), actor=shop.deployer, now=at(70))
    assert codes(caught) == ["waits_for_task"]
    assert FIRST in caught.value.blockers[0].reason


def test_the_way_back_is_not_ticked_on_the_way_forward(shop: Shop, plan: DeploymentPlan) -> None:
    with refused(Blocked, plan) as caught:
        finish_task(task(plan, "Swap it back"), actor=shop.deployer, now=at(70))
    assert codes(caught) == ["backout_task"]


def test_a_task_that_failed_waits_for_a_decision(shop: Shop, plan: DeploymentPlan) -> None:
    failed = fail_task(task(plan, FIRST), reason="no space left", actor=shop.deployer, now=at(70))
    assert (failed.state, failed.reason, states(plan)) == ("failed", "no space left", ["failed", "pending"])
    with refused(WrongState, plan) as caught:
        finish_task(failed, actor=shop.deployer, now=at(71))
    assert caught.value.allowed == ["skip", "retry"]


def test_a_retry_is_another_attempt(shop: Shop, plan: DeploymentPlan) -> None:
    fail_task(task(plan, FIRST), reason="no space left", actor=shop.deployer, now=at(70))
    again = retry_task(task(plan, FIRST), actor=shop.deployer, now=at(71))
    assert (again.state, again.attempt, again.reason) == ("in_progress", 2, "")
    assert finish_task(again, actor=shop.deployer, now=at(72)).state == "done"
    assert kinds(plan)[:3] == ["done", "retry", "fail"]


@pytest.mark.parametrize("after_failure", [False, True])
def test_a_skipped_task_keeps_nobody_waiting(shop: Shop, plan: DeploymentPlan, after_failure: bool) -> None:
    if after_failure:
        fail_task(task(plan, FIRST), reason="no space left", actor=shop.deployer, now=at(70))
    skip_task(task(plan, FIRST), reason="done by hand", actor=shop.deployer, now=at(71))
    assert states(plan) == ["skipped", "in_progress"]


@pytest.mark.parametrize("act", [fail_task, skip_task])
def test_failing_and_skipping_ask_for_a_reason(shop: Shop, plan: DeploymentPlan, act: Any) -> None:
    with refused(Invalid, plan) as caught:
        act(task(plan, FIRST), reason=" ", actor=shop.deployer, now=at(70))
    assert list(caught.value.errors) == ["reason"]


@pytest.mark.parametrize(
    ("act", "fields"), [(retry_task, {}), (fail_task, {"reason": "late"}), (skip_task, {"reason": "no"})]
)
def test_what_is_done_stays_done(shop: Shop, plan: DeploymentPlan, act: Any, fields: dict[str, str]) -> None:
    finish_task(task(plan, FIRST), actor=shop.deployer, now=at(70))
    with refused(WrongState, plan):
        act(task(plan, FIRST), actor=shop.deployer, now=at(71), **fields)


def test_tasks_rest_until_the_plan_has_started(shop: Shop) -> None:
    plan = shop.scheduled(shop.release("1.0"))
    with refused(WrongState, plan):
        finish_task(task(plan, FIRST), actor=shop.deployer, now=at(70))


@pytest.mark.parametrize("assigned_to", ["user", "team"])
def test_assignees_tick_their_own_and_no_other(shop: Shop, assigned_to: str) -> None:
    helper = someone("cab_member", team=shop.product.team)
    assignee = helper if assigned_to == "user" else shop.product.team
    plan = shop.started(shop.release("1.0"), tasks=[TaskDraft("Mine", assignee=assignee), TaskDraft("Other")])
    assert finish_task(task(plan, "Mine"), actor=helper, now=at(70)).state == "done"
    with refused(NotPermitted, plan):
        finish_task(task(plan, "Other"), actor=helper, now=at(70))


@pytest.mark.parametrize("act", [finish_task, fail_task, skip_task, retry_task])
def test_neither_managers_nor_strangers_tick(shop: Shop, plan: DeploymentPlan, act: Any) -> None:
    fields = {"reason": "no"} if act in (fail_task, skip_task) else {}
    for actor in (
        shop.manager,
        shop.author,
        someone("deployer", team=ProductFactory().team),
        someone(is_superuser=True),
    ):
        with refused(NotPermitted, plan):
            act(task(plan, FIRST), actor=actor, now=at(70), **fields)


def test_a_service_ticks(shop: Shop, plan: DeploymentPlan) -> None:
    assert finish_task(task(plan, FIRST), actor=shop.ci, now=at(70)).state == "done"


def test_a_token_without_the_scope_ticks_nothing(shop: Shop, plan: DeploymentPlan) -> None:
    shop.deployer.scopes = frozenset({"write"})
    with refused(NotPermitted, plan):
        finish_task(task(plan, FIRST), actor=shop.deployer, now=at(70))


def test_what_waits_for_the_same_goes_on_at_the_same_time(shop: Shop) -> None:
    tasks = [TaskDraft("Stop"), TaskDraft("Api", depends_on=(0,)), TaskDraft("Web", depends_on=(0,))]
    plan = shop.started(shop.release("1.0"), tasks=[*tasks, TaskDraft("Start", depends_on=(1, 2)), TaskDraft("Tell")])
    assert states(plan) == ["in_progress", "pending", "pending", "pending", "in_progress"]
    finish_task(task(plan, "Stop"), actor=shop.deployer, now=at(70))
    assert states(plan) == ["done", "in_progress", "in_progress", "pending", "in_progress"]
    finish_task(task(plan, "Web"), actor=shop.deployer, now=at(71))
    with refused(Blocked, plan) as caught:
        finish_task(task(plan, "Start"), actor=shop.deployer, now=at(72))
    assert [blocker.reason for blocker in caught.value.blockers] == ["“Api” comes first."]
    fail_task(task(plan, "Api"), reason="no space", actor=shop.deployer, now=at(73))
    assert states(plan) == ["done", "failed", "done", "pending", "in_progress"]
    skip_task(task(plan, "Api"), reason="by hand", actor=shop.deployer, now=at(74))
    assert states(plan)[3] == "in_progress"


class TestHandingOver:
    """A task goes to somebody else, with a note."""

    @pytest.fixture
    def mine(self, shop: Shop) -> DeploymentPlan:
        return shop.started(shop.release("1.0"), tasks=[TaskDraft(FIRST, assignee=shop.author), TaskDraft(SECOND)])

    def test_its_assignee_gives_it_away_and_can_work_on_it_no_more(self, shop: Shop, mine: DeploymentPlan) -> None:
        said: dict[str, Any] = {"note": "Mind the disk.", "now": at(70)}
        given = hand_over_task(task(mine, FIRST), to=shop.manager, actor=shop.author, **said)
        assert (given.assignee, given.state, kinds(mine)[0]) == (shop.manager, "in_progress", "hand_over")
        told = Event.objects.get(kind="deployments.task.hand_over").data
        assert (told["from"], told["to"], told["note"]) == ("author", "manager", "Mind the disk.")
        with refused(NotPermitted, mine):
            finish_task(given, actor=shop.author, now=at(71))
        assert finish_task(given, actor=shop.manager, now=at(72)).state == "done"

    def test_a_deployer_gives_it_to_a_team_even_after_it_failed(self, shop: Shop, mine: DeploymentPlan) -> None:
        fail_task(task(mine, FIRST), reason="no space", actor=shop.author, now=at(70))
        team = shop.product.team
        given = hand_over_task(task(mine, FIRST), to=team, note="Who can?", actor=shop.deployer, now=at(71))
        assert (given.assignee, given.assigned_user, given.state) == (team, None, "failed")
        again = hand_over_task(given, to=team, note="Again.", actor=shop.deployer, now=at(72))
        assert (again.assignee, kinds(mine).count("hand_over")) == (team, 1)

    def test_before_the_start_too(self, shop: Shop) -> None:
        plan = shop.scheduled(shop.release("1.0"))
        given = hand_over_task(
            task(plan, "Swap it back"), to=shop.author, note="Yours.", actor=shop.deployer, now=at(1)
        )
        assert given.assignee == shop.author

    def test_to_nobody_who_could_not_do_it_and_not_without_a_note(self, shop: Shop, mine: DeploymentPlan) -> None:
        stranger, auditor = someone("deployer", team=ProductFactory().team), someone("auditor", team=shop.product.team)
        for to in (stranger, auditor, TeamFactory(key="elsewhere")):
            with refused(Invalid, mine) as caught:
                hand_over_task(task(mine, FIRST), to=to, note="Yours.", actor=shop.deployer, now=at(70))
            assert list(caught.value.errors) == ["assignee"]
        with refused(Invalid, mine) as caught:
            hand_over_task(task(mine, FIRST), to=shop.manager, note=" ", actor=shop.deployer, now=at(70))
        assert list(caught.value.errors) == ["note"]

    def test_what_is_behind_or_over_is_not_handed_over(self, shop: Shop, mine: DeploymentPlan) -> None:
        finish_task(task(mine, FIRST), actor=shop.author, now=at(70))
        with refused(WrongState, mine):
            hand_over_task(task(mine, FIRST), to=shop.manager, note="Yours.", actor=shop.author, now=at(71))
        fail(mine, reason="smoke", actor=shop.deployer, now=at(72))
        with refused(WrongState, mine):
            hand_over_task(task(mine, SECOND), to=shop.manager, note="Yours.", actor=shop.deployer, now=at(73))

    def test_others_do_not(self, shop: Shop, mine: DeploymentPlan) -> None:
        for actor in (shop.manager, someone("deployer", team=ProductFactory().team), someone(is_superuser=True)):
            with refused(NotPermitted, mine):
                hand_over_task(task(mine, FIRST), to=shop.manager, note="Mine!", actor=actor, now=at(70))
