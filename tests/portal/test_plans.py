"""The page of a plan: tasks as lines of text, how far they are, and its buttons."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from deployments.commands import TaskDraft, back_out, fail_task, finish_task, hand_over_task
from deployments.commands.plans import drafts_of
from deployments.models import DeploymentPlan
from releasemgmt.accounts.models import RoleAssignment, User
from releasemgmt.portal import task_lines
from releasemgmt.portal.progress import lasting
from tests.conftest import NOW
from tests.deployments.conftest import shop as shop
from tests.deployments.world import HOUR, Shop, at, picture, task
from tests.factories import TeamFactory, someone

STAGES = [
    TaskDraft("Stop"),
    TaskDraft("Api", purpose="database", estimate_minutes=10, depends_on=(0,)),
    TaskDraft("Web", depends_on=(0,)),
    TaskDraft("Start", depends_on=(1, 2)),
    TaskDraft("Look", purpose="verify", depends_on=(1,)),
    TaskDraft("Tell", depends_on=(1,)),
    TaskDraft("Write [it] down", depends_on=()),
]
LINES = """\
Stop
Api [database] (10 min)
+ Web
Start
Look [verify] (after 2)
+ Tell
Write [it] down (after nothing)"""


def nobody(_name: str) -> None:
    return None


def test_tasks_and_lines_say_the_same() -> None:
    assert task_lines.write(STAGES) == LINES
    assert task_lines.read(LINES, find=nobody) == STAGES
    loose = "\n  + Stop  \n\nApi (10 min)   [database]\n+Web\nStart (after 3,2)"
    assert task_lines.read(loose, find=nobody) == STAGES[:4]


def test_lines_name_people_and_endpoints(shop: Shop) -> None:
    known: dict[str, Any] = {"author": shop.author, "web": shop.product.team}
    lines = "Swap [database] -> deployer @author (5 min)\n+ Look @web"
    drafts = task_lines.read(lines, find=known.get)
    assert [(each.assignee, each.kind, each.endpoint) for each in drafts] == [
        (shop.author, "webhook", "deployer"),
        (shop.product.team, "manual", ""),
    ]
    shop.product.team.key = "web"
    assert task_lines.write(drafts) == lines


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Swap @nobody", "Task 2: there is nobody called nobody, and no such team."),
        ("+", "Task 2: say what is to be done."),
        ("x" * 201, "Task 2: a title has at most 200 characters."),
        ("Swap\n" * 200, "There are 201 tasks; a list takes 200."),
    ],
)
def test_lines_that_make_no_sense_say_where(line: str, why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        task_lines.read(f"Stop\n{line}", find=nobody)
    assert caught.value.messages == [why]


@pytest.mark.parametrize(
    ("seconds", "said"), [(-1, "0 s"), (59, "59 s"), (60, "1 min"), (3900, "1 h 05 min"), (180_000, "2 d 2 h")]
)
def test_spans_are_short(seconds: int, said: str) -> None:
    assert lasting(HOUR * seconds / 3600) == said


@pytest.fixture
def clock() -> Any:
    with time_machine.travel(at(75), tick=False):
        yield


def desk(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(plan: DeploymentPlan, rest: str = "") -> str:
    return reverse("admin:deployments_deploymentplan_change", args=[plan.pk]) + rest


class TestTheForm:
    """Plans are written as lines."""

    def sent(self, shop: Shop, **fields: Any) -> dict[str, Any]:
        times = {"planned_start": "2030-03-02T10:00", "latest_start": "2030-03-02T11:00"}
        return {**times, "tasks": LINES, "backout_tasks": "Back [restore] @deployer", **fields}

    def test_a_plan_is_made_and_edited_with_tasks_side_by_side(self, shop: Shop) -> None:
        release, client = shop.release("1.0"), desk(shop.manager)
        where = {"release": release.pk, "environment": shop.production.pk}
        client.post(reverse("admin:deployments_deploymentplan_add"), self.sent(shop, **where))
        plan = DeploymentPlan.objects.get()
        assert drafts_of(plan, is_backout=False) == STAGES
        assert drafts_of(plan, is_backout=True) == [TaskDraft("Back", purpose="restore", assignee=shop.deployer)]
        form = client.get(page(plan, "edit/")).content.decode()
        assert "Look [verify] (after 2)" in form and "Back [restore] @deployer" in form
        client.post(page(plan, "edit/"), self.sent(shop, tasks="Stop\n+ Api"))
        assert drafts_of(plan, is_backout=False) == [TaskDraft("Stop"), TaskDraft("Api")]

    @pytest.mark.parametrize(
        ("tasks", "why"),
        [
            ("Stop (after 2)\nApi", "Task 1: It waits for itself, through the tasks it depends on."),
            ("Stop @stranger", "Task 1: there is nobody called stranger, and no such team."),
        ],
    )
    def test_what_can_not_be_keeps_what_was_typed(self, shop: Shop, tasks: str, why: str) -> None:
        someone("deployer", username="stranger", team=shop.product.team).role_assignments.all().delete()
        plan = shop.plan(shop.release("1.0"))
        before = picture(plan)
        answer = desk(shop.manager).post(page(plan, "edit/"), self.sent(shop, tasks=tasks))
        assert (answer.status_code, why in answer.content.decode()) == (400, True)
        assert tasks.splitlines()[0] in answer.content.decode() and picture(plan) == before


@pytest.mark.usefixtures("clock")
class TestProgress:
    """Who is at what since when, and what waits for what."""

    @pytest.fixture
    def plan(self, shop: Shop) -> DeploymentPlan:
        return shop.started(shop.release("1.0"), tasks=STAGES)

    def told(self, user: User, plan: DeploymentPlan) -> str:
        answer = desk(user).get(page(plan, "progress/"))
        assert answer.status_code == 200
        return " ".join(answer.content.decode().split())

    def test_the_part_that_changes_is_served_alone(self, shop: Shop, plan: DeploymentPlan) -> None:
        finish_task(task(plan, "Stop"), actor=shop.deployer, now=at(62), evidence="https://example.org/log")
        told = self.told(shop.deployer, plan)
        assert '<div id="progress"' in told and "<html" not in told
        assert "1 of 7 done, 3 under way" in told
        assert f"{shop.deployer}, 10:02:00, after 2 min" in told
        assert "for 13 min</span> of 10 min" in told and 'class="rm-late"' in told
        assert "waits for 2 Api, 3 Web" in told
        assert '<a href="https://example.org/log"' in told
        assert 'data-progress="' in desk(shop.deployer).get(page(plan)).content.decode()

    def test_buttons_are_for_those_who_may(self, shop: Shop, plan: DeploymentPlan) -> None:
        assert "/done/" in self.told(shop.deployer, plan) and "hand-over" in self.told(shop.deployer, plan)
        assert "/done/" not in self.told(shop.author, plan) and "hand-over" not in self.told(shop.author, plan)

    def test_a_failed_task_offers_each_decision(self, shop: Shop, plan: DeploymentPlan) -> None:
        fail_task(task(plan, "Stop"), reason="no space", actor=shop.deployer, now=at(62))
        told = self.told(shop.deployer, plan)
        assert "1 waits for a decision" in told and "no space" in told
        assert all(f"/{step}/" in told for step in ("retry", "skip", "back_out"))

    def test_on_the_way_back_that_way_comes_first(self, shop: Shop, plan: DeploymentPlan) -> None:
        back_out(plan, reason="It smokes.", actor=shop.deployer, now=at(70))
        told = self.told(shop.deployer, plan)
        assert told.index("The way back") < told.index("Tasks")
        assert told.count("/done/") == 1 and "transition/back_out" not in told

    def test_a_task_is_handed_over(self, shop: Shop, plan: DeploymentPlan) -> None:
        over = page(plan, f"tasks/{task(plan, 'Stop').pk}/hand-over/")
        client, before = desk(shop.deployer), picture(plan)
        for fields, why in (({"assignee": "nobody"}, "Choose who"), ({"assignee": "author"}, "Write a note for who")):
            assert why in client.post(over, fields, follow=True).content.decode()
        assert picture(plan) == before
        client.post(over, {"assignee": "author", "note": "Mind the disk."})
        assert task(plan, "Stop").assignee == shop.author
        assert "/done/" in self.told(shop.author, plan)

    def test_nobody_learns_of_other_teams(self, shop: Shop, plan: DeploymentPlan) -> None:
        elsewhere = TeamFactory(key="elsewhere")
        someone("contributor", team=elsewhere, username="far")
        mine: Any = {"user": shop.author, "granted_at": NOW, "granted_by": shop.manager}
        RoleAssignment.objects.create(role="contributor", team=elsewhere, **mine)
        told = self.told(shop.deployer, plan)
        assert f'value="{shop.product.team.key}"' in told
        assert 'value="elsewhere"' not in told and 'value="far"' not in told

    def test_it_asks_the_same_however_long_the_plan(
        self, shop: Shop, plan: DeploymentPlan, django_assert_max_num_queries: Any
    ) -> None:
        tasks = [TaskDraft(f"Step {n}", depends_on=(n - 1,) if n else ()) for n in range(40)]
        long = shop.started(shop.release("2.0"), shop.test, tasks=tasks)
        hand_over_task(task(long, "Step 7"), to=shop.product.team, note="Yours.", actor=shop.deployer, now=NOW)
        client = desk(shop.deployer)
        client.get(page(plan, "progress/"))
        with django_assert_max_num_queries(12):
            client.get(page(long, "progress/"))
