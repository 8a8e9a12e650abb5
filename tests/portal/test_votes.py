"""The reviewer's page: who may decide there, on what they saw and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from approvals.models import ApprovalRound, Vote
from releasemgmt.accounts.models import User
from releasemgmt.releases.commands import write_document
from releasemgmt.workflow.models import Event
from tests.approvals.world import World, picture
from tests.conftest import NOW
from tests.portal.test_pages import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(settings: Any) -> World:
    """Releases get tested without their suites: the gates of releases are held by their own tests."""
    ours: dict[str, list[str]] = {"releases.Release.build": [], "releases.Release.pass_integration": []}
    settings.WORKFLOW_GATES = {**settings.WORKFLOW_GATES, **ours}
    return World()


@pytest.fixture
def round(world: World) -> ApprovalRound:
    return world.round(world.release(author="writer@example.org"))


def post(person: User, round: ApprovalRound, **fields: str) -> Any:
    body = {"decision": "approve", "digest": round.digest, "comment": "", **fields}
    return signed_in(person).post(reverse("admin:approvals_approvalround_vote", args=[round.pk]), body)


def refused(person: User, round: ApprovalRound, **fields: str) -> str:
    """A vote that must change nothing; answers the page."""
    subject = type(round.subject).objects.get(pk=round.subject.pk)
    before = picture(subject)
    page = str(post(person, round, **fields).content.decode())
    assert Vote.objects.count() == 0 and picture(subject) == before
    return page


def test_a_vote_on_what_was_seen_counts(world: World, round: ApprovalRound) -> None:
    assert post(world.signer, round)["Location"] == reverse("admin:index")
    round.refresh_from_db()
    assert round.state == "approved" and Vote.objects.get().channel == "admin"


def test_a_get_never_votes(world: World, round: ApprovalRound) -> None:
    address = reverse("admin:approvals_approvalround_vote", args=[round.pk])
    assert signed_in(world.signer).get(address, {"decision": "approve", "digest": round.digest}).status_code == 302
    assert Vote.objects.count() == 0


def test_an_old_form_records_nothing_and_shows_what_changed(world: World, round: ApprovalRound) -> None:
    write_document(round.subject, kind="impact", body="More.", actor=world.author, now=NOW)  # type: ignore[arg-type]
    assert "impact" in refused(world.signer, round)


@pytest.mark.parametrize("role", ["release_manager", "cab_chair"])
def test_nobody_approves_their_own_work_here_either(world: World, round: ApprovalRound, role: str) -> None:
    writer = world.someone(role, email="Writer@example.org")
    write_document(round.subject, kind="impact", body="x", actor=world.manager, now=NOW)  # type: ignore[arg-type]
    write_document(round.subject, kind="impact", body="", actor=world.manager, now=NOW)  # type: ignore[arg-type]
    for person in (writer, world.author, world.manager, world.someone("contributor", is_superuser=True)):
        refused(person, round)
        assert Event.objects.filter(stream=person.stream, kind="workflow.refused").count() == 1


def test_another_teams_round_does_not_exist(world: World, round: ApprovalRound) -> None:
    stranger = signed_in(World().signer)
    for name in ("change", "vote", "revoke"):
        address = reverse(f"admin:approvals_approvalround_{name}", args=[round.pk])
        assert stranger.post(address, {"decision": "approve", "digest": round.digest}).status_code == 404
        assert name == "revoke" or stranger.get(address).status_code == 404
    assert Vote.objects.count() == 0


def test_a_rejection_says_why(world: World, round: ApprovalRound) -> None:
    refused(world.signer, round, decision="reject")


def test_a_vote_can_be_taken_back_while_the_round_is_open(world: World) -> None:
    round = world.round(world.release(database_change="irreversible"))
    member = world.members[0]
    post(member, round)
    client: Client = signed_in(member)
    assert "You voted" in client.get(reverse("admin:approvals_approvalround_change", args=[round.pk])).content.decode()
    client.post(reverse("admin:approvals_approvalround_revoke", args=[round.pk]))
    assert Vote.objects.filter(revoked_at=None).count() == 0
