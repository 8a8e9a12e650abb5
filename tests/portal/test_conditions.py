"""“Yes, if” in the admin: what was asked for is met where it is shown, by those who work on the record."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from approvals.commands import delegate
from approvals.models import ApprovalRound, ChangeModel, ChangeRequest, Condition
from deployments.commands import TaskDraft, create_plan
from deployments.models import DeploymentPlan
from releasemgmt.accounts.models import User
from releasemgmt.releases.models import Release
from releasemgmt.workflow.commands import fire
from tests.approvals.world import World, picture, say
from tests.conftest import NOW
from tests.portal.evidence_world import only_approvals
from tests.portal.test_pages import signed_in

pytestmark = pytest.mark.django_db
ASKED = "The pager is staffed."


@pytest.fixture
def world(settings: Any) -> World:
    only_approvals(settings)
    settings.WORKFLOW_GATES |= {"deployments.DeploymentPlan.start": ["deployments.gates.conditions_met"]}
    return World()


@pytest.fixture
def round(world: World) -> ApprovalRound:
    """Approved in the place of another, if the pager is staffed."""
    deputy = world.someone("contributor")
    week = timedelta(days=7)
    times: dict[str, Any] = {"starts_at": NOW - week, "ends_at": NOW + week}
    delegate(deputy, roles=["release_manager"], actor=world.signer, now=NOW, **times)
    round = world.round(world.release())
    say(round, deputy, on_behalf_of=world.signer, conditions=[ASKED])
    return ApprovalRound.objects.get(pk=round.pk)


@pytest.fixture
def plan(world: World, round: ApprovalRound) -> DeploymentPlan:
    fire(Release.objects.get(rounds=round), "accept", actor=world.manager, now=NOW)
    plan = create_plan(
        release=Release.objects.get(rounds=round),
        environment=world.production,
        planned_start=NOW,
        latest_start=NOW + timedelta(days=1),
        tasks=[TaskDraft("Swap")],
        backout_tasks=[TaskDraft("Swap back")],
        actor=world.manager,
        now=NOW,
    )
    for step in ("prepare", "schedule"):
        plan = fire(plan, step, actor=world.manager, now=NOW)
    return plan


def page(record: Any) -> str:
    return reverse(f"admin:{record._meta.app_label}_{record._meta.model_name}_change", args=[record.pk])


def meet(condition: Condition) -> str:
    return reverse("admin:approvals_approvalround_meet", args=[condition.vote.round_id, condition.pk])


def shown(person: User, record: Any) -> str:
    return str(signed_in(person).get(page(record)).content.decode())


def test_it_is_met_from_the_page_of_the_release_and_says_by_whom(world: World, round: ApprovalRound) -> None:
    condition, release = Condition.objects.get(), round.record
    before = shown(world.author, release)
    assert ASKED in before and meet(condition) in before and f"<strong>for {world.signer}</strong>" in before
    body = {"evidence": "Rota of Monday.", "back": page(release)}
    answer = signed_in(world.author).post(meet(condition), body)
    assert answer["Location"] == page(release)
    after = shown(world.author, release)
    assert "Rota of Monday." in after and meet(condition) not in after
    condition.refresh_from_db()
    assert (condition.met_by, condition.evidence) == (world.author, "Rota of Monday.")


def test_the_plan_names_it_as_a_blocker_that_leads_to_the_form(world: World, plan: DeploymentPlan) -> None:
    deployer, condition = world.someone("deployer"), Condition.objects.get()
    html = shown(deployer, plan)
    assert f'<a href="#conditions">{condition.vote.voter} approves if: {ASKED}</a>' in html
    assert 'id="conditions"' in html and meet(condition) in html
    signed_in(deployer).post(meet(condition), {"evidence": "Rota."})
    html = shown(deployer, plan)
    assert "approves if" not in html and "Rota." in html


@pytest.mark.parametrize("role", ["cab_member", "auditor", "administrator"])
def test_who_does_not_work_on_it_sees_no_form_and_is_refused(
    world: World, round: ApprovalRound, plan: DeploymentPlan, role: str
) -> None:
    person, condition, release = world.someone(role), Condition.objects.get(), round.record
    for record in (release, plan, round):
        html = shown(person, record)
        assert ASKED in html and meet(condition) not in html
    before = picture(release)
    signed_in(person).post(meet(condition), {"evidence": "Trust me."})
    condition.refresh_from_db()
    assert condition.met_at is None and picture(release) == before


def test_without_evidence_nothing_is_met(world: World, round: ApprovalRound) -> None:
    condition, before = Condition.objects.get(), picture(round.record)
    answer = signed_in(world.author).post(meet(condition), {"evidence": "  "}, follow=True)
    assert "Say how one can see that it is met." in answer.content.decode()
    assert picture(round.record) == before


def test_the_condition_of_a_change_blocks_and_is_met_on_its_page(world: World) -> None:
    change: ChangeRequest = world.assessed(implementer=world.manager)
    say(world.round(change), world.signer, conditions=[ASKED])
    html = shown(world.manager, change)
    assert f'<a href="#sign-off">{world.signer} approves if: {ASKED}</a>' in html
    assert meet(Condition.objects.get()) in html


def test_the_condition_of_a_pre_approval_is_met_where_the_model_is_read(world: World) -> None:
    recipe: ChangeModel = world.recipe()
    signed_in(world.manager).post(f"{page(recipe)}round/")
    say(ApprovalRound.objects.get(change_model=recipe), world.chair, conditions=[ASKED])
    assert meet(Condition.objects.get()) in shown(world.author, recipe)


def statements(person: User, record: Any) -> int:
    client = signed_in(person)
    client.get(page(record))
    with CaptureQueriesContext(connection) as asked:
        assert client.get(page(record)).status_code == 200
    return len(asked)


def test_more_conditions_take_no_more_statements(world: World, plan: DeploymentPlan) -> None:
    records = (plan, plan.release)
    before = [statements(world.manager, record) for record in records]
    vote = Condition.objects.get().vote
    Condition.objects.bulk_create(Condition(vote=vote, text=f"{ASKED} {n}") for n in range(10))
    assert [statements(world.manager, record) for record in records] == before
