"""The reviewer's page: what changed is readable, an old form decides nothing, questions stay on the record."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from approvals.models import ApprovalRound, ChangeRequest, Vote
from approvals.queries import digest
from releasemgmt.accounts.commands import deactivate, system
from releasemgmt.accounts.models import User
from releasemgmt.portal.differences import Difference, differences
from releasemgmt.releases.commands import write_document
from releasemgmt.releases.models import Release
from releasemgmt.workflow.queries import timeline
from tests.approvals.world import World, picture, say
from tests.conftest import NOW
from tests.portal.test_pages import signed_in

#: Statements of a release's page: 3 for who looks, 10 for the round, 6 for its walk, 11 for the release and its gates.
PLAIN = 30


@pytest.fixture
def world(db: None, settings: Any) -> World:
    """As in the tests of approvals: their own gates, so that tests and documents are not in the way."""
    settings.WORKFLOW_GATES = {
        key: [path for path in paths if path.startswith("approvals.")] for key, paths in settings.WORKFLOW_GATES.items()
    }
    settings.RISK_FACTS = []
    return World()


@pytest.fixture
def every_gate(db: None, settings: Any) -> World:
    """As the service is shipped, but that releases get tested without their suites."""
    ours: dict[str, list[str]] = {"releases.Release.build": [], "releases.Release.pass_integration": []}
    settings.WORKFLOW_GATES = {**settings.WORKFLOW_GATES, **ours}
    return World()


def write(world: World, release: Release, body: str, **fields: Any) -> Release:
    return write_document(release, kind="impact", body=body, actor=world.author, now=NOW, **fields)


def dossier(round: ApprovalRound, rest: str = "change") -> str:
    return reverse(f"admin:approvals_approvalround_{rest}", args=[round.pk])


def ballot(round: ApprovalRound, decision: str = "approve", **fields: Any) -> dict[str, Any]:
    return {"digest": round.digest, "decision": decision, **fields}


def test_a_text_that_changed_is_shown_line_by_line(world: World) -> None:
    release = write(world, world.release(), "Stop.\nMigrate.\nStart.")
    world.round(release)
    release = write(world, release, "Stop.\nBack up.\nMigrate.\nStart.")
    second = world.round(release)
    html = signed_in(world.signer).get(dossier(second)).content.decode()
    assert "What changed since the last round" in html
    assert '<div class="is-new">+ Back up.</div>' in html
    assert '<div class="is-same">  Stop.</div>' in html
    assert "is-gone" not in html


def test_members_that_came_went_or_changed_are_named(world: World) -> None:
    before, after = {"CHG-1": "sha256:a", "CHG-2": "sha256:b"}, {"CHG-2": "sha256:c", "CHG-3": "sha256:d"}
    lines = [("gone", "CHG-1"), ("new", "CHG-2 changed"), ("new", "CHG-3")]
    assert differences(world.release(), {"changes": [before, after]}) == [Difference("changes", before, after, lines)]


def test_an_old_form_says_what_changed_and_records_nothing(world: World) -> None:
    release = write(world, world.release(), "Nobody notices.")
    round = world.round(release)
    release = write(world, release, "Two minutes of downtime.")
    before = picture(release)
    answer = signed_in(world.signer).post(dossier(round, "vote"), ballot(round, comment="Fine by me."))
    html = answer.content.decode()
    assert answer.status_code == 409
    assert "+ Two minutes of downtime." in html and "− Nobody notices." in html
    assert picture(release) == before and not Vote.objects.exists()


def test_a_digest_that_is_none_is_refused_and_the_next_form_is_whole(world: World) -> None:
    release = world.release()
    round = world.round(release)
    before = picture(release)
    sent = ballot(round, comment="As agreed.") | {"digest": "sha256:" + "0" * 64}
    html = signed_in(world.signer).post(dossier(round, "vote"), sent).content.decode()
    assert f'value="{digest(release)}"' in html and "As agreed." in html
    assert picture(release) == before


def test_a_vote_is_cast_and_taken_back(world: World) -> None:
    round = world.round(world.release(database_change="irreversible"))
    client = signed_in(world.chair)
    assert client.post(dossier(round, "vote"), ballot(round)).status_code == 302
    assert round.votes.get(revoked_at=None).channel == "admin"
    assert "Take it back" in client.get(dossier(round)).content.decode()
    client.post(dossier(round, "revoke"))
    assert not round.votes.filter(revoked_at=None).exists()


def test_a_rejection_needs_a_comment(world: World) -> None:
    release = world.release()
    round = world.round(release)
    before = picture(release)
    answer = signed_in(world.signer).post(dossier(round, "vote"), ballot(round, "reject"))
    assert answer.status_code == 409 and picture(release) == before


def test_nobody_is_offered_a_vote_on_their_own_work(world: World) -> None:
    release = world.release()
    round = world.round(release)
    html = signed_in(world.author).get(dossier(round)).content.decode()
    assert 'name="decision"' not in html
    before = picture(release)
    answer = signed_in(world.author).post(dossier(round, "vote"), ballot(round))
    assert answer.status_code == 409 and picture(release) == before
    assert timeline(world.author).filter(kind="workflow.refused").count() == 1


def test_a_question_is_a_comment_on_the_record(world: World) -> None:
    release = world.release()
    round = world.round(release)
    where = reverse("admin:releases_release_comment", args=[release.pk])
    client = signed_in(world.signer)
    answer = client.post(where, {"body": "Who watches it at night?", "back": dossier(round)})
    assert answer["Location"] == dossier(round)
    assert "Who watches it at night?" in client.get(dossier(round)).content.decode()
    elsewhere = client.post(where, {"body": "And?", "back": "https://example.org/"})
    assert elsewhere["Location"] == reverse("admin:releases_release_change", args=[release.pk])


def test_another_teams_round_does_not_exist(world: World) -> None:
    round = world.round(world.release())
    stranger = signed_in(World().signer)
    assert stranger.get(dossier(round)).status_code == 404
    assert stranger.post(dossier(round, "vote"), ballot(round)).status_code == 404
    assert not Vote.objects.exists()


def asked_by(page: str, person: User) -> list[str]:
    client = signed_in(person)
    client.get(page)
    with CaptureQueriesContext(connection) as asked:
        html = client.get(page).content
    assert len(html) <= 60 * 1024
    return [query["sql"] for query in asked.captured_queries]


def test_the_dossier_asks_nothing_twice(every_gate: World) -> None:
    """The page, the ballot and each gate read the same rows; what a plain release's page asks, it asks once."""
    world = every_gate
    world.round(world.release("0.9"))
    round = world.round(write(world, world.release(), "Stop."))
    asked = asked_by(dossier(round), world.signer)
    assert len(asked) <= PLAIN, "\n".join(asked)
    assert len(set(asked)) == len(asked)


