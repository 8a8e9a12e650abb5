"""Changes, their risk and their models in the admin: forms that call commands, and pages that say what stands."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from approvals import shipped
from approvals.commands import record_change, submit
from approvals.models import ApprovalRound, ChangeModel, ChangeRequest
from tests.approvals.world import World, picture, say
from tests.portal.test_pages import signed_in

pytestmark = pytest.mark.django_db

GRAVE = {key: choices[-1][0] for key, _, choices in shipped.QUESTIONS}
ADD, MODELS = "admin:approvals_changerequest_add", "admin:approvals_changemodel_add"


@pytest.fixture
def world() -> World:
    return World()


def page(record: Any, rest: str = "") -> str:
    return reverse(f"admin:approvals_{record._meta.model_name}_change", args=[record.pk]) + rest


def sent(world: World, **fields: Any) -> Any:
    body = {"product": world.product.pk, "title": "Grow", "type": "normal", **fields}
    return signed_in(world.author).post(reverse(ADD), body)


def test_the_form_asks_for_what_the_type_asks_for(world: World) -> None:
    model = world.recipe()
    form = signed_in(world.author).get(reverse(ADD)).content.decode()
    assert 'data-only-for="standard"' in form and 'data-only-for="emergency"' in form
    assert sent(world, type="standard", model=model.pk, incident_reference="left behind").status_code == 302
    change = ChangeRequest.objects.get()
    assert (change.model, change.incident_reference, change.implementation_plan) == (model, "", "Swap.")
    assert sent(world, model=model.pk).status_code == 302
    assert ChangeRequest.objects.latest("pk").model is None


def test_another_teams_model_is_not_offered(world: World) -> None:
    theirs = World().recipe(key="secret")
    assert "secret" not in signed_in(world.author).get(reverse(ADD)).content.decode()
    assert sent(world, type="standard", model=theirs.pk).status_code == 400
    assert not ChangeRequest.objects.exists()


def test_a_wrong_incident_is_said_beside_its_field(world: World) -> None:
    answer = sent(world, type="emergency", incident_reference="see the mail")
    assert answer.status_code == 400
    assert "number or address" in answer.content.decode()
    assert not ChangeRequest.objects.exists()


def test_once_handed_in_the_form_keeps_the_type(world: World, now: datetime) -> None:
    change = submit(world.emergency(), actor=world.author, now=now)
    client = signed_in(world.author)
    form = client.get(page(change, "edit/")).content.decode()
    assert 'name="type"' not in form and 'name="incident_reference"' in form
    body = {"title": "Other", "risk": "high", "incident_reference": "INC-5", "impact": "Down.", "backout_plan": "None."}
    assert client.post(page(change, "edit/"), body).status_code == 302
    change.refresh_from_db()
    assert (change.title, change.type, change.incident_reference) == ("Other", "emergency", "INC-5")


def test_the_questions_are_answered_on_a_page(world: World) -> None:
    change = world.change()
    client = signed_in(world.author)
    assert "What is affected if it goes wrong?" in client.get(page(change, "risk/")).content.decode()
    assert client.post(page(change, "risk/"), {}).status_code == 400
    assert client.post(page(change, "risk/"), GRAVE).status_code == 302
    shown = client.get(page(change)).content.decode()
    assert "a score of 30" in shown and "Answer again" in shown


def test_answers_that_void_votes_ask_first(world: World) -> None:
    change = world.assessed()
    world.signed(change)
    client = signed_in(world.author)
    before = picture(change)
    asked = client.post(page(change, "risk/"), GRAVE)
    assert "This would void" in asked.content.decode() and picture(change) == before
    assert client.post(page(change, "risk/"), {**GRAVE, "void_signoffs": "on"}).status_code == 302


def test_what_is_in_the_way_stands_on_the_page_and_in_the_dossier(world: World) -> None:
    first, second = (world.assessed(environments=[world.production]) for _ in range(2))
    client = signed_in(world.signer)
    assert "Same environment: production" in client.get(page(first)).content.decode()
    dossier = client.get(page(world.round(second))).content.decode()
    assert "Same environment: production" in dossier and first.number in dossier


def test_the_next_retrospective_is_a_button(world: World, now: datetime) -> None:
    change = record_change(world.change(), actor=world.manager, now=now)
    client = signed_in(world.manager)
    shown = client.get(page(change)).content.decode()
    assert "Nobody authorised it" in shown and "retrospective is due" in shown and "Open the next round" not in shown
    for person in (world.signer, world.manager):
        say(world.round(ChangeRequest.objects.get()), person, "reject")
    assert "complete the record" in client.get(page(change)).content.decode()
    assert client.post(page(change, "round/")).status_code == 302
    assert ApprovalRound.objects.filter(state="open", retrospective=True).exists()


def test_a_model_from_its_form_to_its_pre_approval(world: World) -> None:
    administrator = signed_in(world.administrator)
    body = {"key": "grow", "name": "Grow", "product": world.product.pk, "tiers": ["test"], "pre_approval_days": 30}
    body |= {"success_floor": 80, "implementation_plan": "Grow.", "backout_plan": "None."}
    assert administrator.post(reverse(MODELS), body).status_code == 302
    model = ChangeModel.objects.get()
    assert "does not hold" in administrator.get(page(model)).content.decode()
    assert "Grow." in administrator.get(reverse(MODELS), {"like": model.pk}).content.decode()
    assert signed_in(world.manager).post(page(model, "round/")).status_code == 302
    round = world.round(model)
    shown = signed_in(world.chair).get(page(round))
    assert shown.status_code == 200 and page(model) in shown.content.decode()
    say(round, world.chair, now=timezone.now())
    assert "does not hold" not in administrator.get(page(model)).content.decode()
