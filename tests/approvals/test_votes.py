"""Votes: bound to what their voter saw, counted as the policy asks, and deciding at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from approvals.commands import open_round, revoke, vote
from approvals.models import ApprovalRound, Vote
from releasemgmt.releases.commands import edit_release, write_document
from releasemgmt.workflow import queries as workflow
from releasemgmt.workflow.commands import fire
from releasemgmt.workflow.errors import Conflict, Invalid, NotPermitted, Refused, Stale, WrongState
from tests.approvals.world import World, holds, picture, say, state_of


def refused(round: ApprovalRound, voter: Any, error: type[Refused], **fields: Any) -> Refused:
    """The refusal of a vote, which left everything as it was and is to be audited."""
    before = picture(round.subject)
    with pytest.raises(error) as caught:
        say(round, voter, **fields)
    assert picture(round.subject) == before
    assert caught.value.audited
    return caught.value


def test_one_release_manager_signs_a_low_risk_off(world: World) -> None:
    release = world.release()
    round = world.round(release)
    assert not holds(release)
    say(round, world.signer)
    round.refresh_from_db()
    assert round.state == "approved" and holds(release)
    last = workflow.timeline(release)[0]
    assert (last.kind, last.actor, last.data["digest"]) == ("approvals.round.approve", world.signer, round.digest)
    assert state_of(release) == "integration_tested"
    assert list(workflow.breaks()) == []


def test_a_medium_risk_needs_a_cab_member_too(world: World) -> None:
    release = world.release()
    edit_release(release, changes={"risk": "medium"}, actor=world.author, now=release.created_at)
    round = world.round(release)
    say(round, world.signer)
    assert not holds(release)
    say(round, world.members[0])
    assert holds(release)


def test_a_high_risk_needs_two_members_and_the_chair(world: World) -> None:
    release = world.release(database_change="irreversible")
    round = world.round(release)
    release.refresh_from_db()
    assert release.risk == "high"
    refused(round, world.signer, NotPermitted)
    for voter in [world.chair, *world.members]:
        assert not holds(release)
        say(round, voter)
    assert holds(release)


def test_one_person_fills_one_seat_whatever_their_roles(world: World) -> None:
    both = world.someone("release_manager", "cab_member")
    release = world.release()
    edit_release(release, changes={"risk": "medium"}, actor=world.author, now=release.created_at)
    round = world.round(release)
    say(round, both)
    assert not holds(release)
    say(round, world.signer)
    assert holds(release)


def test_the_chairs_rejection_ends_the_round(world: World) -> None:
    round = world.round(world.release(database_change="irreversible"))
    say(round, world.chair, "reject")
    round.refresh_from_db()
    assert round.state == "rejected"


def test_another_rejection_is_only_no_approval_until_the_count_is_out_of_reach(world: World) -> None:
    third = world.someone("release_manager")
    round = world.round(world.release())
    say(round, world.signer, "reject")
    say(round, third, "abstain")
    round.refresh_from_db()
    assert round.state == "open"
    say(round, world.manager, "abstain")
    round.refresh_from_db()
    assert round.state == "rejected"


def test_a_vote_needs_a_digest_a_decision_and_to_reject_a_reason(world: World) -> None:
    round = world.round(world.release())
    assert list(refused(round, world.signer, Invalid, digest="").errors) == ["digest"]  # type: ignore[attr-defined]
    assert list(refused(round, world.signer, Invalid, decision="maybe").errors) == ["decision"]  # type: ignore[attr-defined]
    empty = refused(round, world.signer, Invalid, decision="reject", comment=" ")
    assert list(empty.errors) == ["comment"]  # type: ignore[attr-defined]


def test_a_vote_on_older_content_says_what_changed(world: World, now: datetime) -> None:
    release = world.release()
    round = world.round(release)
    write_document(release, kind="impact", body="Two minutes of downtime.", actor=world.author, now=now)
    stale = refused(round, world.signer, Stale)
    assert isinstance(stale, Stale) and list(stale.facts["changed"]) == ["impact"]  # type: ignore[call-overload]
    fresh = world.round(release)
    assert fresh.pk != round.pk and ApprovalRound.objects.get(pk=round.pk).state == "withdrawn"
    old = refused(fresh, world.signer, Stale, digest=round.digest)
    assert isinstance(old, Stale) and list(old.facts["changed"]) == ["impact"]  # type: ignore[call-overload]
    say(fresh, world.signer)
    assert holds(release)


def test_an_invented_digest_is_stale_too(world: World) -> None:
    round = world.round(world.release())
    stale = refused(round, world.signer, Stale, digest="sha256:" + "0" * 64)
    assert isinstance(stale, Stale) and stale.facts["digest"] == round.digest


def test_nobody_votes_twice_in_a_round(world: World) -> None:
    world.someone("release_manager")
    round = world.round(world.release())
    say(round, world.signer, "abstain")
    assert refused(round, world.signer, Conflict).code == "already_voted"


def test_the_database_itself_allows_one_live_vote_a_person(world: World, now: datetime) -> None:
    round = world.round(world.release())
    say(round, world.signer, "abstain")
    row = {"round": round, "voter": world.signer, "decision": "approve", "digest": round.digest, "at": now}
    with pytest.raises(IntegrityError), transaction.atomic():
        Vote.objects.create(**row)


def test_a_vote_can_be_taken_back_while_the_round_is_open(world: World, now: datetime) -> None:
    world.someone("release_manager")
    release = world.release()
    round = world.round(release)
    cast = say(round, world.signer, "abstain")
    with pytest.raises(NotPermitted):
        revoke(cast, actor=world.manager, now=now)
    revoke(cast, actor=world.signer, now=now)
    revoke(cast, actor=world.signer, now=now)
    say(round, world.signer)
    assert holds(release)
    before = picture(release)
    with pytest.raises(Conflict):
        revoke(Vote.objects.get(revoked_at=None), actor=world.signer, now=now)
    assert picture(release) == before


def test_a_decided_round_takes_no_vote(world: World) -> None:
    round = world.signed(world.release())
    assert refused(round, world.manager, Conflict).code == "round_closed"


def test_a_release_that_went_back_to_work_takes_no_vote(world: World, now: datetime) -> None:
    release = world.release()
    round = world.round(release)
    fire(release, "rework", actor=world.manager, now=now, reason="wrong")
    refused(round, world.signer, WrongState)


def test_a_service_never_votes(world: World) -> None:
    round = world.round(world.release())
    assert refused(round, world.someone("service"), NotPermitted).code == "services_never_vote"


def test_a_token_without_the_scope_to_approve_does_not_vote(world: World) -> None:
    round = world.round(world.release())
    world.signer.scopes = frozenset({"write"})
    refused(round, world.signer, NotPermitted)


def test_nobody_from_another_team_votes(world: World) -> None:
    refused(world.round(world.release()), World().signer, NotPermitted)


@pytest.mark.parametrize(("riders", "decision"), [(0, "abstain"), (0, "approve"), (3, "abstain")])
def test_a_vote_takes_few_statements(
    world: World, now: datetime, riders: int, decision: str, django_assert_max_num_queries: Any
) -> None:
    release = world.release()
    for n in range(riders):
        world.assessed(title=f"Change {n}", releases=[release])
    world.someone("release_manager")
    round = ApprovalRound.objects.with_subject().get(pk=world.round(release).pk)
    begin_and_end = 2
    with django_assert_max_num_queries(12 + 6 + riders + begin_and_end):
        vote(round, decision=decision, digest=round.digest, actor=world.signer, now=now)


def test_a_round_that_holds_is_answered_not_opened_again(world: World, now: datetime) -> None:
    release = world.release()
    round = world.signed(release)
    before = picture(release)
    assert open_round(release, actor=world.manager, now=now + timedelta(hours=1)).pk == round.pk
    assert picture(release) == before