def test_the_dossier_with_all_its_parts_asks_little(every_gate: World) -> None:
    """Beside the plain page one statement each for conflicts of riding changes, the texts of the difference to confirm,
    news since the earlier vote, and what votes ask for: however many there are of them."""
    world, parts = every_gate, 4
    release = world.release(database_change="irreversible", author="writer@example.org")
    world.assessed(title="Rides along", releases=[release])
    release = write(world, release, "Stop.")
    say(world.round(release), world.chair, conditions=["Tell the shops"])
    round = world.round(write(world, release, "Stop and start.", void_signoffs=True))
    say(round, world.members[0], conditions=["Warm the cache"])
    few = asked_by(dossier(round), world.chair)
    assert len(few) <= PLAIN + parts, "\n".join(few)
    world.assessed(title="Rides along too", releases=[release], void_signoffs=True)
    say(world.round(release), world.members[1], conditions=["Warm the cache", "Tell the shops"])
    for n in range(5):
        world.round(world.release(f"2.{n}", database_change="irreversible"))
    round = world.round(release)
    assert len(asked_by(dossier(round), world.chair)) == len(few)


def test_the_list_of_rounds_is_narrowed_to_those_that_wait_for_me(world: World) -> None:
    round = world.round(world.release())
    rounds = reverse("admin:approvals_approvalround_changelist") + "?vote=waiting"
    assert str(round) in signed_in(world.signer).get(rounds).content.decode()
    assert str(round) not in signed_in(world.author).get(rounds).content.decode()


def test_a_change_has_a_dossier_of_its_own(world: World) -> None:
    change: ChangeRequest = world.assessed()
    round = ApprovalRound.objects.get(change=change)
    html = signed_in(world.signer).get(dossier(round)).content.decode()
    assert change.title in html and "Your decision" in html


def test_later_than_planned_is_not_out_of_reach(world: World) -> None:
    late = ApprovalRound.objects.get(change=world.assessed())
    html = signed_in(world.signer).get(dossier(late)).content.decode()
    assert "Later than planned." in html and "which has passed" in html
    assert "can’t be reached" not in html
    lost = world.round(world.release())
    for person in (world.signer, world.manager):
        deactivate(person, actor=system(), now=NOW)
    html = signed_in(world.chair).get(dossier(lost)).content.decode()
    assert "The quorum can’t be reached." in html and "Later than planned." not in html
