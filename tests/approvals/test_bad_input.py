"""What can't be a vote, a policy or a delegation: refused, with a trace on the caller's stream alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals.models import ApprovalPolicy, ApprovalRound, Delegation, Vote
from approvals.queries import current_round
from releasemgmt.accounts.models import User
from releasemgmt.releases.commands import write_document
from releasemgmt.workflow.models import Event
from tests.approvals.world import World, picture, say
from tests.conftest import NOW
from tests.factories import ProductFactory, someone
from tests.web.world import API, Caller

SEEN_NEVER = f"sha256:{'e' * 64}"


@pytest.fixture
def round(world: World) -> ApprovalRound:
    """The open round of a release that the author requested and the manager moved on."""
    return world.round(world.release())


def address(round: ApprovalRound, rest: str = "votes/") -> str:
    return f"{API}/approvals/{round.pk}/{rest}"


def ballot(round: ApprovalRound, **said: Any) -> dict[str, Any]:
    return {"decision": "approve", "digest": round.digest, **said}


@contextmanager
def noted(caller: Caller, *records: Any, code: str) -> Iterator[None]:
    """Records, rounds, votes, policies, delegations stay as they are; the caller's stream tells of the refusal."""

    def everything() -> list[Any]:
        rows = [list(model.objects.order_by("pk").values()) for model in (ApprovalPolicy, Delegation)]
        others = Event.objects.exclude(kind="workflow.refused").exclude(kind="accounts.user.create_token")
        return [picture(*records), rows, others.count()]

    def refusals() -> list[Any]:
        events = Event.objects.filter(stream=caller.user.stream, kind="workflow.refused").order_by("seq")
        return [event.data for event in events]

    before, said = everything(), refusals()
    yield
    assert everything() == before
    *same, last = refusals()
    assert same == said
    assert last["code"] == code and last["detail"] and last["subject"].startswith(API)


def test_a_vote_without_a_digest(world: World, round: ApprovalRound) -> None:
    caller = Caller(world.signer)
    for body in ({"decision": "approve"}, ballot(round, digest="")):
        with noted(caller, round.subject, code="invalid"):
            document = caller.refused("post", address(round), body, status=400)
        assert document["code"] == "invalid"
        assert [error["pointer"] for error in document["errors"]] == ["/digest"]


def test_a_vote_with_an_old_digest_says_what_changed(world: World, round: ApprovalRound) -> None:
    caller, release = Caller(world.signer), world.product.releases.get()
    write_document(release, kind="impact", body="Two minutes of outage.", actor=world.author, now=NOW)
    with noted(caller, release, code="stale"):
        document = caller.refused("post", address(round), ballot(round), status=412)
    assert document["code"] == "stale"
    assert document["digest"] not in ("", round.digest)
    assert list(document["changed"]) == ["impact"] and document["changed"]["impact"][0] is None


def test_a_vote_with_a_digest_that_never_was(world: World, round: ApprovalRound) -> None:
    caller = Caller(world.signer)
    with noted(caller, round.subject, code="stale"):
        document = caller.refused("post", address(round), ballot(round, digest=SEEN_NEVER), status=412)
    assert (document["digest"], document["changed"]) == (round.digest, {})


def test_a_second_vote(world: World, round: ApprovalRound) -> None:
    caller = Caller(world.signer)
    say(round, world.signer, "abstain")
    with noted(caller, round.subject, code="already_voted"):
        document = caller.refused("post", address(round), ballot(round), status=409)
    assert document["code"] == "already_voted"


def test_the_vote_of_one_who_worked_on_it(world: World) -> None:
    author = world.someone("release_manager", username="wrote-it")
    world.author = author
    round = world.round(world.release())
    caller = Caller(author)
    with noted(caller, round.subject, code="conflict_of_interest"):
        document = caller.refused("post", address(round), ballot(round), status=403)
    assert document["code"] == "conflict_of_interest" and "requester" in document["detail"]


def test_the_vote_of_a_service(world: World, round: ApprovalRound) -> None:
    service = world.someone("service")
    caller = Caller(service)
    with noted(caller, round.subject, code="services_never_vote"):
        document = caller.refused("post", address(round), ballot(round), status=403)
    assert document["code"] == "services_never_vote"
    pipeline = Caller(service, scopes=["write", "deploy"])
    with noted(pipeline, round.subject, code="not_permitted"):
        pipeline.refused("post", address(round), ballot(round), status=403)


def test_a_vote_on_another_teams_round(world: World, round: ApprovalRound) -> None:
    caller = Caller(someone("release_manager", "cab_chair", team=ProductFactory().team))
    with noted(caller, round.subject, code="not_found"):
        theirs = caller.refused("post", address(round), ballot(round), status=404)
    nothing = caller.refused("post", f"{API}/approvals/999999/votes/", ballot(round), status=404)
    assert theirs["detail"] == nothing["detail"]


def test_a_votes_id_under_another_round(world: World, round: ApprovalRound) -> None:
    caller = Caller(world.signer)
    cast = say(round, world.signer, "abstain")
    other = world.round(world.release("2.0"))
    with noted(caller, round.subject, other.subject, code="not_found"):
        document = caller.refused("post", address(other, f"votes/{cast.pk}/revoke/"), {}, status=404)
    assert document["code"] == "not_found"
    assert Vote.objects.get(pk=cast.pk).revoked_at is None


