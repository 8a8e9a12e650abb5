"""Approvals over REST: the contract's addresses, statuses and bodies."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from approvals.commands import create_change
from approvals.models import ApprovalRound, ChangeRequest, Vote
from releasemgmt.accounts.models import User
from releasemgmt.releases.commands import write_document
from releasemgmt.workflow.models import Event
from tests.approvals.world import World, holds, picture, say
from tests.conftest import NOW

API = "/api/v1"


def client(user: User) -> APIClient:
    made = APIClient()
    made.force_authenticate(user)
    return made


def refusals(user: User) -> list[str]:
    events = Event.objects.filter(stream=user.stream, kind="workflow.refused").order_by("seq")
    return [event.data["code"] for event in events]


def test_a_change_is_written_read_and_edited(world: World) -> None:
    author, release = client(world.author), world.release()
    body = {
        "product": world.product.key,
        "title": "Larger disk",
        "implementation_plan": "Swap it.",
        "test_plan": "Look.",
        "backout_plan": "Swap it back.",
        "environments": ["production"],
        "components": ["app"],
        "planned_start": "2026-03-02T10:00:00+02:00",
        "planned_end": "2026-03-02T12:00:00+02:00",
        "releases": [release.number],
    }
    made = author.post(f"{API}/changes/", body)
    assert made.status_code == 201, made.data
    address = made.data["url"]
    assert made.data["planned_start"] == "2026-03-02T08:00:00Z"
    assert (made.data["state"], made.data["environments"], made.data["releases"]) == (
        "draft",
        ["production"],
        [release.number],
    )
    assert author.patch(address, {"title": "Largest"}).status_code == 428
    edited = author.patch(address, {"title": "Largest"}, headers={"If-Match": made["ETag"]})
    assert (edited.status_code, edited.data["title"]) == (200, "Largest")
    assert author.patch(address, {"title": "No"}, headers={"If-Match": made["ETag"]}).status_code == 412
    drafts = author.get(f"{API}/changes/?state=draft&risk=low").data["results"]
    assert [each["number"] for each in drafts] == [made.data["number"]]


@pytest.mark.parametrize(
    "body",
    [
        {"state": "scheduled"},
        {"votes": []},
        {"incident_reference": "see the mail"},
        {"type": "unheard-of"},
        {"planned_start": "2026-03-02T10:00:00"},
        {"risk": "none"},
        {"implementer": "nobody"},
        {"releases": ["REL-99"]},
        {"components": ["unknown"]},
        {"environments": ["moon"]},
        {"title": ""},
    ],
    ids=str,
)
def test_a_body_that_makes_no_sense_is_a_400_and_changes_nothing(world: World, body: dict[str, Any]) -> None:
    change = world.change()
    before = picture(change)
    answer = client(world.author).patch(f"{API}/changes/{change.number}/", body, headers={"If-Match": "*"})
    assert answer.status_code == 400, answer.data
    assert answer.data["errors"][0]["pointer"].strip("/").partition("/")[0] == next(iter(body))
    assert picture(change) == before


def test_transitions_go_through_their_commands(world: World) -> None:
    change = world.change()
    address = f"{API}/changes/{change.number}/transitions"
    author, manager = client(world.author), client(world.manager)
    assert author.post(f"{address}/submit/").data["state"] == "assessment"
    assert author.post(f"{address}/assess/").status_code == 403
    assert manager.post(f"{address}/assess/", {"mood": "good"}).status_code == 400
    assert manager.post(f"{address}/assess/").data["state"] == "authorization"
    assert ApprovalRound.objects.get().change == change
    assert manager.post(f"{address}/authorize/").status_code == 403
    assert author.post(f"{address}/revise/").status_code == 400
    assert author.post(f"{address}/revise/", {"reason": "A typo."}).data["state"] == "draft"
    assert ApprovalRound.objects.get().state == "withdrawn"
    wrong = manager.post(f"{address}/close/", {"review": "Fine."})
    assert (wrong.status_code, sorted(wrong.data["allowed_transitions"])) == (409, ["cancel", "record", "submit"])


def test_a_round_is_opened_read_voted_on_and_answered(world: World) -> None:
    release = world.release()
    address = f"{API}/releases/{release.number}/approval/"
    manager, signer = client(world.manager), client(world.signer)
    assert manager.get(address).status_code == 404
    opened = manager.post(address)
    assert (opened.status_code, opened.data["state"], opened.data["stale"]) == (201, "open", False)
    (stage,) = opened.data["stages"]
    assert (stage["role"], stage["count"], stage["missing"], stage["is_open"]) == ("release_manager", 1, 1, True)
    assert (opened.data["in_time"], opened.data["asked_later"], opened.data["delegates"]) == (True, [], [])
    assert opened.data["missing"] == sorted([world.manager.username, world.signer.username])
    assert manager.post(address).status_code == 200
    votes = f"{API}/approvals/{opened.data['id']}/votes/"
    assert [round["id"] for round in signer.get(f"{API}/approvals/?mine=true").data["results"]] == [opened.data["id"]]
    assert signer.post(votes, {"decision": "approve"}).status_code == 400
    cast = signer.post(votes, {"decision": "approve", "digest": opened.data["digest"]})
    assert (cast.status_code, cast.data["round_state"]) == (201, "approved")
    now_there = signer.get(f"{API}/approvals/{opened.data['id']}/").data
    assert [(vote["voter"], vote["counts"]) for vote in now_there["votes"]] == [(world.signer.username, True)]
    assert now_there["stages"][0]["missing"] == 0
    assert signer.get(f"{API}/approvals/?mine=true").data["results"] == []
    assert manager.post(address).status_code == 200


def test_a_stale_vote_is_a_412_that_says_what_changed(world: World) -> None:
    release = world.release()
    round = world.round(release)
    write_document(release, kind="impact", body="Some.", actor=world.author, now=NOW)
    body = {"decision": "approve", "digest": round.digest}
    before = picture(release)
    answer = client(world.signer).post(f"{API}/approvals/{round.pk}/votes/", body)
    assert (answer.status_code, answer.data["code"], list(answer.data["changed"])) == (412, "stale", ["impact"])
    assert picture(release) == before
    assert refusals(world.signer) == ["stale"]
    assert client(world.signer).get(f"{API}/approvals/{round.pk}/").data["stale"] is True


def test_refused_votes_are_on_the_voters_own_stream(world: World) -> None:
    asked = world.someone("release_manager", is_superuser=True)
    release = world.release(requested_by=asked)
    round = world.round(release)
    votes = f"{API}/approvals/{round.pk}/votes/"
    body = {"decision": "approve", "digest": round.digest}
    own = client(asked).post(votes, body)
    assert (own.status_code, own.data["code"]) == (403, "conflict_of_interest")
    assert client(world.signer).post(votes, body | {"decision": "reject"}).status_code == 400
    service = world.someone("service")
    assert client(service).post(votes, body).status_code == 403
    assert [refusals(user) for user in (asked, world.signer, service)] == [
        ["conflict_of_interest"],
        ["invalid"],
        ["services_never_vote"],
    ]
    conflicted = client(world.signer).get(f"{API}/approvals/{round.pk}/").data["conflicted"]
    assert conflicted == [{"person": asked.username, "reasons": [f"requester of {release.number}"]}]
    assert not Vote.objects.exists()


def test_what_belongs_to_another_team_does_not_exist(world: World) -> None:
    change = world.assessed()
    round = world.round(change)
    stranger = client(World().manager)
    vote = {"decision": "approve", "digest": round.digest}
    member, there = client(world.manager), f"changes/{change.number}"
    for address in (f"{there}/", f"{there}/approval/", f"approvals/{round.pk}/"):
        assert member.get(f"{API}/{address}").status_code == 200
        assert stranger.get(f"{API}/{address}").status_code == 404
    assert stranger.post(f"{API}/{there}/approval/").status_code == 404
    assert member.get(f"{API}/changes/CHG-x/approval/").status_code == 404
    assert stranger.post(f"{API}/approvals/{round.pk}/votes/", vote).status_code == 404
    assert stranger.get(f"{API}/approvals/").data["results"] == stranger.get(f"{API}/changes/").data["results"] == []


def test_a_vote_is_revoked_by_its_voter(world: World) -> None:
    world.someone("release_manager")
    round = world.round(world.release())
    cast = say(round, world.signer, "abstain")
    address = f"{API}/approvals/{round.pk}/votes/{cast.pk}/revoke/"
    assert client(world.manager).post(address).status_code == 403
    revoked = client(world.signer).post(address)
    assert revoked.status_code == 200 and revoked.data["revoked_at"]
    assert client(world.signer).post(f"{API}/approvals/{round.pk}/votes/999/revoke/").status_code == 404


def test_an_edit_that_voids_votes_says_so_and_does_it_when_meant(world: World) -> None:
    change = world.assessed()
    world.signed(change)
    author, address = client(world.author), f"{API}/changes/{change.number}/"
    before = picture(change)
    refused = author.patch(address, {"test_plan": "Twice."}, headers={"If-Match": "*"})
    assert (refused.status_code, refused.data["code"]) == (409, "voids_signoffs")
    assert [vote["voter"] for vote in refused.data["votes"]] == [world.signer.username]
    assert picture(change) == before
    meant = {"test_plan": "Twice.", "void_signoffs": True}
    assert author.patch(address, meant, headers={"If-Match": "*"}).status_code == 200
    assert not holds(change)


def test_lists_take_the_same_statements_however_long(world: World, django_assert_max_num_queries: Any) -> None:
    for n in range(12):
        change = create_change(product=world.product, title=f"Change {n}", actor=world.author, now=NOW)
        assert isinstance(change, ChangeRequest)
    for n in range(4):
        release = world.release(f"1.{n}")
        world.round(release)
    reader = client(world.manager)
    with django_assert_max_num_queries(6):
        assert len(reader.get(f"{API}/changes/?page_size=10").data["results"]) == 10
    with django_assert_max_num_queries(9):
        assert len(reader.get(f"{API}/approvals/?mine=true").data["results"]) == 4
    with django_assert_max_num_queries(15):
        assert reader.get(f"{API}/releases/{release.number}/approval/").status_code == 200


def test_me_lists_the_rounds_that_wait_for_my_vote(world: World) -> None:
    round = world.round(world.release())
    waiting = client(world.signer).get(f"{API}/me/").data["open_approvals"]
    assert [(each["id"], each["subject"], each["digest"]) for each in waiting] == [
        (round.pk, round.subject.number, round.digest)
    ]
    say(round, world.signer)
    for person in (world.signer, world.author, world.manager):
        assert client(person).get(f"{API}/me/").data["open_approvals"] == []
