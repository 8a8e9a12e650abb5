"""Policies in the admin: read as prose, written as rows, previewed without a trace, settled by a second person."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from approvals.commands import decide_policy, propose_policy
from approvals.models import ApprovalPolicy
from releasemgmt.accounts.models import User
from releasemgmt.workflow.models import Event
from tests.approvals.world import World
from tests.conftest import NOW
from tests.factories import TeamFactory, someone
from tests.portal.evidence_world import only_approvals
from tests.portal.test_pages import signed_in

pytestmark = pytest.mark.django_db
LIST = reverse("admin:approvals_approvalpolicy_changelist")
ADD = reverse("admin:approvals_approvalpolicy_add")
CONSENT = reverse("admin:accounts_rolerequest_changelist")
MEMBER_THEN_CHAIR = {
    "rows": "2",
    "stage-0-step": "2",
    "stage-0-amount": "1",
    "stage-0-unit": "count",
    "stage-0-who": "role:cab_chair",
    "stage-0-veto": "on",
    "stage-1-step": "1",
    "stage-1-amount": "50",
    "stage-1-unit": "percent",
    "stage-1-who": "role:cab_member",
}
POLICY: dict[str, Any] = {"key": "shops", "name": "Shops", "subject": "release", "risk": ["low"], "reason": "Audit"}
POLICY |= MEMBER_THEN_CHAIR


@pytest.fixture
def world(settings: Any) -> World:
    only_approvals(settings)
    return World()


@pytest.fixture
def ada(world: World) -> User:
    return someone("administrator", username="ada")


@pytest.fixture
def bob(world: World) -> User:
    return someone("administrator", username="bob")


@pytest.fixture
def proposed(ada: User, bob: User) -> ApprovalPolicy:
    stages = [{"role": "cab_chair", "count": 1}]
    facts: dict[str, Any] = {"name": "Low risk", "conditions": {"risk": ["low"]}, "reason": "The auditor asks."}
    return propose_policy(key="low-risk", stages=stages, **facts, actor=ada, now=NOW)


def page(policy: ApprovalPolicy, rest: str = "") -> str:
    return reverse("admin:approvals_approvalpolicy_change", args=[policy.pk]) + rest


def text_of(answer: Any) -> str:
    """What a person reads on it."""
    shown = answer.content.decode().partition('<div class="rm')[2] or answer.content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", shown))


def picture() -> list[Any]:
    rows = ApprovalPolicy.objects.order_by("pk").values("state", "revision", "event_seq", "event_hash")
    return [*rows, Event.objects.filter(stream__startswith="approvalpolicy:").count()]


def test_a_policy_is_written_as_rows_and_read_as_prose(ada: User, bob: User) -> None:
    client = signed_in(ada)
    assert "Who has to agree" in client.get(ADD).content.decode()
    made = text_of(client.post(ADD, POLICY, follow=True))
    policy = ApprovalPolicy.objects.get(key="shops")
    assert (policy.state, policy.proposed_by, policy.conditions) == ("proposed", ada, {"risk": ["low"]})
    assert policy.stages == [
        {"step": 2, "role": "cab_chair", "count": 1, "veto": True},
        {"step": 1, "role": "cab_member", "percent": 50, "veto": False},
    ]
    assert "Releases of low risk need the agreement of" in made
    assert "50 % of the CAB members, then1 CAB chair with a veto" in made
    assert "once another administrator than Ada agrees: Bob.“Audit”" in made


def test_the_list_shows_what_counts_and_on_demand_what_has_become_of_the_others(
    proposed: ApprovalPolicy, bob: User
) -> None:
    client = signed_in(bob)
    shown = client.get(LIST).content.decode()
    assert "low-risk@3" in shown and "low-risk@2" in shown and "low-risk@1" not in shown
    assert "Releases and change requests of high risk" in shown
    assert "2 CAB members and 1 CAB chair with a veto" in shown
    decide_policy(proposed, state="accepted", actor=bob, now=NOW)
    shown = client.get(LIST).content.decode()
    assert "low-risk@3" in shown and "low-risk@2" not in shown
    superseded = client.get(LIST, {"standing": "superseded"}).content.decode()
    assert "low-risk@2" in superseded and "low-risk@3" not in superseded


def test_the_next_version_starts_with_what_this_one_says(ada: User, bob: User) -> None:
    emergency = ApprovalPolicy.objects.get(key="emergency")
    client = signed_in(ada)
    form = client.get(page(emergency, "revise/")).context["form"]
    body: dict[str, Any] = {name: form[name].value() for name in form.fields if form[name].value()}
    for stage in form.stages:
        body |= {stage.add_prefix(name): stage[name].value() for name in stage.fields if stage[name].value()}
    assert client.post(page(emergency, "revise/"), body | {"name": "Fire"}).status_code == 302
    made = ApprovalPolicy.objects.get(key="emergency", version=2)
    assert (made.name, made.conditions) == ("Fire", emergency.conditions)
    said = [{**stage, "step": stage.get("step", 1)} for stage in emergency.stages]
    assert made.stages == said
    assert "still waits for a second person" in client.get(page(emergency)).content.decode()


def test_rows_come_and_go_and_nothing_that_was_typed_is_lost(ada: User) -> None:
    client = signed_in(ada)
    more = client.post(ADD, POLICY | {"stage-1-amount": "many", "change_rows": "add"}).content.decode()
    assert (
        'name="rows" value="3"' in more and 'value="many"' in more and 'value="Audit"' not in more and "Audit" in more
    )
    assert 'name="stage-2-step" value="2"' in more
    less = client.post(ADD, POLICY | {"change_rows": "remove-0"}).content.decode()
    assert 'name="rows" value="1"' in less and 'name="stage-0-amount" value="50"' in less
    assert "rm-error" not in more + less
    assert not ApprovalPolicy.objects.filter(key="shops").exists()


def test_a_preview_says_what_each_record_would_need_and_leaves_no_trace(world: World, ada: User) -> None:
    release, before, events = world.release(), picture(), Event.objects.count()
    said = text_of(signed_in(ada).post(ADD, POLICY | {"preview": "yes"}))
    then = "1 release manager and 50 % of the CAB members, then 1 CAB chair"
    assert f"{release.number} {release.alias}1 release manager{then}" in said
    assert "1 of 1 record on the way" in said and "not looked at" not in said
    assert picture() == before and Event.objects.count() == events


def test_a_preview_admits_what_it_did_not_look_at(world: World, ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("approvals.queries.policies.LOOKED_AT", 1)
    for version in ("1.0", "2.0", "3.0"):
        world.release(version)
    said = text_of(signed_in(ada).post(ADD, POLICY | {"preview": "yes"}))
    assert "1 of 1 record" in said and "And 2 others, older, were not looked at." in said


def test_what_nobody_could_satisfy_is_told_with_its_arithmetic_beside_the_rows(world: World, ada: User) -> None:
    client, before = signed_in(ada), picture()
    for button in ({}, {"preview": "yes"}):
        answer = client.post(ADD, POLICY | {"stage-0-amount": "3"} | button)
        html = answer.content.decode()
        assert answer.status_code == 400
        assert "3 × CAB chair are asked for and 1 could agree, 2 short" in html.partition('id="stages"')[2]
        assert 'name="stage-0-amount" value="3"' in html and 'value="Shops"' in html
    assert picture() == before


def test_what_is_missing_is_said_beside_its_field(ada: User) -> None:
    before = picture()
    answer = signed_in(ada).post(ADD, {"rows": "1", "stage-0-amount": "0", "stage-0-who": "role:auditor"})
    html = answer.content.decode()
    assert answer.status_code == 400 and "This field is required." in html
    assert "Ensure this value is greater than or equal to 1." in html and "role:auditor is not one" in html
    assert picture() == before


def test_a_second_person_agrees_on_the_page_of_what_waits(proposed: ApprovalPolicy, ada: User, bob: User) -> None:
    assert "1 request of another administrator" in signed_in(bob).get("/admin/").content.decode()
    assert "of another administrator" not in signed_in(ada).get("/admin/").content.decode()
    shown = signed_in(bob).get(CONSENT).content.decode()
    assert "need 1 CAB chair" in shown and page(proposed, "decline/") in shown
    answer = signed_in(bob).post(page(proposed, "answer/accept/"), {"back": CONSENT})
    assert answer["Location"] == CONSENT
    proposed.refresh_from_db()
    assert (proposed.state, proposed.decided_by) == ("accepted", bob)
    assert "In force" in signed_in(ada).get(page(proposed)).content.decode()


def test_who_proposed_it_sees_why_they_cannot_agree_and_takes_it_back(proposed: ApprovalPolicy, ada: User) -> None:
    client, before = signed_in(ada), picture()
    why = "Another person has to agree: you have proposed this yourself."
    for where in (page(proposed), CONSENT):
        html = client.get(where).content.decode()
        assert f'disabled title="{why}">Agree' in html and page(proposed, "answer/accept/") not in html
    assert why in client.post(page(proposed, "answer/accept/"), follow=True).content.decode()
    assert picture() == before
    client.post(page(proposed, "answer/withdraw/"))
    proposed.refresh_from_db()
    assert proposed.state == "withdrawn"


def test_declining_says_why(proposed: ApprovalPolicy, bob: User) -> None:
    client, before = signed_in(bob), picture()
    assert client.post(page(proposed, "decline/"), {"reason": " "}).status_code == 400
    assert picture() == before
    shown = client.post(page(proposed, "decline/"), {"reason": "Too slow for a shop."}, follow=True)
    assert "Too slow for a shop." in shown.content.decode() and "Declined" in shown.content.decode()


def test_the_next_version_can_end_a_policy(ada: User, bob: User) -> None:
    last = ApprovalPolicy.objects.get(key="low-risk", version=2)
    client = signed_in(ada)
    client.post(page(last, "revise/"), {**POLICY, "retired": "on"})
    made = ApprovalPolicy.objects.get(key="low-risk", version=3)
    assert made.retired
    assert "asks for nothing" in client.get(page(made)).content.decode()
    assert "ends, and asks for nothing" in signed_in(bob).get(CONSENT).content.decode()
    decide_policy(made, state="accepted", actor=bob, now=NOW)
    assert "Ended" in client.get(page(made)).content.decode()


@pytest.mark.parametrize("role", ["contributor", "release_manager", "cab_chair", "auditor"])
def test_others_read_and_are_refused(world: World, proposed: ApprovalPolicy, role: str) -> None:
    client, before = signed_in(world.someone(role)), picture()
    html = client.get(page(proposed)).content.decode()
    assert "The auditor asks." in html and "revise/" not in html and "answer/" not in html
    assert client.get(ADD).status_code == client.get(page(proposed, "revise/")).status_code == 403
    assert client.get(page(proposed, "decline/")).status_code == 403
    for sent in ({"preview": "yes"}, {"change_rows": "add"}):
        assert client.post(ADD, POLICY | sent).status_code == 403
    client.post(ADD, POLICY)
    for where in ("revise/", "answer/accept/", "answer/withdraw/", "decline/"):
        client.post(page(proposed, where), POLICY | {"reason": "Mine."})
    assert picture() == before


def test_a_team_administrator_proposes_nothing_for_all(proposed: ApprovalPolicy) -> None:
    client = signed_in(someone("administrator", team=TeamFactory()))
    before = picture()
    assert client.get(ADD).status_code == 403
    client.post(page(proposed, "answer/accept/"))
    assert picture() == before


def test_pages_ask_the_same_however_much_there_is(world: World, ada: User, bob: User, proposed: ApprovalPolicy) -> None:
    client = signed_in(bob)

    def asked() -> list[int]:
        return [_statements(client, where) for where in (LIST, page(proposed), CONSENT)]

    world.assessed(releases=[world.release()])
    before = asked()
    for number in range(3):
        world.assessed(releases=[world.release(f"{number + 2}.0")])
        world.assessed(environments=[world.production])
        stages = [{"role": "cab_chair", "count": 1}]
        propose_policy(key=f"more-{number}", name="More", stages=stages, actor=ada, now=NOW)
    assert asked() == before


def _statements(client: Client, where: str) -> int:
    client.get(where)
    with CaptureQueriesContext(connection) as asked:
        assert client.get(where).status_code == 200
    return len(asked)
