"""Boards and meetings in the admin: made, walked through item by item, voted on, ended, read by those who see them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from approvals.commands import close_agendas, delegate
from approvals.models import AgendaItem, ApprovalRound, Board, Meeting
from tests.approvals.boards import ask, picture_of_boards, weekly
from tests.approvals.world import World, say
from tests.factories import someone
from tests.portal.test_pages import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(settings: Any) -> World:
    """Nothing is in the way of a round but its votes."""
    settings.WORKFLOW_GATES, settings.RISK_FACTS = {}, []
    return World()


@pytest.fixture
def rounds(world: World) -> list[ApprovalRound]:
    return [ask(world, "Risky", risk="high"), ask(world, "Careful")]


@pytest.fixture
def meeting(world: World, rounds: list[ApprovalRound]) -> Meeting:
    """One that has begun, with both rounds on its agenda."""
    begun = weekly(world).meetings.earliest("starts_at")
    now = timezone.now()
    at = {"starts_at": now, "cut_off_at": now - timedelta(hours=1), "ends_at": now + timedelta(hours=1)}
    Meeting.objects.filter(pk=begun.pk).update(**at)
    close_agendas(now)
    return Meeting.objects.get(pk=begun.pk)


def page(meeting: Meeting, name: str = "change", *args: Any) -> str:
    return reverse(f"admin:approvals_meeting_{name}", args=[meeting.pk, *args])


def body(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_chair_makes_and_edits_a_board(world: World) -> None:
    chair = signed_in(world.chair)
    sent = {
        "key": "cab", "name": "CAB", "kind": "normal", "team": world.product.team.pk, "chair": world.chair.pk,
        "members": [member.pk for member in world.members], "rule": "FREQ=WEEKLY;BYDAY=TH", "start_time": "14:00",
        "duration_minutes": 60, "time_zone": "Europe/Zurich", "cut_off_minutes": 60,
    }  # fmt: skip
    assert (
        "FREQ is one of" in chair.post("/admin/approvals/board/add/", {**sent, "rule": "FREQ=HOURLY"}).content.decode()
    )
    assert chair.post("/admin/approvals/board/add/", sent).status_code == 302
    board = Board.objects.get()
    assert board.members.count() == 3
    assert (
        body(chair, f"/admin/approvals/board/{board.pk}/change/").count("agenda closes") == board.meetings.count() > 6
    )
    edited = {**sent, "members": [], "rule": "", "first_on": ""}
    assert chair.post(f"/admin/approvals/board/{board.pk}/change/edit/", edited).status_code == 302
    assert (board.members.count(), board.meetings.count()) == (1, 0)
    assert "This board meets when it is called" in body(chair, f"/admin/approvals/board/{board.pk}/change/")


def test_a_chair_calls_a_meeting_and_cancels_it_with_a_reason(world: World) -> None:
    board, chair = weekly(world, rule=""), signed_in(world.chair)
    at = timezone.now() + timedelta(days=2)
    answer = chair.post(f"/admin/approvals/board/{board.pk}/change/call/", {"starts_at": f"{at:%Y-%m-%dT%H:%M}"})
    meeting = board.meetings.get()
    assert answer["Location"] == page(meeting)
    assert chair.post(page(meeting, "cancel"), {"reason": ""}).status_code == 400
    assert chair.post(page(meeting, "cancel"), {"reason": "Ill."}).status_code == 302
    assert Meeting.objects.get().state == "cancelled"


def test_the_agenda_leads_from_item_to_item(world: World, meeting: Meeting, rounds: list[ApprovalRound]) -> None:
    risky, careful = rounds
    shown = body(signed_in(world.members[0]), page(meeting))
    assert shown.index("Risky") < shown.index("Careful")
    first = body(signed_in(world.members[0]), page(meeting, "item", risky.pk))
    assert page(meeting, "item", careful.pk) in first
    assert 'value="deferred"' not in first  # a member reads and votes
    assert 'value="deferred"' in body(signed_in(world.chair), page(meeting, "item", risky.pk))
    assert page(meeting, "item", risky.pk) in body(signed_in(world.chair), page(meeting, "item", careful.pk))


def test_a_decision_is_noted_and_opens_the_next_item(
    world: World, meeting: Meeting, rounds: list[ApprovalRound]
) -> None:
    chair, (risky, careful) = signed_in(world.chair), rounds
    answer = chair.post(page(meeting, "item", risky.pk), {"notes": "Ask again.", "decision": "deferred"})
    assert answer["Location"] == page(meeting, "item", careful.pk)
    answer = chair.post(page(meeting, "item", careful.pk), {"notes": "Nothing.", "decision": ""})
    assert answer["Location"] == page(meeting, "item", careful.pk)
    said = list(meeting.items.order_by("position").values_list("notes", "decision"))
    assert said == [("Ask again.", "deferred"), ("Nothing.", "")]
    chair.post(page(meeting, "item", risky.pk), {"notes": "Ask again.", "decision": "none"})
    assert meeting.items.get(round=risky).decision == ""


def test_a_member_votes_on_the_meetings_page_by_the_digest(
    world: World, meeting: Meeting, rounds: list[ApprovalRound]
) -> None:
    member, round = signed_in(world.members[0]), rounds[1]
    vote = page(meeting, "vote", round.pk)
    old = member.post(vote, {"digest": "sha256:" + "0" * 64, "decision": "approve"})
    assert (old.status_code, round.votes.count()) == (409, 0)
    assert "is not what you saw" in old.content.decode()
    assert round.digest in old.content.decode()
    assert "Say why you reject it" in member.post(vote, {"digest": round.digest, "decision": "reject"}).content.decode()
    assert member.post(vote, {"digest": round.digest, "decision": "approve"}).status_code == 302
    assert [(cast.voter, cast.channel) for cast in round.votes.all()] == [(world.members[0], "admin")]
    assert "You voted to" in body(member, page(meeting, "item", round.pk))
    assert member.post(vote, {"digest": round.digest, "decision": "approve"}).status_code == 409


def test_who_is_there_and_the_end_fix_the_minutes(world: World, meeting: Meeting, rounds: list[ApprovalRound]) -> None:
    chair = signed_in(world.chair)
    say(rounds[1], world.signer)
    assert chair.post(page(meeting, "notes"), {"attendees": [world.chair.pk], "notes": "*Short*"}).status_code == 302
    assert chair.post(page(meeting, "hold")).status_code == 302
    held = Meeting.objects.get(pk=meeting.pk)
    assert (held.state, held.settled_by) == ("held", world.chair)
    shown = body(signed_in(world.members[0]), page(meeting))
    assert "<em>Short</em>" in shown
    assert "End the meeting" not in body(chair, page(meeting))
    answer = chair.get(page(meeting, "minutes"))
    assert answer["Content-Type"].startswith("text/markdown")
    assert answer["Content-Disposition"] == f'attachment; filename="cab-{held.starts_at:%Y-%m-%d}.md"'
    assert answer.content.decode() == held.minutes
    assert chair.post(page(meeting, "item", rounds[0].pk), {"notes": "late", "decision": ""}).status_code == 409


def test_what_a_meeting_says_is_shown_not_run(world: World, meeting: Meeting, rounds: list[ApprovalRound]) -> None:
    signed_in(world.chair).post(page(meeting, "item", rounds[0].pk), {"notes": "<script>x</script>", "decision": ""})
    for address in (page(meeting), page(meeting, "item", rounds[0].pk)):
        assert "<script>x" not in body(signed_in(world.members[0]), address)


def test_pages_of_an_empty_meeting_and_of_an_open_agenda(world: World) -> None:
    ahead, now, chair = weekly(world).meetings.earliest("starts_at"), timezone.now(), signed_in(world.chair)
    days = {name: now + timedelta(days=n) for n, name in enumerate(("cut_off_at", "starts_at", "ends_at"), start=1)}
    Meeting.objects.filter(pk=ahead.pk).update(**days)
    shown = body(chair, page(ahead))
    assert "come here by themselves" in shown
    assert "End the meeting" not in shown
    round = ask(world, "Early")
    assert "Notes can be taken when the agenda is closed" in body(chair, page(ahead, "item", round.pk))
    assert chair.post(page(ahead, "item", round.pk), {"notes": "x"}).status_code == 404


def test_another_teams_meeting_does_not_exist(world: World, meeting: Meeting, rounds: list[ApprovalRound]) -> None:
    stranger = signed_in(someone("cab_chair", team=World().product.team))
    before, items = picture_of_boards(), list(AgendaItem.objects.values())
    for name, args in (("change", []), ("item", [rounds[0].pk]), ("notes", []), ("cancel", []), ("minutes", [])):
        assert stranger.get(page(meeting, name, *args)).status_code == 404
    for name, args in (("item", [rounds[0].pk]), ("vote", [rounds[0].pk]), ("notes", []), ("cancel", []), ("hold", [])):
        assert stranger.post(page(meeting, name, *args), {"reason": "x"}).status_code == 404
    for listing in ("meeting", "board"):
        assert "Weekly CAB" not in body(stranger, f"/admin/approvals/{listing}/")
    assert (picture_of_boards(), list(AgendaItem.objects.values())) == (before, items)


def test_a_round_that_is_on_no_agenda_has_no_page_there(world: World, meeting: Meeting) -> None:
    other = ask(World(), "Elsewhere", risk="high")
    chair = signed_in(world.chair)
    assert chair.get(page(meeting, "item", other.pk)).status_code == 404
    assert (
        chair.post(page(meeting, "vote", other.pk), {"digest": other.digest, "decision": "approve"}).status_code == 404
    )


def test_members_only_read(world: World, meeting: Meeting, rounds: list[ApprovalRound]) -> None:
    member, before = signed_in(world.members[0]), picture_of_boards()[:3]
    member.post(page(meeting, "hold"))
    member.post(page(meeting, "cancel"), {"reason": "x"})
    member.post(page(meeting, "notes"), {"notes": "x"})
    member.post(page(meeting, "item", rounds[0].pk), {"notes": "x", "decision": "approved"})
    assert picture_of_boards()[:3] == before
    assert not AgendaItem.objects.exclude(notes="", decision="").exists()


def test_high_risk_asks_for_the_password_again_there_too(
    world: World, meeting: Meeting, rounds: list[ApprovalRound]
) -> None:
    member, round = signed_in(world.members[0]), rounds[0]
    session = member.session
    del session["account_authentication_methods"]
    session.save()
    answer = member.post(page(meeting, "vote", round.pk), {"digest": round.digest, "decision": "approve"})
    assert (answer.status_code, round.votes.count()) == (302, 0)
    assert answer["Location"].startswith("/accounts/")


def test_a_vote_in_the_place_of_another_and_with_conditions(
    world: World, meeting: Meeting, rounds: list[ApprovalRound]
) -> None:
    round, stand_in, absent = rounds[1], world.someone("contributor"), world.members[0]
    now = timezone.now()
    delegate(to=stand_in, roles=["cab_member"], starts_at=now, ends_at=now + timedelta(days=1), actor=absent, now=now)
    client = signed_in(stand_in)
    assert f"{absent}</option>" in body(client, page(meeting, "item", round.pk))
    ballot = {"digest": round.digest, "decision": "approve", "conditions": "With a backup\n\nAt night"}
    other = {**ballot, "on_behalf_of": world.signer.pk}
    assert client.post(page(meeting, "vote", round.pk), other).status_code == 409
    sent = client.post(page(meeting, "vote", round.pk), {**ballot, "on_behalf_of": absent.pk})
    assert sent.status_code == 302
    vote = round.votes.get()
    assert (vote.voter, vote.on_behalf_of) == (stand_in, absent)
    assert [condition.text for condition in vote.conditions.all()] == ["With a backup", "At night"]
    assert f"Vote of {stand_in} for {absent}" in signed_in(world.chair).get(page(meeting, "minutes")).content.decode()
