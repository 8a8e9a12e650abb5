"""The evidence pack: all of a release, for those who see it, and such that anybody can check it alone."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from deployments.commands import correct_incident, report_incident, withdraw_incident
from deployments.models import Incident
from releasemgmt.portal import evidence
from releasemgmt.portal.management.commands import verify_evidence
from releasemgmt.portal.management.commands.verify_evidence import canonical, digest, manifest, verify
from releasemgmt.releases.models import Release
from releasemgmt.workflow import signatures
from releasemgmt.workflow.models import Event
from releasemgmt.workflow.queries import timeline
from tests.approvals.world import World, say
from tests.conftest import NOW
from tests.factories import ProductFactory, someone
from tests.portal.evidence_world import deployed, only_approvals
from tests.portal.test_pages import signed_in
from tests.web.world import API, Caller

HOUR = timedelta(hours=1)
KEY = signatures.new_key()
PUBLIC = signatures.public_key(KEY)
SCRIPT = Path(verify_evidence.__file__)


@pytest.fixture
def world(db: None, settings: Any) -> World:
    only_approvals(settings)
    return World()


@pytest.fixture
def release(world: World) -> Release:
    return deployed(world)


@pytest.fixture
def pack(release: Release) -> Any:
    """As a client gets it."""
    answer = Caller(someone("auditor"), scopes=[]).get(f"{API}/releases/{release.number}/evidence/")
    assert answer.status_code == 200, answer.content
    return answer.json()


def written(pack: Any) -> bytes:
    return canonical(pack)


def found(pack: Any, **options: str) -> list[str]:
    return verify(written(pack), **options)[0]


def resealed(pack: Any) -> Any:
    """What a careful forger does: manifest and hash fit again."""
    pack = {**pack, "manifest": manifest(pack)}
    return {**pack, "hash": digest({name: value for name, value in pack.items() if name != "hash"})}


def test_it_holds_all_that_is_recorded(pack: Any, release: Release, world: World) -> None:
    (round,) = [each for each in pack["rounds"] if each["subject"] == release.number]
    (vote,) = pack["votes"]
    assert pack["release"]["state"] == "deployed"
    assert pack["content"]["digest"] == round["digest"] == vote["digest"]
    assert round["stages"][0]["role"] == "release_manager"
    assert (vote["voter"], vote["decision"], vote["channel"], vote["counts"]) == (
        world.signer.username,
        "approve",
        "api",
        True,
    )
    assert [each["id"] for each in pack["documents"]] == ["impact"]
    assert [(run["suite"], run["passed"]) for run in pack["test_runs"]] == [("smoke", 7)]
    assert pack["test_runs"][0]["builds"] == [build["digest"] for build in pack["builds"]]
    assert [each["defect"]["title"] for each in pack["defects"]] == ["Slow"]
    assert [each["number"] for each in pack["changes"]] == list(round["content"]["changes"])
    assert [each["digest"] for each in pack["changes"]] == list(round["content"]["changes"].values())
    assert pack["deployments"][0]["environment"] == "production"
    assert [task["title"] for task in pack["tasks"]] == ["Swap", "Look", "Swap back"]
    assert pack["commits"][0]["sha"] == pack["builds"][0]["commit_sha"]
    assert pack["exposures"][0]["percent"] == 100


def test_it_holds_the_incidents_of_its_deployments(release: Release, world: World) -> None:
    attempt = release.deployments.get()

    def down(title: str, **facts: Any) -> Incident:
        given = {"started_at": NOW + HOUR, "environment": world.production, "kind": "down", **facts}
        return report_incident(product=world.product, title=title, actor=world.author, now=NOW + 30 * HOUR, **given)

    confirmed = down("No orders", caused_by=attempt, components=list(world.product.components.all()))
    suspected = down("No payments")
    correct_incident(suspected, changes={"restored_at": NOW + 2 * HOUR}, actor=world.author, now=NOW + 30 * HOUR)
    down("Much later", started_at=NOW + 29 * HOUR)
    withdraw_incident(down("Never was"), reason="A test", actor=world.author, now=NOW + 30 * HOUR)
    pack = evidence.pack(release, now=NOW + 30 * HOUR)
    assert [(each["number"], each["caused_by"], each["suspected"]) for each in pack["incidents"]] == [
        (confirmed.number, attempt.pk, None),
        (suspected.number, None, attempt.pk),
    ]
    first = pack["incidents"][0]
    assert first["cause_confirmed_by"] == world.author.username and first["environment"] == "production"
    assert first["components"] == sorted(each.key for each in world.product.components.all())
    assert found(pack) == []
    cut = resealed({**pack, "events": [each for each in pack["events"] if each["id"] != f"{suspected.stream}/1"]})
    assert f"event {suspected.stream}/1: it is missing" in found(cut)
    html = signed_in(world.manager).get(reverse("admin:releases_release_evidence", args=[release.pk])).content.decode()
    assert f"Caused by deployment {attempt.pk}, as {world.author.username} confirmed." in html
    assert f"Deployment {attempt.pk} is suspected; nobody has confirmed it." in html and "Much later" not in html


def test_the_streams_are_whole_and_the_products_is_told_as_far_as_it_is_about_it(pack: Any, release: Release) -> None:
    seqs = [event["seq"] for event in pack["events"] if event["stream"] == release.stream]
    assert seqs == list(range(1, timeline(release).count() + 1))
    product = [event["kind"] for event in pack["events"] if event["stream"] == release.product.stream]
    assert product == ["releases.build.register", "releases.test_run.record"]
    first = Event.objects.get(stream=release.stream, seq=2)
    told = next(event for event in pack["events"] if event["id"] == f"{release.stream}/2")
    assert (told["hash"], told["prev_hash"]) == (first.hash, first.prev_hash)


def test_a_refused_attempt_is_a_deviation(release: Release, world: World) -> None:
    caller = Caller(world.author)
    caller.refused("post", f"{API}/releases/{release.number}/transitions/close/", {}, status=403)
    caller.refused("post", f"{API}/releases/{release.number}1/transitions/close/", {}, status=404)
    deviations = evidence.pack(release, now=NOW)["deviations"]
    assert [(each["by"], each["what"][:11]) for each in deviations] == [(world.author.username, "was refused")]


def test_nobody_who_does_not_see_the_release_gets_it(release: Release) -> None:
    stranger = Caller(someone("auditor", "release_manager", team=ProductFactory().team))
    stranger.refused("get", f"{API}/releases/{release.number}/evidence/", status=404)
    Caller(someone("auditor")).refused("get", f"{API}/releases/{release.number}/evidence/?x=1", status=400)


def test_it_takes_as_many_statements_however_much_there_is(release: Release, world: World) -> None:
    with CaptureQueriesContext(connection) as few:
        evidence.pack(release, now=NOW)
    larger = deployed(world, "2.0", changes=4)
    with CaptureQueriesContext(connection) as many:
        evidence.pack(larger, now=NOW)
    assert len(many) == len(few) <= 50


def test_an_untouched_pack_is_unchanged(pack: Any) -> None:
    assert found(pack) == []
    assert verify(json.dumps(pack, indent=4).encode())[0] == []  # spaces between values say nothing


@given(place=st.integers(min_value=0), char=st.characters(min_codepoint=32, max_codepoint=0x2FF))
@effort(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_character_changed_anywhere_is_found_and_its_place_named(pack: Any, place: int, char: str) -> None:
    text = written(pack).decode()
    place %= len(text)
    forged = text[:place] + char + text[place + 1 :]
    try:
        same = canonical(json.loads(forged)) == text.encode()
    except ValueError:
        same = False
    named, _said = verify(forged.encode())
    assert (named == []) is same
    assert all(": " in each for each in named)


def edited(pack: Any, section: str, field: str, value: Any) -> Any:
    """The pack with another value in the first row of a section."""
    forged = deepcopy(pack)
    forged[section][0][field] = value
    return forged


#: A row's field, another value for it, and how what is said of it begins.
EDITS = [
    ("votes", "decision", "reject", "vote "),
    ("votes", "voter", "somebody", "vote "),
    ("votes", "comment", "", "vote "),
    ("documents", "body", "Everybody notices.", "document impact"),
    ("rounds", "content", {"version": "6.6"}, "round "),
    ("changes", "content", {}, "change "),
    ("events", "kind", "comment", "event "),
    ("events", "at", "2026-03-02T09:00:00.000001+00:00", "event "),
    ("tasks", "title", "Rest", "task "),
    ("test_runs", "failed", 1, "test_run "),
    ("builds", "digest", "sha256:" + "0" * 64, "build "),
    ("people", "name", "Somebody", "people "),
]


def test_what_was_edited_is_named(pack: Any) -> None:
    for section, field, value, said in EDITS:
        named = found(edited(pack, section, field, value))
        assert [each for each in named if each.startswith(said)], (section, field)


def test_rows_that_went_or_came_are_named(pack: Any) -> None:
    for section in ("votes", "events", "documents", "rounds", "people", "deviations", "commits"):
        rows = pack[section]
        added = {**pack, section: [*rows, {"id": "new"}]}
        assert f"{section}/new: it was added" in found(added)
        if rows:
            assert f"{section}/{rows[0]['id']}: it is missing" in found({**pack, section: rows[1:]})
        gone = {name: value for name, value in pack.items() if name != section}
        assert found(gone), section


#: The same, and what does not fit together any more.
FORGERIES = [
    ("votes", "decision", "reject", "event "),
    ("documents", "body", "Else.", "its text does not match"),
    ("rounds", "content", {"version": "6.6"}, "its content does not match its digest"),
    ("events", "kind", "comment", "its content does not match its hash"),
]


def test_a_forger_who_seals_it_again_is_caught_by_what_fits_together(pack: Any) -> None:
    for section, field, value, said in FORGERIES:
        named = found(resealed(edited(pack, section, field, value)))
        assert [each for each in named if said in each], (section, field)


def test_an_event_taken_out_is_named_though_sealed_again(pack: Any, release: Release) -> None:
    pack["events"] = [event for event in pack["events"] if event["id"] != f"{release.stream}/3"]
    assert found(resealed(pack)) == [f"event {release.stream}/3: it is missing"]


def test_the_signature_shows_what_was_sealed_again(release: Release, settings: Any) -> None:
    settings.CHECKPOINT_KEY = KEY
    pack = evidence.pack(release, now=NOW)
    assert verify(written(pack), public_key=PUBLIC) == ([], "Its signature is that of this key.")
    assert "not verified" in verify(written(pack))[1]
    pack["tasks"][0]["title"] = "Rest"
    assert found(resealed(pack)) == []
    wrong = ["signature: it is not that of this key over this pack"]
    assert found(resealed(pack), public_key=PUBLIC) == wrong
    assert found(resealed({**pack, "signature": None}), public_key=PUBLIC) == ["signature: it is missing"]
    assert found(evidence.pack(release, now=NOW), public_key=signatures.public_key(signatures.new_key())) == wrong


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "line 1 column 1"),
        (b"[]", "it holds no pack"),
        (b"{}", "format: it is None"),
        (b"\xff{}", "byte 0"),
        (b'{"a": 1, "a": 2}', "the member 'a' twice"),
        (b'{"a": NaN}', "NaN is no JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_pack_is_said_to_be_none(text: bytes, said: str) -> None:
    assert said in " ".join(verify(text)[0])


def test_it_needs_nothing_but_python(pack: Any, tmp_path: Path) -> None:
    file = tmp_path / "pack.json"
    file.write_bytes(written(pack))

    def bare(*arguments: str) -> subprocess.CompletedProcess[str]:
        alone = tmp_path / "verify_evidence.py"
        alone.write_bytes(SCRIPT.read_bytes())
        command = [sys.executable, "-S", "-I", str(alone), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    good = bare(str(file))
    assert (good.returncode, good.stderr) == (0, "")
    assert "is unchanged since" in good.stdout
    assert "It is not signed." in good.stdout
    pack["votes"][0]["comment"] += "!"
    file.write_bytes(written(pack))
    bad = bare(str(file))
    assert bad.returncode == 1
    assert f"vote {pack['votes'][0]['id']}: " in bad.stderr
    assert bare(str(tmp_path / "none.json")).returncode == 2


def test_it_is_a_command_too_and_asks_no_database(pack: Any, tmp_path: Path) -> None:
    file = tmp_path / "pack.json"
    file.write_bytes(written(pack))
    with CaptureQueriesContext(connection) as none:
        call_command("verify_evidence", file)
    assert len(none) == 0
    file.write_bytes(written(pack) + b"x")
    with pytest.raises(SystemExit) as ended:
        call_command("verify_evidence", file)
    assert ended.value.code == 1


def test_the_page_to_print_shows_it(release: Release, world: World) -> None:
    client = signed_in(world.manager)
    page = reverse("admin:releases_release_evidence", args=[release.pk])
    html = client.get(page).content.decode()
    round = release.rounds.get()
    last = timeline(release)[0]
    for text in (
        round.digest,
        last.hash,
        world.signer.username,
        "Nobody notices.",
        "Swap back",
        "Sign-off: round",
        "Evidence of",
    ):
        assert text in html
    assert page in client.get(reverse("admin:releases_release_change", args=[release.pk])).content.decode()
    assert signed_in(someone("contributor", team=ProductFactory().team)).get(page).status_code == 404


def test_conditions_say_whether_they_are_met(world: World) -> None:
    release = world.release()
    say(world.round(release), world.signer, conditions=["the pager is staffed"])
    pack = evidence.pack(release, now=NOW)
    (condition,), (vote,) = pack["conditions"], pack["votes"]
    assert (condition["text"], condition["vote"], condition["met_at"]) == ("the pager is staffed", vote["id"], None)
    assert vote["seats"] == ["release_manager"]
    assert found(pack) == []
    html = signed_in(world.manager).get(reverse("admin:releases_release_evidence", args=[release.pk])).content.decode()
    assert "if the pager is staffed: <strong>not met</strong>" in html
