"""Types, risk, conflicts and models of changes over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from rest_framework.test import APIClient

from approvals.commands import answer_risk
from approvals.models import ChangeModel, ChangeRequest, RiskAssessment
from releasemgmt.accounts.models import User
from tests.approvals.test_change_risk import GRAVE, HARMLESS
from tests.approvals.world import World, picture, say
from tests.factories import ProductFactory

API = "/api/v1"
MODELS = f"{API}/change-models/"
PLANS = {"implementation_plan": "Swap.", "backout_plan": "Back."}


def client(user: User) -> APIClient:
    found = APIClient()
    found.force_authenticate(user)
    return found


def address(change: ChangeRequest, what: str = "") -> str:
    return f"{API}/changes/{change.number}/{what}"


def test_an_emergency_over_rest(world: World) -> None:
    author = client(world.author)
    body = {"product": world.product.key, "type": "emergency", "title": "Restart", "incident_reference": "INC-4"}
    made = author.post(f"{API}/changes/", body | {"impact": "Down.", "backout_plan": "None."})
    assert made.status_code == 201, made.data
    target = {option["name"]: option["target"] for option in author.get(f"{made.data['url']}transitions/").data}
    assert target == {"submit": "authorization", "record": "review", "cancel": "cancelled"}
    answer = author.post(f"{made.data['url']}transitions/submit/")
    assert (answer.data["state"], answer.data["retrospective_due_at"]) == ("authorization", None)
    round = author.get(f"{made.data['url']}approval/").data
    assert [(stage["role"], stage["board"], stage["count"]) for stage in round["stages"]] == [
        ("cab_chair", None, 1),
        (None, "emergency", 2),
    ]


@pytest.mark.parametrize("reference", ["INC-4", "inc0012345", "#7", "OPS/12", "https://status.example.org/incidents/7"])
def test_an_incident_is_named_by_number_or_address(world: World, reference: str) -> None:
    assert world.emergency(incident_reference=reference).incident_reference == reference


@pytest.mark.parametrize(
    "reference", ["see the mail", "javascript:alert(1)", "ftp://example.org/1", "https://", "INC-"]
)
def test_nothing_else_names_an_incident(world: World, reference: str) -> None:
    change = world.change()
    before = picture(change)
    answer = client(world.author).patch(address(change), {"incident_reference": reference}, headers={"If-Match": "*"})
    assert (answer.status_code, answer.data["errors"][0]["pointer"]) == (400, "/incident_reference")
    assert picture(change) == before


def test_recording_over_rest(world: World) -> None:
    change = world.change()
    refused = client(world.author).post(address(change, "transitions/record/"))
    assert refused.status_code == 403
    done = client(world.manager).post(address(change, "transitions/record/"), {"outcome": "unsuccessful"})
    assert (done.data["state"], done.data["unauthorised"], done.data["outcome"]) == ("review", True, "unsuccessful")
    assert done.data["retrospective_due_at"] is not None
    wrong = client(world.manager).post(address(world.change(), "transitions/record/"), {"outcome": "great"})
    assert wrong.status_code == 400
    round = client(world.manager).get(address(change, "approval/")).data
    assert (round["state"], round["retrospective"]) == ("open", True)


def test_the_retrospective_is_opened_again_over_rest(world: World) -> None:
    change = world.change()
    manager = client(world.manager)
    manager.post(address(change, "transitions/record/"))
    assert manager.post(address(change, "approval/")).status_code == 200
    say(world.round(ChangeRequest.objects.get()), world.signer, "abstain")
    say(world.round(ChangeRequest.objects.get()), world.someone("release_manager"), "reject")
    say(world.round(ChangeRequest.objects.get()), world.manager, "reject")
    assert manager.get(address(change, "approval/")).data["state"] == "rejected"
    blocked = manager.post(address(change, "transitions/close/"), {"review": "Fine."})
    assert [each["code"] for each in blocked.data["blockers"]] == ["retrospective_open"]
    assert manager.post(address(change, "approval/")).status_code == 201


# --- risk and conflicts -----------------------------------------------------------------------------------------------


def test_the_questions_and_what_they_came_to(world: World, now: datetime) -> None:
    change = world.change(outage_expected=True, environments=[world.production])
    author = client(world.author)
    asked = author.get(address(change, "risk/")).data
    assert (asked["questionnaire"], len(asked["questions"]), asked["answers"], asked["score"]) == (1, 8, None, None)
    assert set(asked["questions"][0]) == {"key", "text", "choices"}
    assert [rule["code"] for rule in asked["rules"]] == ["production_outage"]
    told = author.post(address(change, "risk/"), {"answers": HARMLESS})
    assert (told.status_code, told.data["level"], told.data["by"]) == (201, "low", world.author.username)
    assert author.post(address(change, "risk/"), {"answers": GRAVE}).data["risk"] == "high"
    assert author.get(address(change, "risk/")).data["answers"] == GRAVE


@pytest.mark.parametrize(
    "body", [{}, {"answers": []}, {"answers": {}}, {"answers": HARMLESS | {"users": 3}}, {"answers": HARMLESS, "x": 1}]
)
def test_answers_that_make_no_sense_are_a_400(world: World, body: dict[str, Any]) -> None:
    change = world.change()
    before = picture(change)
    assert client(world.author).post(address(change, "risk/"), body).status_code == 400
    assert picture(change) == before and not RiskAssessment.objects.exists()


def test_answers_that_void_votes_are_a_409(world: World) -> None:
    change = world.assessed()
    world.signed(change)
    author = client(world.author)
    refused = author.post(address(change, "risk/"), {"answers": GRAVE})
    assert (refused.status_code, refused.data["code"]) == (409, "voids_signoffs")
    assert author.post(address(change, "risk/"), {"answers": GRAVE, "void_signoffs": True}).status_code == 201


def test_conflicts_over_rest(world: World) -> None:
    other = World(ProductFactory())
    other.assessed(environments=[world.production], title="Secret")
    first, second = (world.assessed(environments=[world.production]) for _ in range(2))
    answer = client(world.author).get(address(second, "conflicts/"))
    assert [(row["kind"], row["detail"], row["other"]) for row in answer.data] == [
        ("environment", "production", None),
        ("environment", "production", first.number),
    ]
    assert answer.data[0]["planned_start"] is None and answer.data[1]["planned_start"] is not None
    assert "Secret" not in str(answer.data)
    assert client(other.author).get(address(second, "conflicts/")).status_code == 404
    assert client(other.author).get(address(second, "risk/")).status_code == 404
    assert client(other.author).post(address(second, "risk/"), {"answers": GRAVE}).status_code == 404


# --- models -----------------------------------------------------------------------------------------------------------


def test_a_model_from_its_first_version_to_a_scheduled_change(world: World) -> None:
    administrator, manager, author = (client(each) for each in (world.administrator, world.manager, world.author))
    body = {"key": "disk-swap", "name": "Disk swap", "product": world.product.key, "tiers": ["test"], **PLANS}
    made = administrator.post(MODELS, body)
    assert (made.status_code, made.data["number"], made.data["success_floor"]) == (201, "disk-swap@1", 90), made.data
    assert administrator.post(MODELS, body).data["number"] == "disk-swap@2"
    shown = author.get(f"{MODELS}disk-swap/").data
    assert (shown["number"], shown["pre_approval"]["holds"]) == ("disk-swap@2", False)
    assert author.get(f"{MODELS}disk-swap@2/approval/").status_code == 404
    assert author.post(f"{MODELS}disk-swap@2/approval/").status_code == 403
    round = manager.post(f"{MODELS}disk-swap@2/approval/")
    assert (round.status_code, round.data["subject"]) == (201, "disk-swap@2")
    vote = {"decision": "approve", "digest": round.data["digest"]}
    assert client(world.chair).post(f"{API}/approvals/{round.data['id']}/votes/", vote).status_code == 201
    shown = author.get(f"{MODELS}disk-swap/").data["pre_approval"]
    assert (shown["holds"], shown["blockers"], shown["success_rate"]) == (True, [], None)
    planned = {"planned_start": "2026-12-01T10:00:00Z", "planned_end": "2026-12-01T11:00:00Z"}
    change = author.post(
        f"{API}/changes/",
        {"product": world.product.key, "type": "standard", "model": "disk-swap", "title": "Disk 7", **planned},
    ).data
    assert (change["model"], change["implementation_plan"]) == ("disk-swap@2", "Swap.")
    assert author.post(f"{change['url']}transitions/submit/").data["state"] == "scheduled"


def test_another_teams_model_does_not_exist(world: World) -> None:
    model = world.recipe()
    stranger = client(World(ProductFactory()).manager)
    for path in (f"{MODELS}{model.number}/", f"{MODELS}{model.number}/approval/", f"{MODELS}{model.number}/events/"):
        assert stranger.get(path).status_code == 404
    assert stranger.post(f"{MODELS}{model.number}/approval/").status_code == 404
    assert stranger.get(MODELS).data["results"] == []
    assert client(world.author).get(MODELS).data["results"][0]["number"] == "disk-swap@1"


def test_a_model_that_the_caller_does_not_see_can_not_be_named(world: World) -> None:
    world.recipe()
    other = World(ProductFactory())
    body = {"product": other.product.key, "type": "standard", "model": "disk-swap", "title": "Disk"}
    answer = client(other.author).post(f"{API}/changes/", body)
    assert (answer.status_code, answer.data["errors"][0]["pointer"]) == (400, "/model")
    assert not ChangeRequest.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [{"tiers": ["moon"]}, {"success_floor": 101}, {"implementation_plan": ""}, {"product": "x"}, {"state": "approved"}],
    ids=str,
)
def test_a_model_that_makes_no_sense_is_a_400(world: World, wrong: dict[str, Any]) -> None:
    body = {"key": "disk-swap", "name": "Disk swap", "product": world.product.key, **PLANS, **wrong}
    assert client(world.administrator).post(MODELS, body).status_code == 400
    assert not ChangeModel.objects.exists()


def test_a_list_of_changes_takes_the_same_statements_for_many(
    world: World, now: datetime, django_assert_max_num_queries: Any
) -> None:
    model = world.recipe()
    for _ in range(5):
        change = world.change(type="standard", model=model)
        answer_risk(change, answers=HARMLESS, actor=world.author, now=now)
    with django_assert_max_num_queries(8):
        assert len(client(world.author).get(f"{API}/changes/").data["results"]) == 5
