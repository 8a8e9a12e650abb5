"""Boards and meetings over REST: the contract's addresses, statuses and bodies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from approvals.commands import close_agendas
from approvals.models import AgendaItem, Board, Meeting
from releasemgmt.accounts.models import User
from tests.approvals.boards import ask, picture_of_boards, weekly
from tests.approvals.world import World, say
from tests.factories import someone

API = "/api/v1"
ANY = {"If-Match": "*"}


def client(user: User) -> APIClient:
    made = APIClient()
    made.force_authenticate(user)
    return made


@pytest.fixture
def body(world: World) -> dict[str, Any]:
    return {
        "key": "cab",
        "name": "Weekly CAB",
        "team": world.product.team.key,
        "chair": world.chair.username,
        "members": [world.members[0].username],
        "rule": "FREQ=WEEKLY;BYDAY=TH",
        "start_time": "14:00",
        "time_zone": "Europe/Zurich",
    }


@pytest.fixture
def meeting(world: World) -> Meeting:
    """One that has begun, with one round on its agenda; the other meetings are ahead."""
    now = timezone.now()
    ask(world, "Larger disk", at=now - timedelta(hours=2))
    begun = weekly(world, now=now).meetings.earliest("starts_at")
    at = {"starts_at": now, "cut_off_at": now - timedelta(hours=1), "ends_at": now + timedelta(hours=1)}
    Meeting.objects.filter(pk=begun.pk).update(**at)
    close_agendas(now)
    return Meeting.objects.get(pk=begun.pk)


def test_a_board_is_made_read_and_edited(world: World, body: dict[str, Any]) -> None:
    chair = client(world.chair)
    made = chair.post(f"{API}/boards/", body)
    assert made.status_code == 201, made.data
    assert made["Location"] == f"{API}/boards/cab/"
    members = sorted([world.chair.username, world.members[0].username])
    assert (made.data["members"], made.data["start_time"], made.data["duration_minutes"]) == (members, "14:00:00", 60)
    address = made.data["url"]
    assert chair.patch(address, {"name": "CAB"}).status_code == 428
    edited = chair.patch(address, {"name": "CAB", "members": []}, headers={"If-Match": made["ETag"]})
    assert (edited.status_code, edited.data["name"], edited.data["members"]) == (200, "CAB", [world.chair.username])
    assert chair.patch(address, {"name": "No"}, headers={"If-Match": made["ETag"]}).status_code == 412
    assert [each["key"] for each in chair.get(f"{API}/boards/?kind=normal&search=cab").data["results"]] == ["cab"]
    assert chair.post(f"{API}/boards/", body).status_code == 409
    assert chair.get(f"{address}events/").status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"rule": "FREQ=HOURLY"},
        {"rule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"},
        {"time_zone": "Mars/Olympus"},
        {"cut_off_minutes": 0},
        {"duration_minutes": 2_000},
        {"start_time": "25:00"},
        {"first_on": "0001-01-01"},
        {"chair": "nobody"},
        {"members": ["nobody"]},
        {"team": "no-team"},
        {"kind": "secret"},
        {"key": "Not a key"},
        {"votes": []},
    ],
    ids=str,
)
def test_a_board_that_makes_no_sense_is_a_400(world: World, body: dict[str, Any], wrong: dict[str, Any]) -> None:
    answer = client(world.chair).post(f"{API}/boards/", {**body, **wrong})
    assert answer.status_code == 400
    assert answer.data["errors"]
    assert not Board.objects.exists()


def test_boards_of_another_team_do_not_exist(world: World, meeting: Meeting) -> None:
    stranger, before = client(someone("cab_chair", team=World().product.team)), picture_of_boards()
    round = AgendaItem.objects.get().round_id
    for address in ("boards/cab/", f"meetings/{meeting.pk}/", f"meetings/{meeting.pk}/agenda/"):
        assert stranger.get(f"{API}/{address}").status_code == 404
    for address, sent in (
        ("boards/cab/", {"name": "Mine"}),
        (f"meetings/{meeting.pk}/", {"notes": "x"}),
        (f"meetings/{meeting.pk}/agenda/{round}/", {"notes": "x"}),
    ):
        assert stranger.patch(f"{API}/{address}", sent, headers=ANY).status_code == 404
    for verb, sent in (("cancel", {"reason": "x"}), ("hold", {})):
        assert stranger.post(f"{API}/meetings/{meeting.pk}/transitions/{verb}/", sent).status_code == 404
    for listing in ("boards/", "meetings/", "meetings/?board=cab"):
        assert stranger.get(f"{API}/{listing}").data["results"] == []
    called = stranger.post(f"{API}/meetings/", {"board": "cab", "starts_at": "2199-01-01T10:00:00Z"})
    assert called.status_code == 400
    assert picture_of_boards() == before


def test_a_meeting_is_walked_through(world: World, meeting: Meeting) -> None:
    chair, address = client(world.chair), f"{API}/meetings/{meeting.pk}/"
    shown = chair.get(address)
    assert (shown.data["state"], shown.data["attendees"]) == ("planned", [])
    said = chair.patch(address, {"attendees": [world.chair.username], "notes": "Short."}, headers=ANY)
    assert (said.status_code, said.data["attendees"]) == (200, [world.chair.username])
    agenda = chair.get(f"{address}agenda/").data
    (item,) = agenda["items"]
    assert (item["position"], item["title"], item["risk"], item["decision"]) == (1, "Larger disk", "medium", "")
    place = f"{address}agenda/{item['round']}/"
    assert chair.patch(place, {"decision": "deferred"}).status_code == 428
    assert chair.patch(place, {"decision": "deferred"}, headers={"If-Match": shown["ETag"]}).status_code == 412
    decided = chair.patch(place, {"decision": "deferred", "notes": "Ask."}, headers={"If-Match": said["ETag"]})
    assert decided.data["items"][0]["decision"] == "deferred"
    assert decided.data["items"][0]["decided_by"] == world.chair.username
    assert chair.patch(place, {"decision": "maybe"}, headers=ANY).status_code == 400
    assert chair.patch(place, {"vote": "approve"}, headers=ANY).status_code == 400
    assert "**deferred**" in chair.get(f"{address}minutes/").data["minutes"]
    held = chair.post(f"{address}transitions/hold/", {})
    assert (held.status_code, held.data["state"], held.data["settled_by"]) == (200, "held", world.chair.username)
    assert chair.post(f"{address}transitions/hold/", {}).status_code == 200
    assert chair.get(f"{address}minutes/").data["fixed"] is True
    for again in (
        chair.patch(address, {"notes": "x"}, headers=ANY),
        chair.patch(place, {"notes": "x"}, headers=ANY),
        chair.post(f"{address}transitions/cancel/", {"reason": "x"}),
    ):
        assert (again.status_code, again.data["code"]) == (409, "meeting_over")


def test_meetings_are_called_and_cancelled(world: World, meeting: Meeting) -> None:
    chair, at = client(world.chair), (timezone.now() + timedelta(days=1)).replace(microsecond=0)
    called = chair.post(f"{API}/meetings/", {"board": "cab", "starts_at": at.isoformat()})
    assert called.status_code == 201, called.data
    assert (called.data["extra"], called["Location"]) == (True, called.data["url"])
    assert chair.post(f"{API}/meetings/", {"board": "cab", "starts_at": at.isoformat()}).status_code == 409
    assert chair.post(f"{API}/meetings/", {"board": "cab", "starts_at": "2020-01-01T10:00:00Z"}).status_code == 400
    assert chair.post(f"{API}/meetings/", {"board": "cab", "starts_at": "2199-01-01T10:00:00"}).status_code == 400
    cancel = f"{called.data['url']}transitions/cancel/"
    assert chair.post(cancel, {}).status_code == 400
    assert chair.post(cancel, {"reason": "Ill."}, headers={"If-Match": '"cab.0"'}).status_code == 412
    assert chair.post(cancel, {"reason": "Ill."}).data["state"] == "cancelled"
    assert chair.post(f"{called.data['url']}transitions/hold/", {}).status_code == 409
    listed = chair.get(f"{API}/meetings/?board=cab&state=cancelled").data["results"]
    assert [each["id"] for each in listed] == [called.data["id"]]


def test_what_is_still_ahead_or_has_decided_something_is_a_409(world: World, meeting: Meeting) -> None:
    chair = client(world.chair)
    ahead = meeting.board.meetings.latest("starts_at")
    hold = chair.post(f"{API}/meetings/{ahead.pk}/transitions/hold/", {})
    assert (hold.status_code, hold.data["code"]) == (409, "meeting_ahead")
    place = f"{API}/meetings/{meeting.pk}/agenda/{meeting.items.get().round_id}/"
    assert chair.patch(place, {"decision": "approved"}, headers=ANY).status_code == 200
    cancel = chair.post(f"{API}/meetings/{meeting.pk}/transitions/cancel/", {"reason": "x"})
    assert (cancel.status_code, cancel.data["code"]) == (409, "meeting_decided")


def test_a_member_reads_and_votes_in_the_round_not_in_the_meeting(world: World, meeting: Meeting) -> None:
    member, round = client(world.members[0]), meeting.items.get().round
    before = picture_of_boards()
    place = f"{API}/meetings/{meeting.pk}/agenda/{round.pk}/"
    assert member.patch(place, {"decision": "approved"}, headers=ANY).status_code == 403
    assert member.post(f"{API}/meetings/{meeting.pk}/transitions/hold/", {}).status_code == 403
    assert picture_of_boards() == before
    say(round, world.members[0])
    assert "approve" in member.get(f"{API}/meetings/{meeting.pk}/minutes/").data["minutes"]


def test_lists_cost_the_same_however_long(world: World, meeting: Meeting, django_assert_max_num_queries: Any) -> None:
    chair = client(world.chair)
    for address, statements in (("boards/", 5), ("meetings/", 4), (f"meetings/{meeting.pk}/agenda/", 8)):
        with django_assert_max_num_queries(statements):
            assert chair.get(f"{API}/{address}").status_code == 200