# --- policies ---


@pytest.fixture
def administrators(world: World) -> list[User]:
    """Two, so that neither acts alone."""
    return [someone("administrator", username=f"admin-{n}") for n in (1, 2)]


def test_a_policy_that_nobody_can_satisfy_is_refused_with_the_arithmetic(
    world: World, administrators: list[User]
) -> None:
    caller = Caller(administrators[0])
    conditions = {"team": [world.product.team.key]}
    stages = [{"role": "cab_member", "count": 5}]
    body = {"key": "much", "name": "Much", "stages": stages, "conditions": conditions}
    with noted(caller, code="unsatisfiable"):
        document = caller.refused("post", f"{API}/approval-policies/", body, status=400)
    assert document["code"] == "unsatisfiable"
    assert "5 × CAB member are asked for and 2 could agree, 3 short" in document["detail"]
    assert not ApprovalPolicy.objects.filter(key="much").exists()


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"stages": []}, "/stages"),
        ({"stages": [{"role": "release_manager"}]}, "/stages/0"),
        ({"stages": [{"role": "auditor", "count": 1}]}, "/stages/0"),
        ({"stages": [{"role": "release_manager", "team": "web", "count": 1}]}, "/stages/0"),
        ({"stages": [{"role": "release_manager", "count": 0}]}, "/stages/0/count"),
        ({"stages": [{"role": "release_manager", "percent": 101}]}, "/stages/0/percent"),
        ({"conditions": {"risk": ["enormous"]}}, "/conditions/risk"),
        ({"conditions": {"weather": ["rain"]}}, "/conditions/weather"),
        ({"conditions": {"team": ["nowhere"]}}, "/conditions/team"),
        ({"subject": "planet"}, "/subject"),
        ({"colour": "red"}, "/colour"),
    ],
    ids=str,
)
def test_a_policy_that_means_nothing(said: dict[str, Any], pointer: str, administrators: list[User]) -> None:
    caller = Caller(administrators[0])
    body = {"key": "odd", "name": "Odd", "stages": [{"role": "release_manager", "count": 1}], **said}
    with noted(caller, code="invalid"):
        document = caller.refused("post", f"{API}/approval-policies/", body, status=400)
    assert [error["pointer"] for error in document["errors"]] == [pointer]


# --- delegations ---


def hand_over(to: User, **said: Any) -> dict[str, Any]:
    end = (timezone.now() + timedelta(days=3)).isoformat()
    return {"delegate": to.username, "roles": ["release_manager"], "ends_at": end, **said}


def test_a_delegation_to_oneself(world: World) -> None:
    caller = Caller(world.signer)
    with noted(caller, code="invalid"):
        document = caller.refused("post", f"{API}/delegations/", hand_over(world.signer), status=400)
    assert document["errors"][0]["pointer"] == "/delegate"


@pytest.mark.parametrize("said", [{"ends_at": None}, {}], ids=["null", "left out"])
def test_a_delegation_without_end(said: dict[str, Any], world: World) -> None:
    caller, body = Caller(world.signer), hand_over(world.manager, **said)
    if not said:
        del body["ends_at"]
    with noted(caller, code="invalid"):
        document = caller.refused("post", f"{API}/delegations/", body, status=400)
    assert document["errors"][0]["pointer"] == "/ends_at"


def test_a_delegation_that_is_passed_on(world: World) -> None:
    """In either order: by who was given it, and to who gives it away."""
    first, second, third = world.signer, world.manager, world.someone("release_manager", username="third")
    assert Caller(first).post(f"{API}/delegations/", hand_over(second)).status_code == 201
    for giver, to in ((second, third), (third, first)):
        caller = Caller(giver)
        with noted(caller, code="chain"):
            document = caller.refused("post", f"{API}/delegations/", hand_over(to), status=400)
        assert document["code"] == "chain" and document["errors"][0]["pointer"] == "/delegate"


def test_a_delegation_of_what_one_does_not_hold(world: World) -> None:
    caller = Caller(world.signer)
    with noted(caller, code="invalid"):
        caller.refused("post", f"{API}/delegations/", hand_over(world.chair, roles=["cab_chair"]), status=400)


def test_a_delegation_to_somebody_of_another_team_names_nobody(world: World) -> None:
    stranger, caller = someone("cab_chair", team=ProductFactory().team), Caller(world.signer)
    with noted(caller, code="invalid"):
        there = caller.refused("post", f"{API}/delegations/", hand_over(stranger), status=400)
    stranger.username = "no-such-name"
    nowhere = caller.refused("post", f"{API}/delegations/", hand_over(stranger), status=400)
    assert there["errors"] == nowhere["errors"]


def test_an_old_round_takes_no_vote(world: World, round: ApprovalRound) -> None:
    """The subject has another round now; the one before it is closed, whatever digest is sent."""
    caller = Caller(world.signer)
    write_document(world.product.releases.get(), kind="impact", body="None.", actor=world.author, now=NOW)
    world.round(round.subject)
    assert current_round(round.subject) != round
    with noted(caller, round.subject, code="round_closed"):
        caller.refused("post", address(round), ballot(round), status=409)
